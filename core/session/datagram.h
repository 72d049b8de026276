/* datagram.h: a session for one datagram.
 *
 * The whole datagram is a request, also an empty one; no framing and no SESSION_ASK looks for its
 * end, and there is no SESSION_CONNECT or SESSION_CLOSE. The step is SESSION_DATAGRAM; when it is
 * reported, the session is over. It has no output: what it answers goes to the owner at once
 * (session_hooks.send_datagram). While a step waits, the owner calls session_resume() and
 * session_expire() as for every session. */
#ifndef SESSION_DATAGRAM_H
#define SESSION_DATAGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "session/push.h"
#include "session/session.h"

/* The most bytes of a datagram that UDP over IPv4 can carry. */
enum { DATAGRAM_LONGEST_IPV4 = 65507 };

/* Like session_create(). The session is in no list of its service. */
struct session *session_create_datagram(struct handler *handler, struct session_owner *owner,
                                        int64_t now);

bool session_is_datagram(const struct session *session);

/* The datagram, which the session does not need after the call. Called once. Runs the handler. */
void session_receive_datagram(struct session *session, const char *bytes, size_t length,
                              int64_t now);

/* Sends one datagram to the sender. What is not sent is logged: PUSH_OVER, PUSH_TOO_LARGE,
 * PUSH_OVERLOADED, PUSH_NO_MEMORY; and PUSH_AMPLIFIES if all answers together would have more than
 * limits.amplification times the bytes of the request. */
enum push_result session_send_datagram(struct session *session, const char *bytes, size_t length);

/* Logs that a datagram from or to this peer was lost here; `detail` tells why. The owner of
 * sessions calls it for what it does not deliver itself. */
void datagram_log_dropped(const struct session_identity *who, struct session_failures *failures,
                          size_t length, const char *detail, int64_t now);

/* A detail for datagram_log_dropped(). */
extern const char datagram_too_large[];

#endif
