/* sources.h: the files that a version of a script was made from.
 *
 * A version reads each file once, and runs what it has read. The digest of the file is noted, to
 * find out later whether the file has changed. A file that the version looked for and did not find
 * is noted, too: when it appears, the next version may differ. */
#ifndef RELOAD_SOURCES_H
#define RELOAD_SOURCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* A script or module over this many bytes is refused. */
enum { SOURCE_MAX = 16 * 1024 * 1024 };

/* The most files that are noted, and the most of them that are not there. There is a limit because
 * a script may require names that come from a peer. Further files are not watched. */
enum { SOURCES_MAX = 1000, ABSENT_MAX = 100 };

/* What the `bytes` of a source are. */
enum source_content {
  SOURCE_NOTHING,  /* There are none: the file is read when it is asked for. */
  SOURCE_TEXT,     /* The content of the file, as it was read. */
  SOURCE_BYTECODE, /* The result of compiling the file. */
  SOURCE_ERROR     /* The message that tells why the file cannot be compiled. */
};

struct source {
  char *path;
  bool is_there;
  bool has_changed; /* Set by sources_refresh(). */
  size_t length;
  uint64_t digest;
  enum source_content content;
  char *bytes; /* NULL for SOURCE_NOTHING. */
  size_t byte_count;
};

struct sources {
  struct source *items;
  size_t count;
  size_t absent_count; /* How many of the files were not there. */
  size_t at_load;     /* How many of the first files were asked for while the version was loaded. */
  bool takes_special; /* The first file may be a pipe or a terminal, and reading it may wait. */
  bool has_lost_file; /* sources_refresh() did not find a file that had been there. */
  bool is_uncertain;  /* A file could not be read for a reason that may pass. */

  /* While a version is made, the files that were read for it before, or NULL. */
  const struct sources *as_read;
};

/* Reads a file and notes it, or notes that it is not there. The caller frees *bytes, which is not
 * NULL on STATUS_OK. STATUS_ERROR: errno tells why (EFBIG: the file is over SOURCE_MAX; EINVAL: it
 * is no regular file). A file that was noted before as being there keeps its first digest, so that
 * sources_changed() notices if it has another content now. */
enum status sources_read(struct sources *sources, const char *path, char **bytes, size_t *length);

/* Reads and notes a file in the same way, without returning its content. */
void sources_note(struct sources *sources, const char *path);

/* Notes all files of `more`, with sources_take(). */
void sources_join(struct sources *sources, const struct sources *more);

/* Notes a file with the digest of `source`, without reading it. A file that was noted before as
 * being there stays as it is. STATUS_NO_MEMORY. */
enum status sources_take(struct sources *sources, const struct source *source);

/* Returns what was noted of the file, or NULL. */
const struct source *sources_find(const struct sources *sources, const char *path);

/* Calls `visit` with the path of each file. */
void sources_each(const struct sources *sources, void (*visit)(void *context, const char *path),
                  void *context);

/* Returns one number for the paths and contents of all files that are there. It does not depend on
 * the order of the files. */
uint64_t sources_fingerprint(const struct sources *sources);

/* Tells whether a file has another content now, has appeared, or has gone. A file that is not
 * regular cannot be read a second time, and counts as unchanged. */
bool sources_changed(const struct sources *sources);

/* Copies the notes, without any content, to *copy. STATUS_NO_MEMORY: *copy is empty. */
enum status sources_copy(const struct sources *sources, struct sources *copy);

/* Reads each file again. Marks the files that have changed, in the sense of sources_changed(), and
 * returns how many there are. Keeps the text of the first `at_load` files and notes its digest, up
 * to SOURCE_MAX bytes in all. */
size_t sources_refresh(struct sources *sources);

/* Tells whether a file that was there is not there now. */
bool sources_have_lost_file(const struct sources *sources);

/* Tells whether a file is noted as missing here, and as being there in `others`. */
bool sources_lack_file_of(const struct sources *sources, const struct sources *others);

/* Tells whether the files that have content and are noted in both have the same digest in both. */
bool sources_agree(const struct sources *sources, const struct sources *others);

/* Frees everything. The sources are empty then. */
void sources_deinit(struct sources *sources);

#endif
