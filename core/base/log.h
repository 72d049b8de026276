/* log.h: writes events to standard error or to a file, one line each.
 *
 *   2026-11-22T10:53:56.123Z info listening service=echo address=127.0.0.1:8888
 *
 * An event is a word and fields, key=value; `--log-format json` writes an object for each event.
 * Values are escaped, so that bytes from the network cannot forge a line. A line is built in a
 * buffer of fixed size and cut when that is full: logging allocates nothing and cannot fail.
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
  bool full; /* The next field does not fit: nothing more is added. */
  enum log_level level;
  size_t length;
  char text[4096]; /* PIPE_BUF: a pipe takes such a write whole or not at all. */
};

/* Limits the lines that events of one kind write in a second. All zeros at first. */
struct log_limit {
  int64_t second;           /* The second that `written` is counted for. */
  unsigned written;         /* Lines written in that second. */
  unsigned long suppressed; /* Lines left out since the last one that was written. */
};

/* Sets the least level that is written, and the format. The default is text from LOG_INFO up. */
void log_configure(enum log_level level, enum log_format format);

/* How many of a peer's bytes a line may show, at most LOG_SHOWN_MAX; the default is 48. */
enum { LOG_SHOWN = 48, LOG_SHOWN_MAX = 1024 };
void log_set_shown_bytes(size_t most);
size_t log_shown_bytes(void);

/* For a server, which must not wait for the reader of its log: from now on a line that a pipe or a
 * terminal does not take at once is lost, and the next line tells how many were lost. */
void log_set_nonblocking(void);

/* From now on lines go to the end of the file, which is made if it is not there. A line that cannot
 * be written, because the disk is full for example, is lost as well, and the next line tells how
 * many were lost. `path` must stay valid. False: errno says why, and nothing has changed. */
bool log_open_file(const char *path);

/* Whether log_open_file() was called with success. */
bool log_has_file(void);

/* Opens the file of the path again, because it was renamed. False: errno says why, and lines go on
 * to the file that was open. */
bool log_reopen(void);

/* For tools, which show log lines in their own way: from now on lines go to `write`, without their
 * line feed; NULL: to standard error again. log_block() keeps its lines. `write` must not log. */
typedef void log_writer(void *context, enum log_level level, const char *text, size_t length);
void log_divert(log_writer *write, void *context);

/* Finds the level or format of a name ("warn", "json"). False: there is no such name. */
bool log_parse_level(const char *name, enum log_level *level);
bool log_parse_format(const char *name, enum log_format *format);

/* Starts a line. False: the level is not written, and the line must not be used. */
bool log_begin(struct log_line *line, enum log_level level, const char *event);

/* Like log_begin(), for events that a peer can cause. False also when `limit` is reached for this
 * second. The next line that is written tells how many were suppressed. */
bool log_begin_limited(struct log_line *line, enum log_level level, const char *event,
                       struct log_limit *limit, int64_t now_ms);

void log_text(struct log_line *line, const char *key, const char *value);
void log_bytes(struct log_line *line, const char *key, const char *bytes, size_t length);

/* Adds text of several lines, such as a traceback. On a terminal its line feeds are kept and its
 * lines indented, without quotes, so that it should be the last field. */
void log_block(struct log_line *line, const char *key, const char *text);

/* Whether log_block() keeps line feeds. */
bool log_is_multiline(void);

/* Adds bytes as pairs of hexadecimal digits. */
void log_hex(struct log_line *line, const char *key, const char *bytes, size_t length);
void log_integer(struct log_line *line, const char *key, int64_t value);
void log_number(struct log_line *line, const char *key, double value);

/* Writes the line. */
void log_end(struct log_line *line);

/* Writes a whole event with one text field. If key is NULL, the event has no field. */
void log_event(enum log_level level, const char *event, const char *key, const char *value);

#endif
