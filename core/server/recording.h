/* recording.h: what is said in one conversation, until it is over and its transcript is written
 * (docs/transcripts.md, "Recording"). Private to the server room.
 *
 * A transcript is played back by a client that reads at once, so it has to say what the server
 * answers to what it has been given, and not how fast the peer took that. Before the session is
 * given anything, all that it has to say by then is therefore put down, also what has not been sent
 * yet.
 *
 * What cannot be recorded to its end (there is too much of it, or no memory) is dropped, which sets
 * the pointer to NULL and is logged. */
#ifndef SERVER_RECORDING_H
#define SERVER_RECORDING_H

#include "server/loop.h"
#include "session/session.h"

struct recording;

/* For a session that is about to start; the server must have a recording_writer. NULL: it is not
 * recorded.
 */
struct recording *recording_begin(struct service *service);

/* The session is about to be given these bytes, or told that no more will come. */
void recording_receives(struct recording **recording, struct session *session, struct span bytes);
void recording_receives_end(struct recording **recording, struct session *session);

/* So much of what session_output() gave was sent; the session is about to be told. */
void recording_sends(struct recording **recording, struct session *session,
                     const struct span *spans, const struct session_output *output, size_t sent);

/* The session may be about to end before it has said all. */
void recording_look(struct recording **recording, struct session *session);

/* session_expire() was called, behind recording_look(). */
void recording_expired(struct recording **recording, struct session *session);

/* The session has ended and is about to be destroyed: writes the transcript. */
void recording_finish(struct recording **recording, struct session *session);

#endif
