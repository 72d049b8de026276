/* body.h: the body of a request whose framing streams it (FRAMING_HEAD).
 *
 * It begins with SESSION_ANSWER, and lasts until the response was sent: then what is left of it is
 * dropped, or the session ends. Meanwhile it has one user, who takes its data and is told when more
 * has come. A session without such a body has none of this. */
#ifndef SESSION_BODY_H
#define SESSION_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "session/reason.h"

struct session;

/* The most bytes of a body with a length that are dropped, so that the connection goes on. */
enum { SESSION_BODY_DROPPED = 64 * 1024 };

/* Who takes the data. A member of the struct that it belongs to (intrusive). */
struct session_body_user {
  /* More bytes have come, or the end of all bytes, while they were wanted. Not from within the
   * handler. */
  void (*on_bytes)(struct session_body_user *user);
  /* The session has no body any more when this returns, and forgets the user. May be called from
   * within the handler, and must not enter it. */
  void (*on_over)(struct session_body_user *user);
  /* How many bytes of data the user has in memory, which the script has not taken. */
  size_t (*unread)(const struct session_body_user *user);
};

/* Whether the session has a body, at its end or not. */
bool session_has_body(const struct session *session);

/* Whether bytes of a body are still to be taken before what comes next on the connection. */
bool session_is_in_body(const struct session *session);

/* NULL: nobody uses it any more. */
void session_use_body(struct session *session, struct session_body_user *user);

/* Takes up to `capacity` bytes of data, at least 1. STATUS_AGAIN: they have not come.
 * STATUS_CLOSED: the body has ended. STATUS_ERROR: it is broken: see session_body_fault(). */
enum status session_read_body(struct session *session, char *into, size_t capacity, size_t *length);

/* Whether the user waits for bytes: until then idle_timeout holds, and a peer that waits for it is
 * told to go on. */
void session_want_body(struct session *session, bool is_wanted, int64_t now);

/* Why the body is broken: REASON_MALFORMED, REASON_TOO_LARGE, or REASON_PEER_CLOSED if the peer has
 * stopped sending before its end. REASON_NONE: it is not. `why` is a static text, or NULL. */
enum reason session_body_fault(const struct session *session, const char **why);

/* Whether another request can follow behind the body. It cannot if the script has not read the body
 * to its end, unless its length is at most SESSION_BODY_DROPPED. Nor if the peer waits to be told
 * to send it. This does not depend on how the bytes have come. */
bool session_goes_on(const struct session *session);

/* The handler has failed. If the body is broken, the handler has failed for that reason, and the
 * session fails with the fault of the body. False: the body is not broken, or there is none. */
bool session_fail_body(struct session *session);

#endif
