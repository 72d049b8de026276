#include "framing/http_target.h"

#include <string.h>

#include "framing/http_bytes.h"

/* uri-host [ ":" port ] (RFC 3986, 3.2.2 and 3.2.3). Both may be empty. */
struct authority {
  struct span host;
  struct span port; /* Its data is NULL if there is no colon. */
};

static struct span rest_of(struct span text, size_t from) {
  return (struct span){text.data + from, text.length - from};
}

static bool is_digit(char byte) { return byte >= '0' && byte <= '9'; }

static bool is_letter(char byte) {
  char lower = (char)(byte | 0x20);
  return lower >= 'a' && lower <= 'z';
}

static bool starts_with(struct span text, const char *start) {
  size_t length = strlen(start);
  return text.length >= length && memcmp(text.data, start, length) == 0;
}

/* "%" and two hexadecimal digits. */
static bool is_encoded(struct span text, size_t at) {
  return text.length - at >= 3 && text.data[at] == '%' &&
         http_is_kind(text.data[at + 1], HTTP_HEX) && http_is_kind(text.data[at + 2], HTTP_HEX);
}

/* How many bytes at the front are of the kind or percent-encoded. */
static size_t run_encoded(struct span text, enum http_kind kind) {
  size_t at = http_run(text.data, text.length, kind);
  while (is_encoded(text, at)) {
    at += 3;
    at += http_run(text.data + at, text.length - at, kind);
  }
  return at;
}

/* ---- hosts --------------------------------------------------------------------------------- */

static bool is_ipv4(struct span text) {
  size_t at = 0;
  for (int octet = 0; octet < 4; octet++) {
    if (octet > 0 && (at == text.length || text.data[at++] != '.')) return false;
    size_t start = at;
    int value = 0;
    while (at < text.length && at - start < 3 && is_digit(text.data[at]))
      value = value * 10 + (text.data[at++] - '0');
    bool has_zero_first = at - start > 1 && text.data[start] == '0';
    if (at == start || value > 255 || has_zero_first) return false;
  }
  return at == text.length;
}

/* Eight groups. One "::" stands for groups that are left out. IPv4 may replace the last two. */
static bool is_ipv6(struct span text) {
  unsigned groups = 0;
  bool has_gap = false;
  for (size_t at = 0;;) {
    if (starts_with(rest_of(text, at), "::")) {
      if (has_gap) return false;
      has_gap = true;
      at += 2;
      if (at == text.length) break;
    } else if (groups > 0 && text.data[at++] != ':') {
      return false;
    }
    size_t digits = http_run(text.data + at, text.length - at, HTTP_HEX);
    if (at + digits < text.length && text.data[at + digits] == '.') {
      if (!is_ipv4(rest_of(text, at))) return false;
      groups += 2;
      break;
    }
    if (digits < 1 || digits > 4) return false;
    groups++;
    at += digits;
    if (at == text.length) break;
  }
  return has_gap ? groups <= 7 : groups == 8;
}

/* "v", hexadecimal digits, a dot, and more. */
static bool is_ipv_future(struct span text) {
  if (text.length == 0 || (text.data[0] | 0x20) != 'v') return false;
  text = rest_of(text, 1);
  size_t digits = http_run(text.data, text.length, HTTP_HEX);
  if (digits == 0 || digits == text.length || text.data[digits] != '.') return false;
  text = rest_of(text, digits + 1);
  for (size_t i = 0; i < text.length; i++)
    if (text.data[i] != ':' && !http_is_kind(text.data[i], HTTP_NAME)) return false;
  return text.length > 0;
}

/* The length of an address in brackets at the front; 0 if there is none. */
static size_t run_literal(struct span text) {
  const char *close = memchr(text.data, ']', text.length);
  if (close == NULL) return 0;
  struct span address = {text.data + 1, (size_t)(close - text.data) - 1};
  return is_ipv6(address) || is_ipv_future(address) ? address.length + 2 : 0;
}

static bool is_port(struct span text) {
  unsigned port = 0;
  for (size_t i = 0; i < text.length; i++) {
    unsigned digit = (unsigned char)text.data[i] - (unsigned)'0';
    port = port * 10 + digit;
    if (digit > 9 || port > 65535) return false;
  }
  return true;
}

static bool read_authority(struct span text, struct authority *authority) {
  bool is_literal = text.length > 0 && text.data[0] == '[';
  size_t host = is_literal ? run_literal(text) : run_encoded(text, HTTP_NAME);
  *authority = (struct authority){.host = {text.data, host}};
  if (host == text.length) return true;
  if (text.data[host] != ':') return false;
  authority->port = rest_of(text, host + 1);
  return is_port(authority->port);
}

bool http_is_host(struct span value) {
  struct authority authority;
  size_t name = http_run(value.data, value.length, HTTP_NAME);
  if (name == value.length) return true;
  if (name > 0 && value.data[name] == ':') return is_port(rest_of(value, name + 1));
  return read_authority(value, &authority) && authority.host.length > 0;
}

/* ---- targets ------------------------------------------------------------------------------- */

size_t http_run_path(struct span text) {
  size_t at = run_encoded(text, HTTP_PATH);
  if (at < text.length && text.data[at] == '?') {
    at++;
    at += http_run(text.data + at, text.length - at, HTTP_QUERY);
  }
  return at;
}

/* RFC 3986, 3.1. */
static size_t run_scheme(struct span text) {
  size_t at = 0;
  if (text.length == 0 || !is_letter(text.data[0])) return 0;
  for (; at < text.length; at++) {
    char byte = text.data[at];
    if (!is_letter(byte) && !is_digit(byte) && byte != '+' && byte != '-' && byte != '.') break;
  }
  return at;
}

/* scheme "://" uri-host [ ":" port ], a path and a query. A target without a host, or with a user
 * name before the host, is refused (RFC 9110, 4.2.1 and 4.2.4). */
static bool read_absolute(struct span target, struct span *authority) {
  struct authority parts;
  struct span rest = rest_of(target, run_scheme(target));
  if (rest.length == target.length || !starts_with(rest, "://")) return false;
  rest = rest_of(rest, 3);
  size_t length = 0;
  while (length < rest.length && rest.data[length] != '/' && rest.data[length] != '?') length++;
  *authority = (struct span){rest.data, length};
  rest = rest_of(rest, length);
  return read_authority(*authority, &parts) && parts.host.length > 0 &&
         http_run_path(rest) == rest.length;
}

static bool is_word(struct span text, const char *word) {
  return text.length == strlen(word) && memcmp(text.data, word, text.length) == 0;
}

/* RFC 9110, 9.3.6: a port other than 0 must be there. */
static bool is_place_to_connect(struct span target) {
  struct authority place;
  if (!read_authority(target, &place) || place.host.length == 0) return false;
  for (size_t i = 0; i < place.port.length; i++)
    if (place.port.data[i] != '0') return true;
  return false;
}

bool http_is_target(struct span method, struct span target) {
  struct span authority;
  if (method.length == 7 && is_word(method, "CONNECT")) return is_place_to_connect(target);
  if (target.data[0] == '/') return true;
  if (is_word(target, "*")) return is_word(method, "OPTIONS");
  return read_absolute(target, &authority);
}

bool http_named_host(const struct http_request *request, struct span *host) {
  if (request->target.data[0] == '/' || is_word(request->target, "*")) return false;
  *host = request->target;
  return is_word(request->method, "CONNECT") || read_absolute(request->target, host);
}
