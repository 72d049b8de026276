#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/clock.h"

/* Room for the ellipsis, the closing quote and brace, and the line feed of a line that was cut. */
enum { RESERVE = 8, LINES_PER_SECOND = 20 };

static const char *const level_names[] = {"debug", "info", "warn", "error"};
static const char *const format_names[] = {"text", "json"};

static struct {
  enum log_level level;
  enum log_format format;
  bool is_terminal;
  bool is_cut; /* The last write was short: the next line must not go on in the same one. */
  int fd;
  const char *path;   /* Of the file that fd is, or NULL. */
  int64_t dropped;    /* Lines lost since the last line that was written. */
  size_t shown;       /* How many of a peer's bytes a line may show. */
  log_writer *divert; /* NULL: lines go to fd. */
  void *context;
} settings = {.level = LOG_INFO, .fd = STDERR_FILENO, .shown = LOG_SHOWN};

/* The index of the name; -1: it is not there. */
static int find_name(const char *const *names, size_t count, const char *name) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(names[i], name) == 0) return (int)i;
  return -1;
}

bool log_parse_level(const char *name, enum log_level *level) {
  int found = find_name(level_names, sizeof level_names / sizeof *level_names, name);
  if (found >= 0) *level = (enum log_level)found;
  return found >= 0;
}

bool log_parse_format(const char *name, enum log_format *format) {
  int found = find_name(format_names, sizeof format_names / sizeof *format_names, name);
  if (found >= 0) *format = (enum log_format)found;
  return found >= 0;
}

/* Adds all the bytes or none, so that an escape is never cut in two. */
static void put(struct log_line *line, const char *bytes, size_t length) {
  if (line->full || line->length + length > sizeof line->text - RESERVE) {
    line->full = true;
    return;
  }
  memcpy(line->text + line->length, bytes, length);
  line->length += length;
}

static void put_text(struct log_line *line, const char *text) { put(line, text, strlen(text)); }

__attribute__((format(printf, 2, 3))) static void put_format(struct log_line *line,
                                                             const char *format, ...) {
  char text[64];
  va_list arguments;
  va_start(arguments, format);
  int length = vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (length > 0) put(line, text, (size_t)length);
}

static void put_escaped(struct log_line *line, const char *bytes, size_t length) {
  const char *byte_escape = settings.format == LOG_JSON ? "\\u%04x" : "\\x%02x";
  for (size_t i = 0; i < length && !line->full; i++) {
    unsigned char byte = (unsigned char)bytes[i];
    if (byte == '"' || byte == '\\')
      put_format(line, "\\%c", byte);
    else if (byte == '\n')
      put_text(line, "\\n");
    else if (byte == '\r')
      put_text(line, "\\r");
    else if (byte == '\t')
      put_text(line, "\\t");
    else if (byte < 0x20 || byte >= 0x7f)
      put_format(line, byte_escape, byte);
    else
      put(line, bytes + i, 1);
  }
}

/* Adds a value behind its opening quote, and the closing one. */
static void put_quoted_rest(struct log_line *line, const char *bytes, size_t length) {
  if (line->full) return;
  put_escaped(line, bytes, length);
  /* RESERVE leaves room for this: a value that was cut still ends with its quote. */
  const char *ending = line->full ? "...\"" : "\"";
  memcpy(line->text + line->length, ending, strlen(ending));
  line->length += strlen(ending);
}

static void put_quoted(struct log_line *line, const char *bytes, size_t length) {
  put_text(line, "\"");
  put_quoted_rest(line, bytes, length);
}

static bool needs_quotes(const char *bytes, size_t length) {
  if (length == 0) return true;
  for (size_t i = 0; i < length; i++)
    if (bytes[i] <= ' ' || bytes[i] >= 0x7f || strchr("\"\\=", bytes[i])) return true;
  return false;
}

static void put_key(struct log_line *line, const char *key) {
  if (settings.format == LOG_JSON) {
    put_text(line, ",");
    put_quoted(line, key, strlen(key));
    put_text(line, ":");
  } else {
    put_text(line, " ");
    if (needs_quotes(key, strlen(key)))
      put_quoted(line, key, strlen(key));
    else
      put_text(line, key);
    put_text(line, "=");
  }
}

bool log_begin(struct log_line *line, enum log_level level, const char *event) {
  if (level < settings.level) return false;
  line->full = false;
  line->level = level;
  line->length = 0;
  bool json = settings.format == LOG_JSON;
  if (json) put_text(line, "{\"time\":\"");
  char now[CLOCK_TEXT_MAX];
  clock_format(clock_real_milliseconds(), now);
  put_text(line, now);
  put_text(line, json ? "\",\"level\":\"" : " ");
  put_text(line, level_names[level]);
  put_text(line, json ? "\",\"event\":\"" : " ");
  put_escaped(line, event, strlen(event));
  if (json) put_text(line, "\"");
  return true;
}

bool log_begin_limited(struct log_line *line, enum log_level level, const char *event,
                       struct log_limit *limit, int64_t now_ms) {
  if (level < settings.level) return false;
  if (now_ms / 1000 != limit->second) {
    limit->second = now_ms / 1000;
    limit->written = 0;
  }
  if (limit->written >= LINES_PER_SECOND) {
    limit->suppressed++;
    return false;
  }
  limit->written++;
  log_begin(line, level, event);
  if (limit->suppressed > 0) {
    log_integer(line, "suppressed_before", (int64_t)limit->suppressed);
    limit->suppressed = 0;
  }
  return true;
}

/* Adds a key and a bare value whole, or nothing. */
static void put_bare(struct log_line *line, const char *key, const char *text, size_t length) {
  if (line->full) return;
  size_t start = line->length;
  put_key(line, key);
  put(line, text, length);
  if (line->full) line->length = start;
}

/* A value in quotes is cut where the line is full, if its key fits. */
void log_bytes(struct log_line *line, const char *key, const char *bytes, size_t length) {
  if (settings.format == LOG_JSON || needs_quotes(bytes, length)) {
    put_bare(line, key, "\"", 1);
    put_quoted_rest(line, bytes, length);
  } else
    put_bare(line, key, bytes, length);
}

void log_text(struct log_line *line, const char *key, const char *value) {
  log_bytes(line, key, value, strlen(value));
}

/* Adds a byte of a block. A block has no quotes, so that quotes in it need no escape. */
static void put_plain(struct log_line *line, const char *byte) {
  if (*byte == '\n')
    put_text(line, "\n    ");
  else if (*byte == '"' || *byte == '\\' || *byte == '\t')
    put(line, byte, 1);
  else
    put_escaped(line, byte, 1);
}

bool log_is_multiline(void) {
  return settings.format == LOG_TEXT && (settings.is_terminal || settings.divert);
}

/* A log_writer gets the key, by which tools find the text. On a terminal the text begins in a line
 * of its own. */
void log_block(struct log_line *line, const char *key, const char *text) {
  if (!log_is_multiline() || !strchr(text, '\n')) {
    log_text(line, key, text);
    return;
  }
  if (line->full) return;
  if (settings.divert)
    put_key(line, key);
  else
    put_plain(line, "\n");
  for (; *text && !line->full; text++) put_plain(line, text);
}

void log_hex(struct log_line *line, const char *key, const char *bytes, size_t length) {
  char text[3 * LOG_SHOWN_MAX + 1] = "";
  if (length > LOG_SHOWN_MAX) length = LOG_SHOWN_MAX;
  for (size_t i = 0; i < length; i++)
    snprintf(text + 3 * i, 4, "%02x ", (unsigned)(unsigned char)bytes[i]);
  log_bytes(line, key, text, length ? 3 * length - 1 : 0);
}

void log_integer(struct log_line *line, const char *key, int64_t value) {
  char text[24];
  snprintf(text, sizeof text, "%lld", (long long)value);
  put_bare(line, key, text, strlen(text));
}

void log_number(struct log_line *line, const char *key, double value) {
  char text[32];
  if (!isfinite(value)) { /* JSON has no number for these. */
    log_text(line, key, isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
    return;
  }
  snprintf(text, sizeof text, "%.6g", value);
  put_bare(line, key, text, strlen(text));
}

/* Opens standard error anew, because O_NONBLOCK on the inherited descriptor would change it for
 * every process that shares it. */
void log_set_nonblocking(void) {
  struct stat about;
  if (fstat(STDERR_FILENO, &about) != 0 || !(S_ISFIFO(about.st_mode) || S_ISCHR(about.st_mode)))
    return;
  int fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
  if (fd >= 0) settings.fd = fd;
}

/* Of the bytes that a line shows, some are the peers': others than the owner and its group need not
 * read them. O_NONBLOCK is for a path that is a pipe or a terminal. */
static int open_file(const char *path) {
  return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
}

bool log_open_file(const char *path) {
  int fd = open_file(path);
  if (fd < 0) return false;
  settings.fd = fd;
  settings.path = path;
  settings.is_terminal = isatty(fd);
  return true;
}

bool log_has_file(void) { return settings.path != NULL; }

bool log_reopen(void) {
  int old = settings.fd;
  if (!log_open_file(settings.path)) return false;
  settings.is_cut = false;
  close(old);
  return true;
}

void log_configure(enum log_level level, enum log_format format) {
  settings.level = level;
  settings.format = format;
  settings.is_terminal = isatty(settings.fd);
}

void log_set_shown_bytes(size_t most) {
  settings.shown = most < LOG_SHOWN_MAX ? most : LOG_SHOWN_MAX;
}

size_t log_shown_bytes(void) { return settings.shown; }

void log_divert(log_writer *write, void *context) {
  settings.divert = write;
  settings.context = context;
}

/* Writes the line to the log. A line that was cut before it gets its end first. False: the line was
 * not written whole. */
static bool write_whole(const char *text, size_t length) {
  const struct iovec parts[] = {{(void *)(uintptr_t) "\n", 1}, {(void *)(uintptr_t)text, length}};
  int first = settings.is_cut ? 0 : 1;
  size_t whole = length + (settings.is_cut ? 1 : 0);
  ssize_t written;
  do written = writev(settings.fd, parts + first, 2 - first);
  while (written < 0 && errno == EINTR);
  if (written > 0) settings.is_cut = (size_t)written < whole;
  return written >= 0 && (size_t)written == whole;
}

/* An error of write() must not stop the server: the line is lost, and counted. */
void log_end(struct log_line *line) {
  if (settings.dropped > 0) log_integer(line, "lines_lost_before", settings.dropped);
  if (settings.format == LOG_JSON) line->text[line->length++] = '}';
  if (settings.divert) {
    settings.divert(settings.context, line->level, line->text, line->length);
    return;
  }
  line->text[line->length++] = '\n';
  settings.dropped = write_whole(line->text, line->length) ? 0 : settings.dropped + 1;
}

void log_event(enum log_level level, const char *event, const char *key, const char *value) {
  struct log_line line;
  if (!log_begin(&line, level, event)) return;
  if (key) log_block(&line, key, value);
  log_end(&line);
}
