#include "server/transcript.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

enum {
  COLUMNS = 100,
  RUN_MIN = 64,          /* A byte that is repeated so often is written once with its number. */
  HEX_BYTES = 16,        /* Bytes in a line of hexadecimal digits. */
  RAW_SHARE = 4,         /* Bytes are binary if one in so many, or more, is not text. */
  TEXT_LINE_MIN = 5,     /* A first line of fewer bytes does not count as text. */
  WAIT_MAX = 1000 * 1000 /* The most seconds in one `wait` line. */
};

static void put(struct transcript *transcript, const char *text, size_t length) {
  if (transcript->is_incomplete) return;
  if (buffer_append(&transcript->text, text, length) != STATUS_OK) transcript->is_incomplete = true;
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

/* Returns how often the first byte is repeated, counted up to `most`. */
static size_t run_length(struct span bytes, size_t most) {
  size_t length = bytes.length < most ? bytes.length : most, run = 0;
  while (run < length && bytes.data[run] == bytes.data[0]) run++;
  return run;
}

/* Writes the first byte as it stands in a quoted string into text[5]. Returns its length. */
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
  static const char digits[] = "0123456789ABCDEF";
  if (byte >= 0x20 && byte < 0x7f) {
    text[0] = (char)byte;
    return 1;
  }
  bool is_digit_next = bytes.length > 1 && bytes.data[1] >= '0' && bytes.data[1] <= '9';
  text[0] = '\\';
  text[1] = byte == 0 && !is_digit_next ? '0' : 'x';
  if (text[1] == '0') return 2;
  text[2] = digits[byte >> 4];
  text[3] = digits[byte & 15];
  return 4;
}

static struct span behind(struct span bytes, size_t length) {
  return (struct span){bytes.data + length, bytes.length - length};
}

/* Adds one line with a quoted string. Returns how many of the bytes, at least one, are in it. */
static size_t put_bytes_line(struct transcript *transcript, const char *side, struct span bytes) {
  char line[COLUMNS + 32];
  char *end = line + sprintf(line, "%.20s \"", side);
  size_t run = run_length(bytes, bytes.length), taken = 0;
  if (run >= RUN_MIN) {
    end += escape((struct span){bytes.data, 1}, end);
    end += sprintf(end, "\" * %zu\n", run);
    put(transcript, line, (size_t)(end - line));
    return run;
  }
  size_t known = run; /* No long run begins before this offset. */
  do {
    char text[8];
    struct span rest = behind(bytes, taken);
    int length = escape(rest, text);
    if (end + length > line + COLUMNS - 1) break;
    if (taken >= known) {
      size_t next = run_length(rest, RUN_MIN);
      if (next >= RUN_MIN) break;
      known = taken + next;
    }
    memcpy(end, text, (size_t)length);
    end += length;
  } while (bytes.data[taken++] != '\n' && taken < bytes.length);
  end += sprintf(end, "\"\n");
  put(transcript, line, (size_t)(end - line));
  return taken;
}

static void put_string(struct transcript *transcript, struct span bytes) {
  put(transcript, " \"", 2);
  for (; bytes.length > 0; bytes = behind(bytes, 1)) {
    char text[8];
    put(transcript, text, (size_t)escape(bytes, text));
  }
  put(transcript, "\"", 1);
}

void transcript_setting(struct transcript *transcript, struct span name, struct span value) {
  put(transcript, "setting ", 8);
  put(transcript, name.data, name.length);
  put_string(transcript, value);
  put(transcript, "\n", 1);
}

static void put_word(struct transcript *transcript, const char *word, struct span text) {
  if (text.length == 0) return;
  put(transcript, " ", 1);
  put(transcript, word, strlen(word));
  put_string(transcript, text);
}

void transcript_tls(struct transcript *transcript, struct span texts) {
  static const char *const words[] = {"version", "cipher", "server_name", "alpn",
                                      "subject", "issuer", "fingerprint", "name"};
  size_t nth = 0, last = sizeof words / sizeof *words - 1;
  put(transcript, "> tls", 5);
  while (texts.length > 0) {
    struct span text = {texts.data, strlen(texts.data)};
    put_word(transcript, words[nth], text);
    texts = behind(texts, text.length + 1);
    if (nth < last) nth++;
  }
  put(transcript, "\n", 1);
}

static void put_flag(struct transcript *transcript, const char *word, bool flag) {
  static const char no[] = "false", yes[] = "true";
  put_word(transcript, word,
           flag ? (struct span){yes, sizeof yes - 1} : (struct span){no, sizeof no - 1});
}

void transcript_proxy(struct transcript *transcript, const struct proxy_header *header) {
  put(transcript, "proxy", 5);
  put_word(transcript, "authority", header->authority);
  put_word(transcript, "alpn", header->alpn);
  put_word(transcript, "unique_id", header->unique_id);
  const struct proxy_ssl *ssl = &header->ssl;
  put_word(transcript, "version", ssl->version);
  put_word(transcript, "cipher", ssl->cipher);
  put_word(transcript, "common_name", ssl->common_name);
  put_word(transcript, "signature", ssl->signature);
  put_word(transcript, "key", ssl->key);
  if (ssl->is_used) put_flag(transcript, "has_certificate", ssl->has_certificate);
  if (ssl->is_used) put_flag(transcript, "verified", ssl->is_verified);
  put(transcript, "\n", 1);
}

void transcript_upstream(struct transcript *transcript, const char *name, struct span address,
                         const char *failure, struct span why) {
  put(transcript, "upstream ", 9);
  put(transcript, name, strlen(name));
  put_string(transcript, address);
  if (failure) {
    put(transcript, " ", 1);
    put(transcript, failure, strlen(failure));
    if (why.length > 0) put_string(transcript, why);
  }
  put(transcript, "\n", 1);
}

void transcript_tls_of(struct transcript *transcript, const char *side, struct span failure) {
  put(transcript, side, strlen(side));
  put(transcript, " tls", 4);
  if (failure.length > 0) {
    size_t length = strlen(failure.data);
    put(transcript, " ", 1);
    put(transcript, failure.data, length);
    put_string(transcript, behind(failure, length + 1));
  }
  put(transcript, "\n", 1);
}

/* ---- binary bytes -------------------------------------------------------------------------- */

/* Returns the length of the UTF-8 character at the beginning; 0: there is none. */
static size_t utf8_length(struct span bytes) {
  static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
  unsigned first = (unsigned char)bytes.data[0];
  size_t length = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (first >= 0xf8 || length == 0 || length > bytes.length) return 0;
  if (length == 1) return 1;
  unsigned code = first & (0x7fu >> length);
  for (size_t i = 1; i < length; i++) {
    unsigned byte = (unsigned char)bytes.data[i];
    if ((byte & 0xc0) != 0x80) return 0;
    code = code << 6 | (byte & 0x3f);
  }
  bool is_surrogate = code >= 0xd800 && code < 0xe000;
  return code < least[length] || code > 0x10ffff || is_surrogate ? 0 : length;
}

/* Counts the bytes that are neither UTF-8 text nor the usual white space. */
static size_t count_raw(struct span bytes) {
  size_t raw = 0;
  while (bytes.length > 0) {
    unsigned char byte = (unsigned char)bytes.data[0];
    bool is_control = (byte < 0x20 && byte != '\n' && byte != '\r' && byte != '\t') || byte == 0x7f;
    size_t length = is_control ? 0 : utf8_length(bytes);
    if (length == 0) raw++;
    bytes = behind(bytes, length > 0 ? length : 1);
  }
  return raw;
}

/* Adds one line of pairs of hexadecimal digits, with the printable characters as a comment. Returns
 * how many of the bytes, at least one, are in it. */
static size_t put_hex_line(struct transcript *transcript, const char *side, struct span bytes) {
  char line[COLUMNS + 32];
  char *end = line + sprintf(line, "%.20s hex", side);
  size_t run = run_length(bytes, bytes.length), taken = 0;
  if (run >= RUN_MIN) {
    end += sprintf(end, " %02x * %zu\n", (unsigned char)bytes.data[0], run);
    put(transcript, line, (size_t)(end - line));
    return run;
  }
  while (taken < bytes.length && taken < HEX_BYTES) {
    if (run_length(behind(bytes, taken), RUN_MIN) >= RUN_MIN) break;
    end += sprintf(end, " %02x", (unsigned char)bytes.data[taken++]);
  }
  end += sprintf(end, "%*s  # ", 3 * (int)(HEX_BYTES - taken), "");
  for (size_t i = 0; i < taken; i++) {
    char byte = bytes.data[i];
    *end++ = byte > ' ' && byte < 0x7f ? byte : '.';
  }
  *end++ = '\n';
  put(transcript, line, (size_t)(end - line));
  return taken;
}

/* Returns the first line with its line feed, or all bytes if there is no line feed. */
static struct span first_line(struct span bytes) {
  const char *feed = memchr(bytes.data, '\n', bytes.length);
  return (struct span){bytes.data, feed ? (size_t)(feed - bytes.data) + 1 : bytes.length};
}

static void put_strings(struct transcript *transcript, const char *side, struct span bytes) {
  while (bytes.length > 0) bytes = behind(bytes, put_bytes_line(transcript, side, bytes));
}

/* Lines of text at the beginning, such as the head of an HTTP message, are written as strings
 * whatever follows. From the first line on that is not text, all the rest is written in hexadecimal
 * digits if enough of it is binary. */
void transcript_bytes(struct transcript *transcript, const char *side, struct span bytes) {
  size_t raw = count_raw(bytes);
  bool has_begun = false;
  while (raw > 0) {
    struct span line = first_line(bytes);
    size_t raw_in_line = count_raw(line);
    bool is_text = raw_in_line == 0 && (has_begun || line.length >= TEXT_LINE_MIN);
    if (!is_text && raw * RAW_SHARE >= bytes.length) {
      while (bytes.length > 0) bytes = behind(bytes, put_hex_line(transcript, side, bytes));
      return;
    }
    put_strings(transcript, side, line);
    has_begun = true;
    raw -= raw_in_line;
    bytes = behind(bytes, line.length);
  }
  put_strings(transcript, side, bytes);
}

/* ---- datagrams ----------------------------------------------------------------------------- */

/* Adds bytes in one string, or behind one word `hex`. */
static void put_run(struct transcript *transcript, struct span bytes, bool is_hex) {
  char text[8];
  put(transcript, is_hex ? " hex" : " \"", is_hex ? 4 : 2);
  for (; bytes.length > 0; bytes = behind(bytes, 1)) {
    int length =
        is_hex ? sprintf(text, " %02x", (unsigned char)bytes.data[0]) : escape(bytes, text);
    put(transcript, text, (size_t)length);
  }
  if (!is_hex) put(transcript, "\"", 1);
}

void transcript_datagram(struct transcript *transcript, const char *side, struct span bytes) {
  bool is_hex = bytes.length > 0 && count_raw(bytes) * RAW_SHARE >= bytes.length;
  struct span plain = {bytes.data, 0}; /* What is not written yet. */
  char text[32];
  put(transcript, side, strlen(side));
  if (bytes.length == 0) put_run(transcript, bytes, false);
  while (bytes.length > 0) {
    size_t run = run_length(bytes, bytes.length);
    if (run < RUN_MIN) {
      plain.length += run;
    } else {
      if (plain.length > 0) put_run(transcript, plain, is_hex);
      put_run(transcript, (struct span){bytes.data, 1}, is_hex);
      put(transcript, text, (size_t)sprintf(text, " * %zu", run));
      plain = (struct span){bytes.data + run, 0};
    }
    bytes = behind(bytes, run);
  }
  if (plain.length > 0) put_run(transcript, plain, is_hex);
  put(transcript, "\n", 1);
}
