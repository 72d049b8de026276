#include "base/transcript.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

enum {
  COLUMNS = 100,
  RUN_MIN = 64,          /* so often a byte must come for its number to be written */
  WAIT_MAX = 1000 * 1000 /* s in one line */
};

static void put(struct transcript *transcript, const char *text, size_t length) {
  if (transcript->lacks_memory) return;
  if (buffer_append(&transcript->text, text, length) != STATUS_OK) transcript->lacks_memory = true;
}

void transcript_line(struct transcript *transcript, const char *line) {
  put(transcript, line, strlen(line));
  put(transcript, "\n", 1);
}

void transcript_time(struct transcript *transcript, int64_t real_milliseconds) {
  char text[CLOCK_TEXT_MAX];
  clock_format(real_milliseconds, text);
  put(transcript, "time ", 5);
  transcript_line(transcript, text);
}

void transcript_wait(struct transcript *transcript, int64_t milliseconds) {
  char line[32];
  for (; milliseconds > WAIT_MAX * INT64_C(1000); milliseconds -= WAIT_MAX * INT64_C(1000)) {
    snprintf(line, sizeof line, "wait %d", WAIT_MAX);
    transcript_line(transcript, line);
  }
  snprintf(line, sizeof line, "wait %d.%03d", (int)(milliseconds / 1000),
           (int)(milliseconds % 1000));
  transcript_line(transcript, line);
}

/* How often the first byte comes one behind the other; it is not counted further than `most`. */
static size_t run_length(struct span bytes, size_t most) {
  size_t length = bytes.length < most ? bytes.length : most, run = 0;
  while (run < length && bytes.data[run] == bytes.data[0]) run++;
  return run;
}

/* The first byte as it stands in a string, into text[5]. Returns how long that is. */
static int escape(struct span bytes, char *text) {
  unsigned char byte = (unsigned char)bytes.data[0];
  switch (byte) {
  case '\n': return sprintf(text, "\\n");
  case '\r': return sprintf(text, "\\r");
  case '\t': return sprintf(text, "\\t");
  case '"':
  case '\\': return sprintf(text, "\\%c", byte);
  default: break;
  }
  bool is_digit_next = bytes.length > 1 && bytes.data[1] >= '0' && bytes.data[1] <= '9';
  if (byte == 0 && !is_digit_next) return sprintf(text, "\\0");
  return sprintf(text, byte < 0x20 || byte >= 0x7f ? "\\x%02X" : "%c", byte);
}

static struct span behind(struct span bytes, size_t length) {
  return (struct span){bytes.data + length, bytes.length - length};
}

/* One line of what one side says. Returns how many of the bytes, which there must be, are in it. */
static size_t put_bytes_line(struct transcript *transcript, char side, struct span bytes) {
  char line[COLUMNS + 32];
  char *end = line + sprintf(line, "%c \"", side);
  size_t run = run_length(bytes, bytes.length), taken = 0;
  if (run >= RUN_MIN) {
    end += escape((struct span){bytes.data, 1}, end);
    end += sprintf(end, "\" * %zu\n", run);
    put(transcript, line, (size_t)(end - line));
    return run;
  }
  do {
    char text[8];
    struct span rest = behind(bytes, taken);
    int length = escape(rest, text);
    if (end + length > line + COLUMNS - 1 || run_length(rest, RUN_MIN) >= RUN_MIN) break;
    memcpy(end, text, (size_t)length);
    end += length;
  } while (bytes.data[taken++] != '\n' && taken < bytes.length);
  end += sprintf(end, "\"\n");
  put(transcript, line, (size_t)(end - line));
  return taken;
}

void transcript_bytes(struct transcript *transcript, char side, struct span bytes) {
  while (bytes.length > 0) bytes = behind(bytes, put_bytes_line(transcript, side, bytes));
}
