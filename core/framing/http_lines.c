#include "framing/http_lines.h"

#include <stdint.h>
#include <string.h>

enum {
  TOKEN = 1,  /* tchar */
  TARGET = 2, /* in a URI; and \ ^ ` { | }, which browsers send as they are */
  HOST = 4,   /* in a Host field: uri-host [ ":" port ] */
  QUOTED = 8, /* qdtext */
  HEX = 16
};

/* clang-format off */
/* By the code of the byte, 16 a line; none over 127 is of a kind. */
static const unsigned char kinds[256] = {
     0,  0,  0,  0,  0,  0,  0,  0,  0,  8,  0,  0,  0,  0,  0,  0,
     0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
     8, 15,  0,  9, 15, 15, 15, 15, 14, 14, 15, 15, 14, 15, 15, 10,
    31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 14, 14,  8, 14,  8, 10,
    10, 31, 31, 31, 31, 31, 31, 15, 15, 15, 15, 15, 15, 15, 15, 15,
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 14,  2, 14, 11, 15,
    11, 31, 31, 31, 31, 31, 31, 15, 15, 15, 15, 15, 15, 15, 15, 15,
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 10, 11, 10, 15,  0,
};
/* clang-format on */

static bool is_kind(char byte, unsigned kind) { return (kinds[(unsigned char)byte] & kind) != 0; }

/* How many of the first bytes are of the kind. */
static size_t run(const char *bytes, size_t length, unsigned kind) {
  size_t i = 0;
  while (i < length && is_kind(bytes[i], kind)) i++;
  return i;
}

bool http_is_token_byte(char byte) { return is_kind(byte, TOKEN); }

bool http_is_name(struct span text) {
  return text.length > 0 && run(text.data, text.length, TOKEN) == text.length;
}

bool http_is_host(struct span value) { return run(value.data, value.length, HOST) == value.length; }

bool http_is_word(struct span text, const char *lower) {
  for (size_t i = 0; i < text.length; i++)
    if (lower[i] == '\0' || (text.data[i] | 0x20) != lower[i]) return false;
  return lower[text.length] == '\0';
}

/* ---- the request line ---------------------------------------------------------------------- */

static const char *read_version(struct span version, struct http_request *request) {
  const char *text = version.data;
  if (version.length != sizeof "HTTP/1.1" - 1 || memcmp(text, "HTTP/", 5) != 0 || text[5] < '0' ||
      text[5] > '9' || text[6] != '.' || text[7] < '0' || text[7] > '9')
    return "400 the request line does not end with a version such as HTTP/1.1";
  if (text[5] != '1') return "505 the version is neither HTTP/1.0 nor HTTP/1.1";
  request->minor = text[7] != '0';
  return NULL;
}

static bool has_scheme(struct span target) {
  size_t i = run(target.data, target.length, TOKEN);
  return i > 0 && target.length - i > 3 && memcmp(target.data + i, "://", 3) == 0;
}

/* RFC 9112, 3.2. */
static bool has_fit_form(const struct http_request *request) {
  struct span method = request->method, target = request->target;
  bool is_connect = method.length == 7 && memcmp(method.data, "CONNECT", 7) == 0;
  if (is_connect) return run(target.data, target.length, HOST) == target.length;
  if (target.data[0] == '/') return true;
  if (target.length == 1 && target.data[0] == '*')
    return method.length == 7 && memcmp(method.data, "OPTIONS", 7) == 0;
  return has_scheme(target);
}

const char *http_read_request_line(struct span line, struct http_request *request) {
  const char *at = line.data, *end = line.data + line.length;
  if (line.length == 0) return "400 the request line is empty";
  size_t method = run(at, line.length, TOKEN);
  request->method = (struct span){at, method};
  at += method;
  if (at == end) return "400 the request line is nothing but a word";
  if (method == 0 || *at != ' ') return "400 the method holds a byte that is not allowed";
  at++;
  size_t target = run(at, (size_t)(end - at), TARGET);
  request->target = (struct span){at, target};
  at += target;
  if (at == end) return "400 the request line has no version";
  if (target == 0 && *at == ' ') return "400 more than one space behind the method";
  if (target == 0 || *at != ' ') return "400 the target holds a byte that is not allowed";
  at++;
  const char *why = read_version((struct span){at, (size_t)(end - at)}, request);
  if (why != NULL) return why;
  return has_fit_form(request) ? NULL : "400 the target is of no form that fits the method";
}

/* ---- field lines --------------------------------------------------------------------------- */

static bool is_space(char byte) { return byte == ' ' || byte == '\t'; }

/* A control byte that no value may hold is in there; which one is of interest only then. */
static const char *why_not_value(const char *bytes, size_t length) {
  if (memchr(bytes, '\0', length) != NULL) return "400 a header field holds a NUL";
  if (memchr(bytes, '\r', length) != NULL) return "400 a carriage return without a line feed";
  return "400 a header field holds a control byte";
}

/* Without a branch in the loop, so that the compiler makes vectors of it. */
static bool has_control_byte(const char *bytes, size_t length) {
  unsigned found = 0;
  for (size_t i = 0; i < length; i++) {
    unsigned char byte = (unsigned char)bytes[i];
    found |= (unsigned)((byte < ' ') & (byte != '\t')) | (unsigned)(byte == 127);
  }
  return found != 0;
}

bool http_is_value(struct span text) { return !has_control_byte(text.data, text.length); }

static const char *why_not_name(const char *bytes, size_t length, size_t name) {
  if (name == 0 && is_space(bytes[0]))
    return "400 a line begins with white space (obsolete line folding)";
  if (name == length) return "400 a header line has no colon";
  if (name == 0 && bytes[0] == ':') return "400 a header field has no name";
  if (is_space(bytes[name])) {
    while (name < length && is_space(bytes[name])) name++;
    if (name < length && bytes[name] == ':') return "400 white space before a colon";
  } else if (bytes[name] == '\r') {
    return "400 a carriage return without a line feed";
  } else if (bytes[name] == '\0') {
    return "400 a header field holds a NUL";
  }
  return "400 the name of a header field holds a byte that is not allowed";
}

const char *http_read_field(struct span line, struct http_field *field) {
  const char *bytes = line.data;
  size_t name = run(bytes, line.length, TOKEN);
  if (name == 0 || name == line.length || bytes[name] != ':')
    return why_not_name(bytes, line.length, name);
  size_t from = name + 1, to = line.length;
  if (has_control_byte(bytes + from, to - from)) return why_not_value(bytes + from, to - from);
  while (from < to && is_space(bytes[from])) from++;
  while (to > from && is_space(bytes[to - 1])) to--;
  field->name = (struct span){bytes, name};
  field->value = (struct span){bytes + from, to - from};
  return NULL;
}

/* ---- the lines before chunks --------------------------------------------------------------- */

static unsigned hex_value(char byte) {
  if (byte <= '9') return (unsigned)(byte - '0');
  return (unsigned)((byte | 0x20) - 'a') + 10;
}

/* Skips a quoted string from behind its first quote to behind its last; *at is then the length if
 * it is not all there. */
static const char *skip_quoted(struct span bytes, size_t *at) {
  while (*at < bytes.length) {
    char byte = bytes.data[(*at)++];
    if (byte == '"') return NULL;
    if (byte == '\\') {
      if (*at == bytes.length) return NULL;
      byte = bytes.data[(*at)++];
      if (byte == '"' || byte == '\\') continue;
    }
    if (!is_kind(byte, QUOTED) && (unsigned char)byte < 128)
      return "400 a chunk extension holds a byte that is not allowed";
  }
  return NULL;
}

static const char *const bad_extension = "400 a chunk extension is malformed";

/* *at stands behind a semicolon; then behind the extension, or at the end of what is there. Each
 * part must have an end for the next to begin, so that a part which reaches the end of the bytes is
 * one that may go on. */
static const char *skip_extension(struct span bytes, size_t *at) {
  size_t name = run(bytes.data + *at, bytes.length - *at, TOKEN);
  *at += name;
  if (*at == bytes.length) return NULL;
  if (name == 0) return bad_extension;
  if (bytes.data[*at] != '=') return NULL;
  if (++*at == bytes.length) return NULL;
  if (bytes.data[*at] == '"') {
    ++*at;
    return skip_quoted(bytes, at);
  }
  size_t value = run(bytes.data + *at, bytes.length - *at, TOKEN);
  *at += value;
  return value == 0 && *at < bytes.length ? bad_extension : NULL;
}

static const char *why_not_chunk_size(char byte) {
  if (is_space(byte)) return "400 white space in the line of a chunk size";
  if (byte == '\n') return "400 a line feed without a carriage return";
  return "400 the chunk size holds a byte that is no hexadecimal digit";
}

const char *http_read_chunk_line(struct span bytes, struct http_chunk_line *line) {
  size_t at = 0;
  uint64_t size = 0;
  *line = (struct http_chunk_line){0, 0};
  if (bytes.length > HTTP_CHUNK_LINE_MAX) bytes.length = HTTP_CHUNK_LINE_MAX;
  for (; at < bytes.length && is_kind(bytes.data[at], HEX); at++) {
    if (size > (uint64_t)INT64_MAX >> 4) return "400 the chunk size does not fit into 63 bits";
    size = size << 4 | hex_value(bytes.data[at]);
  }
  if (at == bytes.length) return NULL;
  if (at == 0 && (bytes.data[0] == '\r' || bytes.data[0] == ';'))
    return "400 the chunk size is missing";
  if (at == 0) return why_not_chunk_size(bytes.data[0]);
  bool has_extension = false;
  while (bytes.data[at] == ';') {
    has_extension = true;
    at++;
    const char *why = skip_extension(bytes, &at);
    if (why != NULL) return why;
    if (at == bytes.length) return NULL;
  }
  if (bytes.data[at] != '\r')
    return has_extension ? bad_extension : why_not_chunk_size(bytes.data[at]);
  if (++at == bytes.length) return NULL;
  if (bytes.data[at] != '\n') return "400 a carriage return without a line feed";
  line->size = (size_t)size;
  line->length = at + 1;
  return NULL;
}
