#include "framing/proxy_line.h"

#include <string.h>

/* What is left of the line. Each function that reads takes its bytes from the front. */
struct text {
  const char *at;
  const char *end;
};

static bool take(struct text *text, char byte) {
  if (text->at == text->end || *text->at != byte) return false;
  text->at++;
  return true;
}

/* A decimal number of at most `max`, without leading zeros. */
static bool take_number(struct text *text, unsigned max, unsigned *number) {
  const char *start = text->at;
  *number = 0;
  for (; text->at < text->end && *text->at >= '0' && *text->at <= '9'; text->at++) {
    if (text->at == start + 1 && *start == '0') return false;
    *number = *number * 10 + (unsigned)(*text->at - '0');
    if (*number > max) return false;
  }
  return text->at > start;
}

static bool take_ipv4(struct text *text, unsigned char ip[4]) {
  for (int i = 0; i < 4; i++) {
    unsigned number;
    if (i > 0 && !take(text, '.')) return false;
    if (!take_number(text, 255, &number)) return false;
    ip[i] = (unsigned char)number;
  }
  return true;
}

static int hex_digit(char byte) {
  if (byte >= '0' && byte <= '9') return byte - '0';
  if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
  if (byte >= 'A' && byte <= 'F') return byte - 'A' + 10;
  return -1;
}

/* One to four hexadecimal digits. */
static bool take_group(struct text *text, unsigned char two[2]) {
  const char *start = text->at;
  unsigned value = 0;
  for (; text->at < text->end && text->at < start + 4; text->at++) {
    int digit = hex_digit(*text->at);
    if (digit < 0) break;
    value = value * 16 + (unsigned)digit;
  }
  two[0] = (unsigned char)(value >> 8);
  two[1] = (unsigned char)value;
  return text->at > start;
}

/* Whether the next group is the first number of an IPv4 address, as in "::ffff:192.0.2.1". */
static bool is_dotted(const struct text *text) {
  const char *at = text->at;
  while (at < text->end && *at >= '0' && *at <= '9') at++;
  return at < text->end && *at == '.';
}

static bool is_at_end_of_word(const struct text *text) {
  return text->at == text->end || *text->at == ' ';
}

/* Groups with a colon between them, once with two for all zeros that are left out. */
static bool take_ipv6(struct text *text, unsigned char ip[16]) {
  enum { NO_GAP = 16 };
  unsigned char groups[16];
  size_t size = 0;
  size_t gap = NO_GAP; /* How many bytes stand before the two colons. */
  bool more = true;
  if (text->end - text->at >= 2 && text->at[0] == ':' && text->at[1] == ':') {
    text->at += 2;
    gap = 0;
    more = !is_at_end_of_word(text);
  }
  while (more) {
    if (is_dotted(text)) {
      if (size > 12 || !take_ipv4(text, groups + size)) return false;
      size += 4;
      break;
    }
    if (size > 14 || !take_group(text, groups + size)) return false;
    size += 2;
    more = take(text, ':');
    if (more && take(text, ':')) {
      if (gap != NO_GAP) return false;
      gap = size;
      more = !is_at_end_of_word(text);
    }
  }
  if (gap == NO_GAP ? size != 16 : size > 14) return false;
  size_t before = gap == NO_GAP ? size : gap;
  memset(ip, 0, 16);
  memcpy(ip, groups, before);
  memcpy(ip + 16 - (size - before), groups + before, size - before);
  return true;
}

static bool take_ip(struct text *text, enum proxy_family family, unsigned char ip[16]) {
  return family == PROXY_IPV4 ? take_ipv4(text, ip) : take_ipv6(text, ip);
}

static bool take_port(struct text *text, uint16_t *port) {
  unsigned number;
  if (!take_number(text, UINT16_MAX, &number)) return false;
  *port = (uint16_t)number;
  return true;
}

static bool take_ends(struct text *text, struct proxy_header *header) {
  return take_ip(text, header->family, header->source.ip) && take(text, ' ') &&
         take_ip(text, header->family, header->destination.ip) && take(text, ' ') &&
         take_port(text, &header->source.port) && take(text, ' ') &&
         take_port(text, &header->destination.port) && text->at == text->end;
}

static void refuse(struct proxy_header *header, const char *why) {
  *header = (struct proxy_header){.verdict = PROXY_MALFORMED, .why = why};
}

/* Sets the family and *size, the bytes of the words at the front. False: they are not all there, or
 * are others, and the header says which. */
static bool read_family(const char *bytes, size_t length, struct proxy_header *header,
                        size_t *size) {
  static const struct {
    const char *words;
    enum proxy_family family;
  } beginnings[] = {{"PROXY TCP4 ", PROXY_IPV4},
                    {"PROXY TCP6 ", PROXY_IPV6},
                    {"PROXY UNKNOWN ", PROXY_NO_ADDRESS},
                    {"PROXY UNKNOWN\r", PROXY_NO_ADDRESS}};
  refuse(header, proxy_not_a_header);
  for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++) {
    *size = strlen(beginnings[i].words);
    if (memcmp(bytes, beginnings[i].words, length < *size ? length : *size) != 0) continue;
    *header = (struct proxy_header){.verdict = PROXY_PARTIAL, .length = length + 1};
    header->family = length < *size ? PROXY_NO_ADDRESS : beginnings[i].family;
    return length >= *size;
  }
  return false;
}

/* Looks for CR LF and sets header->length to the bytes up to its end. False: it is not there, and
 * the header says why. What stands before it matters only if there are addresses. */
static bool find_end(const char *bytes, size_t length, struct proxy_header *header) {
  size_t window = length < PROXY_LINE_MAX ? length : PROXY_LINE_MAX;
  for (size_t i = 1; i < window; i++) {
    bool follows_return = bytes[i - 1] == '\r';
    if (follows_return && bytes[i] == '\n') {
      header->length = i + 1;
      return true;
    }
    if (header->family != PROXY_NO_ADDRESS && (follows_return || bytes[i] == '\n')) {
      refuse(header, "the line does not end with CR LF");
      return false;
    }
  }
  if (window == PROXY_LINE_MAX) refuse(header, "the line does not end within 107 bytes");
  return false;
}

void proxy_line_decode(const char *bytes, size_t length, struct proxy_header *header) {
  size_t words;
  if (!read_family(bytes, length, header, &words) || !find_end(bytes, length, header)) {
    header->family = PROXY_NO_ADDRESS;
    return;
  }
  struct text text = {bytes + words, bytes + header->length - 2};
  if (header->family != PROXY_NO_ADDRESS && !take_ends(&text, header))
    refuse(header, "the line has not two addresses and two ports");
  else
    header->verdict = PROXY_COMPLETE;
}
