/* recording.h: records the bytes of one session and writes them as a transcript when the session
 * has ended (docs/transcripts.md, "Recording"). Private to the server room.
 *
 * The client that plays a transcript reads each answer at once. So a transcript must hold the
 * answer to each input, and not how fast the peer has read it. Therefore all output of the session
 * is recorded before the session gets more input, also output that was not sent yet.
 *
 * A recording that gets too large, or for which there is no memory, is dropped: this is logged, and
 * the pointer becomes NULL. */
#ifndef SERVER_RECORDING_H
#define SERVER_RECORDING_H

#include "server/loop.h"
#include "session/session.h"

struct recording;

/* Starts the recording of a session that is about to start, and stores it at `place`, which must
 * not move; NULL: the session is not recorded. The server must have a recording_writer. The
 * recording is the tap of the session: what the script says to other servers is recorded, too. */
void recording_begin(struct recording **place, struct service *service, struct session *session);

/* To be called before the session gets these bytes, or learns that no more will come. */
void recording_receives(struct recording **recording, struct session *session, struct span bytes);
void recording_receives_end(struct recording **recording, struct session *session);

/* To be called when `sent` bytes of this output were sent, before session_sent(). */
void recording_sends(struct recording **recording, const struct span *spans,
                     const struct session_output *output, size_t sent);

/* To be called when as much was sent as the peer takes for now. What the session says after it had
 * nothing more to say, and before it gets input, is a push: it has its own time. */
void recording_settles(struct recording *recording, const struct session *session);

/* To be called before a call that may end the session before all its output is sent. */
void recording_look(struct recording **recording, struct session *session);

/* To be called after session_expire(), which recording_look() precedes. */
void recording_expired(struct recording **recording, struct session *session);

/* To be called when TLS has begun: before the session starts, or goes on. */
void recording_secures(struct recording **recording, struct session *session);

/* To be called before recording_finish(), if TLS has not begun though the session was to be
 * secured.
 */
void recording_fails_to_secure(struct recording *recording);

/* ---- datagrams ----------------------------------------------------------------------------- */

/* Starts the recording of what a peer, that of this session, and the service send each other, and
 * stores it at `place`, which must not move. False: it is not recorded. Unlike one of a session, it
 * stays valid when it is dropped. */
bool recording_begin_datagrams(struct recording **place, struct service *service,
                               const struct session *session);

/* For the sessions of the datagrams. */
struct tap *recording_tap(struct recording *recording);

/* Records a datagram of the peer, or one of the service. */
void recording_datagram(struct recording **recording, bool is_peers, struct span datagram);

/* Writes the transcript, and frees. No session may have the tap. */
void recording_finish_datagrams(struct recording *recording);

/* ---- the end ------------------------------------------------------------------------------- */

/* Writes the transcript. To be called when the session has ended, before it is destroyed. */
void recording_finish(struct recording **recording, struct session *session);

#endif
