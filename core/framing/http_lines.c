#include "framing/http_lines.h"

#include <stdint.h>
#include <string.h>

#include "framing/http_bytes.h"
#include "framing/http_target.h"

/* clang-format off */
/* Indexed by the byte, 16 in a line. No byte over 127 is of a kind. */
const unsigned char http_kinds[256] = {
     0,  0,  0,  0,  0,  0,  0,  0,  0,  8,  0,  0,  0,  0,  0,  0,
     0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
     8, 47,  0,  9, 47, 41, 47, 47, 46, 46, 47, 47, 46, 47, 47, 42,
    63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 42, 46,  8, 46,  8, 40,
    42, 63, 63, 63, 63, 63, 63, 47, 47, 47, 47, 47, 47, 47, 47, 47,
    47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 40, 32, 40, 41, 47,
    41, 63, 63, 63, 63, 63, 63, 47, 47, 47, 47, 47, 47, 47, 47, 47,
    47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 47, 40, 41, 40, 47,  0,
};
/* clang-format on */

bool http_is_name(struct span text) {
  return text.length > 0 && http_run(text.data, text.length, HTTP_TOKEN) == text.length;
}

bool http_next_line(struct span *lines, struct span *line) {
  const char *why;
  if (http_find_line(lines->data, lines->length, 0, 0, line, &why) != READING_DONE) return false;
  lines->data += line->length + 2;
  lines->length -= line->length + 2;
  return true;
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

/* The length of the target at the front. A target that does not begin with "/" is checked later, by
 * http_is_target(). */
static size_t run_target(struct span rest) {
  if (rest.length > 0 && rest.data[0] == '/') return http_run_path(rest);
  const char *space = memchr(rest.data, ' ', rest.length);
  return space == NULL ? rest.length : (size_t)(space - rest.data);
}

static const char *why_not_target(char byte) {
  return byte == '%' ? "400 the target is not percent-encoded properly"
                     : "400 the target holds a byte that is not allowed";
}

const char *http_read_request_line(struct span line, struct http_request *request) {
  const char *at = line.data, *end = line.data + line.length;
  if (line.length == 0) return "400 the request line is empty";
  size_t method = http_run(at, line.length, HTTP_TOKEN);
  request->method = (struct span){at, method};
  at += method;
  if (at == end) return "400 the request line is nothing but a word";
  if (method == 0 || *at != ' ') return "400 the method holds a byte that is not allowed";
  at++;
  size_t target = run_target((struct span){at, (size_t)(end - at)});
  request->target = (struct span){at, target};
  at += target;
  if (at == end) return "400 the request line has no version";
  if (target == 0 && *at == ' ') return "400 more than one space behind the method";
  if (target == 0 || *at != ' ') return why_not_target(*at);
  at++;
  const char *why = read_version((struct span){at, (size_t)(end - at)}, request);
  if (why != NULL) return why;
  return http_is_target(request->method, request->target)
             ? NULL
             : "400 the target is of no form that fits the method";
}

/* ---- the status line ------------------------------------------------------------------------ */

static bool is_digit(char byte) { return byte >= '0' && byte <= '9'; }

/* Servers leave out the space before an empty reason, although they must not. */
const char *http_read_status_line(struct span line, struct http_response *response) {
  enum { VERSION = sizeof "HTTP/1.1" - 1, STATUS = VERSION + sizeof " 200" - 1 };
  const char *text = line.data;
  if (line.length < STATUS || memcmp(text, "HTTP/1.", 7) != 0 || !is_digit(text[7]))
    return "400 the status line does not begin as that of HTTP/1.0 or HTTP/1.1 does";
  const char *digits = text + VERSION + 1;
  bool is_status = text[VERSION] == ' ' && digits[0] >= '1' && is_digit(digits[0]) &&
                   is_digit(digits[1]) && is_digit(digits[2]);
  if (!is_status || (line.length > STATUS && text[STATUS] != ' '))
    return "400 the status is not a number of three digits";
  response->minor = text[7] != '0';
  response->status =
      (unsigned)((digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0'));
  response->reason = (struct span){text + STATUS, line.length - STATUS};
  if (response->reason.length > 0)
    response->reason = (struct span){text + STATUS + 1, line.length - STATUS - 1};
  return http_is_value(response->reason) ? NULL : "400 the reason phrase holds a control byte";
}

/* ---- field lines --------------------------------------------------------------------------- */

static bool is_space(char byte) { return byte == ' ' || byte == '\t'; }

/* The bytes have a control byte that no value may have: says which one. */
static const char *why_not_value(const char *bytes, size_t length) {
  if (memchr(bytes, '\0', length) != NULL) return "400 a header field holds a NUL";
  if (memchr(bytes, '\r', length) != NULL) return "400 a carriage return without a line feed";
  return "400 a header field holds a control byte";
}

/* Whether one of the eight bytes may be a control byte. True also for a tab, and for a byte behind
 * one that is a control byte. */
static bool may_have_control_byte(const char *bytes) {
  const uint64_t each = 0x0101010101010101u, high = each * 0x80;
  uint64_t word;
  memcpy(&word, bytes, sizeof word);
  uint64_t delete = word ^ each * 127;
  return ((((word - each * ' ') & ~word) | ((delete - each) & ~delete)) & high) != 0;
}

static bool is_control_byte(char byte) {
  return ((unsigned char)byte < ' ' && byte != '\t') || byte == 127;
}

/* Nearly no value has a tab, so that nearly all are looked at eight bytes at a time alone. */
static bool has_control_byte(const char *bytes, size_t length) {
  bool may_have = length < 8;
  for (size_t i = 0; i + 8 <= length; i += 8) may_have |= may_have_control_byte(bytes + i);
  if (length >= 8) may_have |= may_have_control_byte(bytes + length - 8);
  for (size_t i = 0; may_have && i < length; i++)
    if (is_control_byte(bytes[i])) return true;
  return false;
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
  size_t name = http_run(bytes, line.length, HTTP_TOKEN);
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

bool http_next_field(struct span *fields, struct http_field *field) {
  struct span line;
  return http_next_line(fields, &line) && http_read_field(line, field) == NULL;
}

bool http_next_element(struct span *list, struct span *element) {
  const char *at = list->data, *end = list->data + list->length;
  while (at < end && (*at == ',' || is_space(*at))) at++;
  const char *start = at;
  for (bool is_quoted = false; at < end && (is_quoted || *at != ','); at++) {
    if (*at == '"') is_quoted = !is_quoted;
    if (*at == '\\' && is_quoted && at + 1 < end) at++;
  }
  *list = (struct span){at, (size_t)(end - at)};
  while (at > start && is_space(at[-1])) at--;
  *element = (struct span){start, (size_t)(at - start)};
  return at > start;
}

/* ---- the lines before chunks --------------------------------------------------------------- */

static unsigned hex_value(char byte) {
  if (byte <= '9') return (unsigned)(byte - '0');
  return (unsigned)((byte | 0x20) - 'a') + 10;
}

/* Moves *at from behind the opening quote to behind the closing one, or to the end of the bytes if
 * the string is not complete. */
static const char *skip_quoted(struct span bytes, size_t *at) {
  while (*at < bytes.length) {
    char byte = bytes.data[(*at)++];
    if (byte == '"') return NULL;
    if (byte == '\\') {
      if (*at == bytes.length) return NULL;
      byte = bytes.data[(*at)++];
      if (byte == '"' || byte == '\\') continue;
    }
    if (!http_is_kind(byte, HTTP_QUOTED) && (unsigned char)byte < 128)
      return "400 a chunk extension holds a byte that is not allowed";
  }
  return NULL;
}

static const char *const bad_extension = "400 a chunk extension is malformed";

static void skip_space(struct span bytes, size_t *at) {
  while (*at < bytes.length && is_space(bytes.data[*at])) ++*at;
}

/* Moves *at from behind a semicolon to behind the extension, or to the end of the bytes. A part
 * that reaches the end of the bytes may be incomplete, so it is not judged. White space around each
 * part is allowed and has no meaning. */
static const char *skip_extension(struct span bytes, size_t *at) {
  skip_space(bytes, at);
  size_t name = http_run(bytes.data + *at, bytes.length - *at, HTTP_TOKEN);
  *at += name;
  if (*at == bytes.length) return NULL;
  if (name == 0) return bad_extension;
  skip_space(bytes, at);
  if (*at == bytes.length || bytes.data[*at] != '=') return NULL;
  ++*at;
  skip_space(bytes, at);
  if (*at == bytes.length) return NULL;
  if (bytes.data[*at] == '"') {
    ++*at;
    return skip_quoted(bytes, at);
  }
  size_t value = http_run(bytes.data + *at, bytes.length - *at, HTTP_TOKEN);
  *at += value;
  return value == 0 && *at < bytes.length ? bad_extension : NULL;
}

static const char *why_not_chunk_size(char byte) {
  if (is_space(byte)) return "400 white space in the line of a chunk size";
  if (byte == '\n') return "400 a line feed without a carriage return";
  return "400 the chunk size holds a byte that is no hexadecimal digit";
}

/* Moves *at from behind the size to the carriage return, or to the end of the bytes. White space is
 * allowed before an extension, but not behind the size alone (RFC 9112, 7.1.1). */
static const char *skip_extensions(struct span bytes, size_t *at) {
  for (bool has_extension = false;; has_extension = true) {
    size_t end = *at;
    skip_space(bytes, at);
    if (*at == bytes.length) return NULL;
    char byte = bytes.data[*at];
    if (byte == '\r' && !is_space(bytes.data[*at - 1])) return NULL;
    if (byte != ';') return has_extension ? bad_extension : why_not_chunk_size(bytes.data[end]);
    ++*at;
    const char *why = skip_extension(bytes, at);
    if (why != NULL) return why;
    if (*at == bytes.length) return NULL;
  }
}

const char *http_read_chunk_line(struct span bytes, struct http_chunk_line *line) {
  size_t at = 0;
  uint64_t size = 0;
  *line = (struct http_chunk_line){0, 0};
  if (bytes.length > HTTP_CHUNK_LINE_MAX) bytes.length = HTTP_CHUNK_LINE_MAX;
  for (; at < bytes.length && http_is_kind(bytes.data[at], HTTP_HEX); at++) {
    if (size > (uint64_t)INT64_MAX >> 4) return "400 the chunk size does not fit into 63 bits";
    size = size << 4 | hex_value(bytes.data[at]);
  }
  if (at == bytes.length) return NULL;
  if (at == 0 && (bytes.data[0] == '\r' || bytes.data[0] == ';'))
    return "400 the chunk size is missing";
  if (at == 0) return why_not_chunk_size(bytes.data[0]);
  const char *why = skip_extensions(bytes, &at);
  if (why != NULL) return why;
  if (at == bytes.length) return NULL;
  if (++at == bytes.length) return NULL;
  if (bytes.data[at] != '\n') return "400 a carriage return without a line feed";
  line->size = (size_t)size;
  line->length = at + 1;
  return NULL;
}

bool http_next_chunk(struct span *body, struct span *data) {
  struct http_chunk_line line;
  http_read_chunk_line(*body, &line);
  if (line.size == 0) return false;
  *data = (struct span){body->data + line.length, line.size};
  body->data = data->data + line.size + 2;
  body->length -= line.length + line.size + 2;
  return true;
}
