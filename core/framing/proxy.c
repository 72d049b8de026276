#include "framing/proxy.h"

#include <string.h>

#include "framing/proxy_line.h"

/* Version 2, with the offsets of its fields. */
enum { SIGNATURE_SIZE = 12, COMMAND = 12, FAMILY = 13, LENGTH = 14, FIXED_SIZE = 16 };
static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";

enum { VERSION = 0x20, LOCAL = 0, PROXY = 1 };
enum { UNSPECIFIED = 0, INET = 1, INET6 = 2, UNIX = 3, DATAGRAM = 2 };
enum { INET_SIZE = 12, INET6_SIZE = 36, PATH_SIZE = 108, UNIX_SIZE = 2 * PATH_SIZE };

/* Behind the addresses stand records: a type, a length in two bytes, and a value. */
enum type {
  TYPE_ALPN = 0x01,
  TYPE_AUTHORITY = 0x02,
  TYPE_CRC32C = 0x03,
  TYPE_UNIQUE_ID = 0x05,
  TYPE_SSL = 0x20,
  TYPE_SSL_VERSION = 0x21,
  TYPE_SSL_COMMON_NAME = 0x22,
  TYPE_SSL_CIPHER = 0x23,
  TYPE_SSL_SIGNATURE = 0x24,
  TYPE_SSL_KEY = 0x25
};
enum { RECORD_HEAD = 3, CRC_SIZE = 4, SSL_HEAD = 5 };
enum { CLIENT_SSL = 1, CLIENT_HAS_CERTIFICATE = 2 | 4 };

const char proxy_not_a_header[] = "it begins as no header of the PROXY protocol does";

static unsigned byte_at(const char *bytes, size_t at) { return (unsigned char)bytes[at]; }

static unsigned number_at(const char *bytes, size_t at) {
  return byte_at(bytes, at) << 8 | byte_at(bytes, at + 1);
}

/* ---- the records --------------------------------------------------------------------------- */

/* Castagnoli's polynomial with its bits reversed, as in RFC 4960, appendix B. */
static uint32_t crc_add(uint32_t crc, const char *bytes, size_t length) {
  for (size_t i = 0; i < length; i++) {
    crc ^= byte_at(bytes, i);
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0x82f63b78U & (0U - (crc & 1U)));
  }
  return crc;
}

/* The sum in the header is that of all its bytes, with zeros where it stands itself. */
static bool is_crc_right(struct span header, struct span sum) {
  static const char zeros[CRC_SIZE];
  size_t before = (size_t)(sum.data - header.data);
  size_t behind = before + CRC_SIZE;
  uint32_t crc = crc_add(UINT32_MAX, header.data, before);
  crc = crc_add(crc, zeros, CRC_SIZE);
  crc = ~crc_add(crc, header.data + behind, header.length - behind);
  uint32_t given = (uint32_t)number_at(sum.data, 0) << 16 | number_at(sum.data, 2);
  return crc == given;
}

/* Takes one record from the front of *rest. False: it is not whole. */
static bool take_record(struct span *rest, unsigned *type, struct span *value) {
  if (rest->length < RECORD_HEAD) return false;
  size_t length = number_at(rest->data, 1);
  if (rest->length - RECORD_HEAD < length) return false;
  *type = byte_at(rest->data, 0);
  *value = (struct span){rest->data + RECORD_HEAD, length};
  *rest = (struct span){value->data + length, rest->length - RECORD_HEAD - length};
  return true;
}

static struct span *field_of_ssl(struct proxy_ssl *ssl, unsigned type) {
  switch (type) {
  case TYPE_SSL_VERSION: return &ssl->version;
  case TYPE_SSL_CIPHER: return &ssl->cipher;
  case TYPE_SSL_COMMON_NAME: return &ssl->common_name;
  case TYPE_SSL_SIGNATURE: return &ssl->signature;
  case TYPE_SSL_KEY: return &ssl->key;
  default: return NULL;
  }
}

static const char not_whole[] = "a record is longer than the bytes that are left";
static const char twice[] = "a record occurs twice";

/* Returns NULL, or why the record is malformed. */
static const char *read_ssl(struct span value, struct proxy_ssl *ssl) {
  if (value.length < SSL_HEAD) return "the record of TLS is too short";
  unsigned client = byte_at(value.data, 0);
  bool is_trusted = number_at(value.data, 1) == 0 && number_at(value.data, 3) == 0;
  struct span rest = {value.data + SSL_HEAD, value.length - SSL_HEAD};
  while (rest.length > 0) {
    unsigned type;
    if (!take_record(&rest, &type, &value)) return not_whole;
    struct span *field = field_of_ssl(ssl, type);
    if (field && field->data) return twice;
    if (field) *field = value;
  }
  ssl->is_used = (client & CLIENT_SSL) != 0;
  ssl->has_certificate = (client & CLIENT_HAS_CERTIFICATE) != 0;
  ssl->is_verified = ssl->has_certificate && is_trusted;
  return NULL;
}

static struct span *field_of_header(struct proxy_header *header, unsigned type) {
  switch (type) {
  case TYPE_ALPN: return &header->alpn;
  case TYPE_AUTHORITY: return &header->authority;
  case TYPE_UNIQUE_ID: return &header->unique_id;
  default: return NULL;
  }
}

/* Reads the records from `at` to the end. Returns NULL, or why they are malformed. */
static const char *read_records(struct span bytes, size_t at, struct proxy_header *header) {
  struct span rest = {bytes.data + at, bytes.length - at};
  struct span value;
  struct span sum = {0};
  struct span ssl = {0};
  while (rest.length > 0) {
    unsigned type;
    if (!take_record(&rest, &type, &value)) return not_whole;
    struct span *field = type == TYPE_CRC32C ? &sum
                         : type == TYPE_SSL  ? &ssl
                                             : field_of_header(header, type);
    if (field && field->data) return twice;
    if (field) *field = value;
  }
  if (sum.data && sum.length != CRC_SIZE) return "the checksum has not four bytes";
  if (sum.data && !is_crc_right(bytes, sum)) return "the checksum is wrong";
  if (header->unique_id.length > PROXY_UNIQUE_ID_MAX)
    return "the unique id is longer than 128 bytes";
  const char *why = ssl.data ? read_ssl(ssl, &header->ssl) : NULL;
  if (!header->ssl.is_used) header->ssl = (struct proxy_ssl){0};
  return why;
}

/* ---- version 2 ----------------------------------------------------------------------------- */

static size_t size_of_addresses(enum proxy_family family) {
  switch (family) {
  case PROXY_IPV4: return INET_SIZE;
  case PROXY_IPV6: return INET6_SIZE;
  case PROXY_UNIX: return UNIX_SIZE;
  default: return 0;
  }
}

static void read_ips(const char *bytes, size_t size, struct proxy_header *header) {
  memcpy(header->source.ip, bytes, size);
  memcpy(header->destination.ip, bytes + size, size);
  header->source.port = (uint16_t)number_at(bytes, 2 * size);
  header->destination.port = (uint16_t)number_at(bytes, 2 * size + 2);
}

static void read_addresses(const char *bytes, struct proxy_header *header) {
  if (header->family == PROXY_UNIX) {
    header->source.path = (struct span){bytes, strnlen(bytes, PATH_SIZE)};
    bytes += PATH_SIZE;
    header->destination.path = (struct span){bytes, strnlen(bytes, PATH_SIZE)};
  } else {
    read_ips(bytes, header->family == PROXY_IPV4 ? 4 : 16, header);
  }
}

/* Reads the fixed part as far as it is there, and sets the family. Returns NULL, or why it is
 * malformed. The family of a LOCAL header has no meaning. */
static const char *read_fixed(const char *bytes, size_t length, struct proxy_header *header) {
  if (memcmp(bytes, signature, length < SIGNATURE_SIZE ? length : SIGNATURE_SIZE) != 0)
    return proxy_not_a_header;
  if (length <= COMMAND) return NULL;
  unsigned command = byte_at(bytes, COMMAND);
  if (command != (VERSION | LOCAL) && command != (VERSION | PROXY))
    return "the version or the command is unknown";
  if (length <= FAMILY) return NULL;
  unsigned family = byte_at(bytes, FAMILY) >> 4;
  unsigned transport = byte_at(bytes, FAMILY) & 15;
  if (command == (VERSION | PROXY)) {
    if (family > UNIX || transport > DATAGRAM) return "the address family is unknown";
    if (family != UNSPECIFIED && transport != UNSPECIFIED)
      header->family = family == INET ? PROXY_IPV4 : family == INET6 ? PROXY_IPV6 : PROXY_UNIX;
  }
  if (length < FIXED_SIZE) return NULL;
  size_t left = number_at(bytes, LENGTH);
  if (left > PROXY_HEADER_MAX - FIXED_SIZE) return "the header is longer than 4096 bytes";
  if (left < size_of_addresses(header->family)) return "the header is too short for its addresses";
  return NULL;
}

static void decode_binary(const char *bytes, size_t length, struct proxy_header *header) {
  size_t needed = length < FIXED_SIZE ? length + 1 : FIXED_SIZE;
  *header = (struct proxy_header){.verdict = PROXY_COMPLETE};
  header->why = read_fixed(bytes, length, header);
  if (!header->why && length >= FIXED_SIZE) needed += number_at(bytes, LENGTH);
  if (!header->why && length >= needed && header->family != PROXY_NO_ADDRESS) {
    read_addresses(bytes + FIXED_SIZE, header);
    header->why = read_records((struct span){bytes, needed},
                               FIXED_SIZE + size_of_addresses(header->family), header);
  }
  header->length = needed;
  if (header->why)
    *header = (struct proxy_header){.verdict = PROXY_MALFORMED, .why = header->why};
  else if (length < needed)
    *header = (struct proxy_header){.verdict = PROXY_PARTIAL, .length = needed};
}

void proxy_decode(const char *bytes, size_t length, struct proxy_header *header) {
  if (length == 0)
    *header = (struct proxy_header){.verdict = PROXY_PARTIAL, .length = 1};
  else if (*bytes == *signature)
    decode_binary(bytes, length, header);
  else
    proxy_line_decode(bytes, length, header);
}
