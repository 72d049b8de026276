/* session.h: one connection's conversation, without I/O: the calls of its owner.
 *
 * Bytes go in, requests come of them; responses are queued, bytes come out. The session keeps the
 * order, the limits of time and size, and the rules for closing. It has no socket and reads no
 * clock: that is left to its owner (the server room, the simulator, a spec, a fuzzer), which tells
 * what has happened and takes the output. What a request means is left to the handler (handler.h),
 * which has calls of its own (steps.h).
 *
 * A session is not thread-safe. Most calls run the handler before they return; of this
 * header the handler may call session_identify(), session_reason(), session_requests() and
 * session_is_responding(), and nothing else. All times are milliseconds of the owner's clock. */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/span.h"
#include "base/status.h"
#include "session/handler.h"
#include "session/held.h"
#include "session/reason.h"

/* A session stops reading and asking while this much output is unsent, and goes on when it has gone
 * down to the low mark. */
enum { SESSION_HIGH_WATER = 256 * 1024, SESSION_LOW_WATER = 64 * 1024 };

/* The most bytes of a reason that a script gives (session_close() in push.h). */
enum { SESSION_WORD_MAX = 64 };

struct session;
struct proxy_header; /* framing/proxy.h */
struct tap;          /* base/tap.h */

/* The two ends of the connection. The pointers are valid during the call that asked. */
struct session_identity {
  const char *service; /* The name of the protocol, for the log. */
  const char *host;    /* The peer's address in numbers. */
  const char *name;    /* The peer's name if it was looked up, else the same as host. */
  unsigned port;
  const char *server_host;
  unsigned server_port;
  const struct proxy_header *proxy; /* What a proxy has sent of the peer; NULL: nothing. */
  const char *transport;            /* "tcp", "tls", "udp" or "unix"; a static text. */
  bool can_secure; /* The owner can secure the connection, which is not secure: see steps.h. */
};

/* Limits for the log lines about failures, shared by many sessions. All zeros at first. Peers
 * cannot flood the log, and a failure that a peer can cause does not hide an error of the script
 * at another place. */
enum { SESSION_PLACES = 16 };
struct session_failures {
  struct log_limit of_peers;
  struct log_limit of_places[SESSION_PLACES]; /* By the hash of the place in the script. */
};

struct session_owner;
struct session_joint;

/* What the owners of many sessions share. */
struct session_hooks {
  /* Fills in the identity. It is called for the log, and when the script asks: not often. */
  void (*identify)(struct session_owner *owner, struct session_identity *identity);
  struct session_failures *failures;
  int64_t ask_pause;         /* See session_deadline(); 0 ms: no pause. */
  struct held_strings *held; /* Shared by many sessions; NULL: each session counts its own. */
  /* The time now. It is asked after the handler has run. NULL: no time passes while it runs. */
  int64_t (*now)(struct session_owner *owner);
  /* The session can go on: session_resume() is to be called in a later turn. NULL: the owner looks
   * at session_wants_turn() of all its sessions. Called from within Lua. */
  void (*wake)(struct session_owner *owner);
  /* Whether so many bytes more may be pushed to a session, which other sessions of the owner take
   * memory beside. NULL: always. Called from within Lua. */
  bool (*has_room)(struct session_owner *owner, size_t length);
  /* Output was queued while the handler of the session was not running: it is to be sent in a later
   * turn. NULL: the owner looks at the output of all its sessions. Called from within Lua. */
  void (*on_output)(struct session_owner *owner);
  /* What is known of TLS: texts with a zero byte behind each of them, in the order of
   * io/tls.h. The bytes are valid until this is called again, for any session. STATUS_CLOSED: the
   * connection has no TLS. STATUS_NO_MEMORY. NULL: no connection has TLS. */
  enum status (*describe_tls)(struct session_owner *owner, struct span *text);
  /* Queues a datagram to the peer of a session of datagram.h. STATUS_ERROR: it is too large for
   * this peer. STATUS_FULL: too many wait. STATUS_NO_MEMORY. NULL: the owner has no such sessions.
   * Called from within Lua. */
  enum status (*send_datagram)(struct session_owner *owner, struct span datagram);
  /* See session_join() and session_part() in tunnel.h. NULL: it never moves the bytes itself. */
  bool (*join)(struct session_owner *owner, struct session_joint *joint);
  void (*part)(struct session_owner *owner);
  /* True: a stream that has nothing now is asked again at session_deadline(). False: reading a
   * stream waits for it, so that simulated time gives the same result in each run. */
  bool asks_later;
};

/* A member of what owns the session. */
struct session_owner {
  const struct session_hooks *hooks; /* They outlive the session. */
};

/* The owner must outlive the session, and so must the handler unless it gets a successor. NULL:
 * there is no memory. */
struct session *session_create(struct handler *handler, struct session_owner *owner, int64_t now);

/* Who is told of what the handler says to other servers for this session; NULL: nobody. The tap
 * must be valid as long as the session has it. */
void session_set_tap(struct session *session, struct tap *tap);
struct tap *session_tap(const struct session *session);

/* Runs the handler for SESSION_CONNECT, if it wants that. */
void session_start(struct session *session, int64_t now);

/* ---- input --------------------------------------------------------------------------------- */

/* Whether to read for it now: false while too much output waits (back pressure). */
bool session_wants_input(const struct session *session);

/* True: the session holds an unfinished request, and its next bytes should be read into *space,
 * which saves a copy. False: read into any buffer. */
bool session_space(struct session *session, struct span *space);

/* Bytes have arrived, in the space of session_space() or elsewhere. The session has used or copied
 * them when the call returns. Runs the handler for every request that is complete now. */
void session_receive(struct session *session, const char *bytes, size_t length, int64_t now);

/* The peer has stopped sending; it may still read. */
void session_receive_end(struct session *session, int64_t now);

/* How many of the received bytes are part of no answered request. */
size_t session_unanswered(const struct session *session);

/* ---- output -------------------------------------------------------------------------------- */

/* The next output: either up to `capacity` spans of bytes, which stay valid until the session is
 * next called, or a part of a file. */
struct session_output {
  size_t count;       /* How many spans there are. */
  bool more;          /* Other output follows these spans. */
  int file;           /* The descriptor to send from, when count is 0; else -1. */
  int64_t offset;     /* Where in the file the part begins. */
  size_t file_length; /* How many bytes of the file are to be sent. */
};
void session_output(const struct session *session, struct span *spans, size_t capacity,
                    struct session_output *output);

/* Whether session_output() has something to send. */
bool session_has_output(const struct session *session);

/* `length` bytes of what session_output() gave have been sent. */
void session_sent(struct session *session, size_t length, int64_t now);

/* The peer has taken bytes that were sent before: the limits of time that count from its progress
 * begin anew. */
void session_delivered(struct session *session, int64_t now);

/* The file at the head of the output ended before its length, or could not be read. */
void session_file_failed(struct session *session, int64_t now);

/* A part of a response waits that is no copied bytes: a held string, a file or a stream. Pushed
 * bytes (push.h) are no such part. */
bool session_is_responding(const struct session *session);

/* ---- turns and time ------------------------------------------------------------------------ */

/* Does what can be done after output was sent: the next piece, the next request. */
void session_resume(struct session *session, int64_t now);

/* The session has more to do, such as requests after its share of time is used: call
 * session_resume() after the other sessions had their turn. */
bool session_wants_turn(const struct session *session);

/* When session_expire() should be called if nothing happens before; CLOCK_NEVER: never. This is a
 * limit of time, the retry of a stream, or the time to ask the handler again: where more than 16
 * KiB of an unfinished request wait and less than a sixty-fourth of them is new, the handler is
 * asked again only after the owner's ask_pause. */
int64_t session_deadline(const struct session *session);
void session_expire(struct session *session, int64_t now);

/* When the last response was sent or the unfinished request began; else when it was created. */
int64_t session_idle_since(const struct session *session);

/* If the handler has a successor (handler.h), moves the session to the newest handler when nothing
 * is in hand, else leaves that to the call that finishes what is in hand. Never runs the handler,
 * and costs next to nothing when there is nothing to do. May free the old handler. True: the
 * session has the newest handler, or is over and keeps the one it has. May change
 * session_deadline(). */
bool session_migrate(struct session *session, int64_t now);

/* What ends a peer for this session, while its handler waits for something else. */
enum session_peer {
  SESSION_PEER_IS_READ,  /* Nothing waits: reading and writing tell of the peer. */
  SESSION_PEER_CAN_END,  /* The session is to be aborted when the peer is gone. */
  SESSION_PEER_MUST_SEND /* The same when the peer has stopped sending. */
};
enum session_peer session_peer(const struct session *session);

/* ---- security ------------------------------------------------------------------------------- */

/* The peer has asked for security, and all of the answer was sent: the owner is to secure the
 * connection, within request_timeout. What comes before that must not be given to the session, or
 * ends it. */
bool session_is_securing(const struct session *session);

/* The connection is secure: the session goes on. */
void session_secured(struct session *session, int64_t now);

/* ---- resources ----------------------------------------------------------------------------- */

/* Bytes of memory for the unfinished request, what was read of a body, and the unsent output. A
 * held string counts for one of the sessions that send it. Files do not count. */
size_t session_memory(const struct session *session);

/* Held strings that it sends count for this session from now on, if they count for none. */
void session_claim(struct session *session);

/* How many descriptors its output holds: one for each part of a file, and one for a stream that has
 * nothing now. */
size_t session_files(const struct session *session);

/* The server has too much in memory, and this session is one of the largest: ends it with
 * REASON_OVERLOADED. True: its output was dropped; false: the output of SESSION_ERROR is still to
 * be sent. */
bool session_refuse(struct session *session, int64_t now);

/* ---- the end ------------------------------------------------------------------------------- */

/* The server is stopping: the session finishes what is in hand, then ends. */
void session_drain(struct session *session, int64_t now);

/* Ends it now and drops its output. Its reason becomes `reason` if it was NONE, DONE, CLOSED,
 * PEER_CLOSED or DRAINED; any other reason stays. Does nothing if session_finished(). */
void session_abort(struct session *session, enum reason reason, int64_t now);

/* There is no time left for the handler: session_destroy() will not run it for SESSION_CLOSE. */
void session_abandon(struct session *session);

/* It has ended and all its output is sent: close the connection. */
bool session_finished(const struct session *session);

/* Why it ended, or will end when its output is sent; REASON_NONE while it goes on. */
enum reason session_reason(const struct session *session);

/* The word for that reason; after session_close() the text that was given, if there is one. Valid
 * as long as the session. */
const char *session_reason_text(const struct session *session);

/* Fills in who is connected. */
void session_identify(struct session *session, struct session_identity *identity);

/* See describe_tls of struct session_hooks. */
enum status session_describe_tls(struct session *session, struct span *text);

/* How many requests were answered. */
uint64_t session_requests(const struct session *session);

/* The last interim response ("100 Continue") that the peer was sent, a static text; NULL: none.
 * Whether one is sent depends on how the bytes of the request arrive. */
const char *session_interim(const struct session *session);

/* Ends it with REASON_STOPPED if it has not ended, runs the handler for SESSION_CLOSE unless the
 * session was abandoned, releases everything, and frees. */
void session_destroy(struct session *session, int64_t now);

#endif
