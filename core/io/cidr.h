/* cidr.h: a list of ranges of addresses: "10.0.0.0/8,2001:db8::/32,192.0.2.7,unix".
 *
 * An address without a prefix is a range of one. `unix` stands for all Unix sockets. An IPv4
 * address that is written as IPv6 (::ffff:192.0.2.7) is that IPv4 address, in a list and as a peer;
 * no other range of IPv6 has IPv4 addresses. A list of all zeros is empty. */
#ifndef IO_CIDR_H
#define IO_CIDR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"
#include "base/status.h"
#include "io/address.h"

struct cidr {
  unsigned char ip[16]; /* As address_ip() gives it. */
  unsigned bits;        /* Of ip: 0 to 128. */
};

struct cidr_list {
  struct cidr *ranges;
  size_t count;
  bool has_unix;
};

/* Adds the ranges of a text, which have commas between them. STATUS_ERROR: *fault is the part of
 * the text that is no range, and *why a static phrase; the ranges before it have been added. */
enum status cidr_list_add(struct cidr_list *list, const char *text, struct span *fault,
                          const char **why);

bool cidr_list_has(const struct cidr_list *list, const union peer_address *peer);

void cidr_list_deinit(struct cidr_list *list);

#endif
