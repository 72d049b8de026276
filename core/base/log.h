/* log.h: events, a line each, on standard error.
 *
 *   2026-11-22T10:53:56.123Z info listening service=echo address=127.0.0.1:8888
 *
 * An event is a word, its fields are key=value; `--log-format json` writes the same as objects.
 * Values are escaped, so that bytes from the network cannot forge a line. A line is built in a
 * fixed space and cut when it is full: logging allocates nothing and cannot fail the caller.
 *
 *   struct log_line line;
 *   if (log_begin(&line, LOG_WARN, "malformed")) {
 *     log_text(&line, "peer", peer);
 *     log_end(&line);
 *   } */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_TEXT, LOG_JSON };

struct log_line {
  bool full;
  enum log_level level;
  size_t length;
  char text[4096]; /* no more than a pipe takes whole or not at all */
};

/* How many events of one kind a second are worth their lines; the rest is counted. All zeros at
 * first. */
struct log_limit {
  int64_t second;
  unsigned written;
  unsigned long suppressed;
};

/* Sets what is written from now on; the default is text from LOG_INFO up. */
void log_configure(enum log_level level, enum log_format format);

/* How many of a peer's bytes a line may show, at most LOG_SHOWN_MAX; the default is 48. */
enum { LOG_SHOWN = 48, LOG_SHOWN_MAX = 1024 };
void log_set_shown_bytes(size_t most);
size_t log_shown_bytes(void);

/* From now on a line that a pipe or a terminal does not take at once, because its reader has
 * stalled, is lost; the next one tells how many were. For a server, which must not stop for that.
 */
void log_set_nonblocking(void);

/* From now on lines go to `write`, without the line feed at their end, and text of several lines
 * keeps them; NULL: to standard error again. For tools, which show them in their own way. `write`
 * must not log. */
typedef void log_writer(void *context, enum log_level level, const char *text, size_t length);
void log_divert(log_writer *write, void *context);

/* The level or format of a name ("warn", "json"). False: no such name. */
bool log_parse_level(const char *name, enum log_level *level);
bool log_parse_format(const char *name, enum log_format *format);

/* Starts a line; false when the level is not written, and then the line must not be used. */
bool log_begin(struct log_line *line, enum log_level level, const char *event);

/* The same for events that a peer can cause: false also when `limit` has been used up for this
 * second. The next line that is written tells how many were suppressed. */
bool log_begin_limited(struct log_line *line, enum log_level level, const char *event,
                       struct log_limit *limit, int64_t now_ms);

void log_text(struct log_line *line, const char *key, const char *value);
void log_bytes(struct log_line *line, const char *key, const char *bytes, size_t length);
/* Text of several lines, such as a traceback: on a terminal its lines stay lines, indented and
 * without quotes, so that it should be the last field. */
void log_block(struct log_line *line, const char *key, const char *text);
bool log_is_multiline(void);
void log_hex(struct log_line *line, const char *key, const char *bytes, size_t length);
void log_integer(struct log_line *line, const char *key, int64_t value);
void log_number(struct log_line *line, const char *key, double value);

/* Writes the line. */
void log_end(struct log_line *line);

/* A whole event with one text field, for the simple cases; key may be NULL. */
void log_event(enum log_level level, const char *event, const char *key, const char *value);

#endif
