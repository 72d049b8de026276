/* alpn.h: lists of protocols for TLS's ALPN (RFC 7301), such as "h2,http/1.1". */
#ifndef BASE_ALPN_H
#define BASE_ALPN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Whether the text is a list of names from 1 to 255 bytes each. */
static inline bool alpn_is_valid(const char *list) {
  size_t length;
  do {
    length = strcspn(list, ",");
    if (length == 0 || length > UINT8_MAX) return false;
    list += length;
  } while (*list++ == ',');
  return true;
}

#endif
