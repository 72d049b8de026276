/* sources.h: the files that a version of a script was made from.
 *
 * A file is read once, and what was read is what runs; to find out later whether it has changed,
 * its digest is kept. A file that was looked for and was not there belongs to the sources, too:
 * when it appears, the script may become another. */
#ifndef RELOAD_SOURCES_H
#define RELOAD_SOURCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* A script or module over this many bytes is refused. */
enum { SOURCE_MAX = 16 * 1024 * 1024 };

/* So many files are noted, and so many that are not there: a script may require names that come
 * from a peer. What it requires beyond that is not watched. */
enum { SOURCES_MAX = 1000, ABSENT_MAX = 100 };

/* What is kept of a file for the version that is about to be made. */
enum source_content {
  SOURCE_NOTHING,  /* The file is read when it is asked for. */
  SOURCE_TEXT,     /* What the file holds, as it was read. */
  SOURCE_BYTECODE, /* What the file was compiled to. */
  SOURCE_ERROR     /* Why the file cannot be compiled. */
};

struct source {
  char *path;
  bool is_there;
  bool has_changed; /* Set by sources_refresh(). */
  size_t length;
  uint64_t digest;
  enum source_content content;
  char *bytes; /* NULL where there is no content. */
  size_t byte_count;
};

struct sources {
  struct source *items;
  size_t count;
  size_t absent;      /* Files that were not there. */
  size_t at_load;     /* The first files, which were asked for while the version was loaded. */
  bool takes_special; /* The first file may be a pipe or a terminal, which is waited for. */
  bool lacks;         /* sources_refresh() did not find a file that had been there. */
  bool is_uncertain;  /* A file could not be read for a reason that may pass. */
  const struct sources
      *as_read; /* While a version is made: files that were read before; or NULL. */
};

/* Reads a file and notes it, or that it is not there. *bytes is the caller's to free, and never
 * NULL on STATUS_OK. STATUS_ERROR: errno says why (EFBIG: it is over SOURCE_MAX; EINVAL: it is no
 * regular file). One that was read before keeps its first digest: if it is another now, it has
 * changed. */
enum status sources_read(struct sources *sources, const char *path, char **bytes, size_t *length);

/* Notes a file in the same way, without giving out what is in it. */
void sources_note(struct sources *sources, const char *path);

/* Notes those that stand in `more`, as they stand there; one that was noted before stays so. */
void sources_join(struct sources *sources, const struct sources *more);

/* Notes one in the same way. STATUS_NO_MEMORY. */
enum status sources_take(struct sources *sources, const struct source *source);

/* What was noted of the file; NULL: nothing. */
const struct source *sources_find(const struct sources *sources, const char *path);

/* One number for the paths and contents of those that are there, in whatever order they were read.
 */
uint64_t sources_fingerprint(const struct sources *sources);

/* Whether a file now holds something else, has appeared, or has gone. What is no regular file
 * cannot be read a second time, and counts as unchanged. */
bool sources_changed(const struct sources *sources);

/* Copies the notes, without any content, to *copy. STATUS_NO_MEMORY: *copy is empty. */
enum status sources_copy(const struct sources *sources, struct sources *copy);

/* Reads each file anew, once. Marks those that have changed, in the sense of sources_changed(), and
 * returns how many there are. Of the first `at_load` files, the text is kept and noted, up to
 * SOURCE_MAX bytes in all. */
size_t sources_refresh(struct sources *sources);

/* Whether a file that was there is not there now. */
bool sources_lack(const struct sources *sources);

/* Whether these looked in vain for a file that was there for `others`. */
bool sources_miss(const struct sources *sources, const struct sources *others);

/* Whether the files of `sources` that have content hold what `others` has noted of them, if it has
 * noted them. */
bool sources_agree(const struct sources *sources, const struct sources *others);

/* Frees what they hold; they are empty then. */
void sources_deinit(struct sources *sources);

#endif
