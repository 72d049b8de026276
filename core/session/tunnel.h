/* tunnel.h: a step that joins the peer with a channel (base/channel.h) until both have stopped
 * sending. It is the last step of its session.
 *
 * The handler moves the bytes: it takes those of the peer, session_rest() (steps.h), with
 * session_tunnel_take(), and queues those for the peer with session_tunnel_send(). Or the owner of
 * the session moves them itself, past the session: see session_join(). The channel is always the
 * handler's. */
#ifndef SESSION_TUNNEL_H
#define SESSION_TUNNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/channel.h"
#include "base/status.h"

struct session;

/* What the handler and the owner share while the owner moves the bytes. A member of the struct that
 * it belongs to (intrusive). */
struct session_joint {
  struct channel *channel;
  uint64_t from_peer; /* Bytes that went to the channel. */
  uint64_t to_peer;
  bool has_passed_peer_end;    /* The peer has stopped sending, and so was the channel. */
  bool has_passed_channel_end; /* The same the other way. */
};

/* ---- for the handler ------------------------------------------------------------------------ */

/* The step becomes a tunnel, and is about to wait. Its response has begun, and nothing is pushed to
 * the session any more. handler->on_progress tells that there is something to do for it. */
void session_begin_tunnel(struct session *session);

/* Whether a step has become a tunnel, also when that has ended. */
bool session_has_tunnel(const struct session *session);

/* Queues bytes for the peer. From outside of run(). */
enum status session_tunnel_send(struct session *session, const char *bytes, size_t length,
                                int64_t now);

/* Takes bytes of the peer from the front of session_rest(), which went to the channel. From outside
 * of run(). */
void session_tunnel_take(struct session *session, size_t length, int64_t now);

/* Bytes were moved one way or the other: idle_timeout begins anew. */
void session_note_tunneled(struct session *session, int64_t now);

/* Nothing more is sent to the peer when the output is sent. */
void session_end_sending(struct session *session);

/* Both ends have stopped sending, and all was passed on. response_timeout begins anew. If this is
 * not called before the session ends, the connection is to be reset. */
void session_end_tunnel(struct session *session);

/* The tunnel was torn down: ends the session, unless it has ended, and drops its output, in a later
 * turn. `is_reset`: the channel has broken. */
void session_break_tunnel(struct session *session, bool is_reset);

/* Asks the owner to move the bytes itself (hooks->join), which have none left in the session. It
 * gets the user of the channel, and tells the progress in the joint. True: it does, until
 * session_part(). handler->on_progress tells when both ends were passed on. */
bool session_join(struct session *session, struct session_joint *joint);
void session_part(struct session *session);

/* ---- for the owner -------------------------------------------------------------------------- */

/* Session and owner are joined: the handler is told of what the joint says now. */
void session_tunnel_progress(struct session *session);

/* Whether the peer does not take what the owner has for it: then write_timeout holds. */
void session_note_blocked(struct session *session, bool is_blocked, int64_t now);

/* Whether the peer is to be told that nothing more comes, now that the output is sent. */
bool session_has_said_all(const struct session *session);

/* Whether it is over, and not all bytes of its tunnel were passed on. */
bool session_is_cut(const struct session *session);

#endif
