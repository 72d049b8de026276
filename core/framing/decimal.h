/* decimal.h: reads the decimal length at the front of a length line and of a netstring.
 *
 * Private to the room. It is strict: two readers that disagree about "05" or "+5" disagree about
 * where the next request begins. A length has at most 20 bytes, so each call reads it again. */
#ifndef FRAMING_DECIMAL_H
#define FRAMING_DECIMAL_H

#include <stddef.h>
#include <stdint.h>

struct decimal {
  uint64_t value; /* At most INT64_MAX. */
  size_t size;    /* Bytes of the digits and the end mark; 0 while the end mark is missing. */
};

/* Reads digits up to the byte `end`. Returns NULL, or why the bytes cannot become a length. */
static inline const char *decimal_read(const char *bytes, size_t length, char end,
                                       struct decimal *decimal) {
  uint64_t value = 0;
  decimal->size = 0;
  for (size_t i = 0; i < length; i++) {
    unsigned digit = (unsigned char)bytes[i] - (unsigned)'0';
    if (digit > 9) {
      if (bytes[i] == '\r' && i > 0) return "the length is followed by a carriage return";
      if (bytes[i] != end) return "the length holds a byte that is not a digit";
      if (i == 0) return "the length is missing";
      decimal->value = value;
      decimal->size = i + 1;
      return NULL;
    }
    if (value == 0 && i > 0) return "the length has a leading zero";
    if (value > INT64_MAX / 10) return "the length does not fit into 63 bits";
    value = value * 10 + digit;
    if (value > INT64_MAX) return "the length does not fit into 63 bits";
  }
  return NULL;
}

#endif
