/* tap.h: who is told of what a script says to other servers, and they to it, such as a recording.
 *
 * The owner of a session may give it a tap, which is told of all that the script says and hears
 * while it answers this session. Nothing here may enter Lua; a call may free the tap. */
#ifndef BASE_TAP_H
#define BASE_TAP_H

#include <stdint.h>

#include "base/span.h"

enum tap_event {
  TAP_OPENS,    /* There is a connection. */
  TAP_SENDS,    /* The script sends bytes. */
  TAP_RECEIVES, /* The other server has sent bytes. */
  TAP_ENDS,     /* It has stopped sending. */
  TAP_BREAKS,   /* The connection is broken. */
  TAP_ENCRYPTS, /* It has TLS from now on. Or it has failed: the bytes are as for TAP_FAILS. */
  TAP_LAPSES,   /* The connection, which was kept for later use, is over. */
  TAP_FAILS     /* There is no connection: the bytes are the code of net.connect, a zero and why. */
};

struct tap {
  /* The script connects, or has a connection of before. Returns a number for it. */
  uint32_t (*on_connect)(struct tap *tap, const char *address);
  void (*on_event)(struct tap *tap, uint32_t connection, enum tap_event event, struct span bytes);
};

#endif
