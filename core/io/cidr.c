#include "io/cidr.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

enum { IP_BITS = 128, IPV4_BITS = 96 /* Bits before an IPv4 address. */ };

/* The address in numbers. False: it is none. */
static bool parse_ip(const char *text, struct cidr *range, bool *is_ipv4) {
  union peer_address address = {.any.sa_family = AF_INET};
  *is_ipv4 = inet_pton(AF_INET, text, &address.ipv4.sin_addr) == 1;
  if (!*is_ipv4) {
    address = (union peer_address){.any.sa_family = AF_INET6};
    if (inet_pton(AF_INET6, text, &address.ipv6.sin6_addr) != 1) return false;
  }
  return address_ip(&address, range->ip);
}

/* A number of one to three digits. False: it is none, or over `most`. */
static bool parse_bits(const char *text, unsigned most, unsigned *bits) {
  size_t length = strspn(text, "0123456789");
  if (length < 1 || length > 3 || text[length] != '\0') return false;
  *bits = (unsigned)strtoul(text, NULL, 10);
  return *bits <= most;
}

static bool has_bits_behind(const struct cidr *range) {
  for (unsigned bit = range->bits; bit < IP_BITS; bit++)
    if (range->ip[bit / 8] >> (7 - bit % 8) & 1) return true;
  return false;
}

/* Returns NULL, or why the part is no range. */
static const char *parse_range(struct span part, struct cidr *range) {
  char text[INET6_ADDRSTRLEN + sizeof "/128"];
  bool is_ipv4;
  if (part.length >= sizeof text) return "not an IP address";
  memcpy(text, part.data, part.length);
  text[part.length] = '\0';
  char *slash = strchr(text, '/');
  if (slash) *slash = '\0';
  if (!parse_ip(text, range, &is_ipv4)) return "not an IP address";
  unsigned before = is_ipv4 ? IPV4_BITS : 0;
  unsigned bits = IP_BITS - before;
  if (slash && !parse_bits(slash + 1, bits, &bits))
    return is_ipv4 ? "the prefix is not a number from 0 to 32"
                   : "the prefix is not a number from 0 to 128";
  range->bits = before + bits;
  return has_bits_behind(range) ? "the address has bits that its prefix leaves out" : NULL;
}

static enum status add(struct cidr_list *list, struct span part, const char **why) {
  struct cidr range;
  if (part.length == 4 && memcmp(part.data, "unix", 4) == 0) {
    list->has_unix = true;
    return STATUS_OK;
  }
  *why = parse_range(part, &range);
  if (*why) return STATUS_ERROR;
  struct cidr *grown = realloc(list->ranges, (list->count + 1) * sizeof *grown);
  if (!grown) return STATUS_NO_MEMORY;
  list->ranges = grown;
  grown[list->count++] = range;
  return STATUS_OK;
}

enum status cidr_list_add(struct cidr_list *list, const char *text, struct span *fault,
                          const char **why) {
  for (;;) {
    *fault = (struct span){text, strcspn(text, ",")};
    enum status status = add(list, *fault, why);
    text += fault->length;
    if (status != STATUS_OK || *text == '\0') return status;
    text++;
  }
}

static bool has_ip(const struct cidr *range, const unsigned char ip[16]) {
  size_t bytes = range->bits / 8;
  unsigned rest = range->bits % 8;
  return memcmp(range->ip, ip, bytes) == 0 &&
         (rest == 0 || (range->ip[bytes] ^ ip[bytes]) >> (8 - rest) == 0);
}

bool cidr_list_has(const struct cidr_list *list, const union peer_address *peer) {
  unsigned char ip[16];
  if (!address_ip(peer, ip)) return list->has_unix;
  bool is_ipv4 = address_is_ipv4(ip);
  for (size_t i = 0; i < list->count; i++)
    if ((!is_ipv4 || list->ranges[i].bits >= IPV4_BITS) && has_ip(&list->ranges[i], ip))
      return true;
  return false;
}

void cidr_list_deinit(struct cidr_list *list) {
  free(list->ranges);
  *list = (struct cidr_list){0};
}
