/* handler.h: what a session needs from a protocol.
 *
 * The script room implements it with Lua; the fuzzer and some specs with a few lines of C.
 *
 * A handler may get a successor. Then each of its sessions moves to the successor when it has
 * nothing in hand: between two requests, or before SESSION_CONNECT. In hand are a request of which
 * a byte was looked at; a response of which a file, a held string or a stream is still to be sent;
 * and SESSION_ERROR. The handler that began with them finishes them. A session that ends without
 * another request gets its SESSION_CLOSE from the handler that it has then. */
#ifndef SESSION_HANDLER_H
#define SESSION_HANDLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "framing/framing.h"

struct session;
struct session_list;

/* What a session may use. A time of 0 ms means that there is no limit. */
struct limits {
  size_t max_request;       /* Bytes of a request, framing included. */
  int64_t request_timeout;  /* ms from the first byte of a request to its last. */
  int64_t idle_timeout;     /* ms between two requests. */
  int64_t write_timeout;    /* ms in which the peer takes no byte of a response. */
  int64_t response_timeout; /* ms that a response may wait for anything but the peer. */
  size_t max_datagrams;     /* Datagrams that are not answered yet, at most; 0: any. */
  size_t amplification;     /* Times the bytes of a datagram that all answers have; 0: any. */
  size_t max_unsent;        /* Pushed bytes that wait to be sent, at most. */
};

struct handler {
  const struct framing *framing; /* Finds the end of a request; NULL: SESSION_ASK does. */
  struct limits limits;
  bool has_files;        /* Its responses are likely to have files. */
  bool ends_with_peer;   /* What waits is not wanted any more when the peer has stopped sending. */
  bool wants_on_connect; /* SESSION_CONNECT is a step when the session starts. */
  bool wants_on_expect;  /* SESSION_EXPECT is a step. Only with a framing of HTTP. */
  bool wants_on_error;   /* SESSION_ERROR is a step after a failure. */
  bool wants_on_close;   /* SESSION_CLOSE is a step when the session has ended. */

  /* Does the steps of session_next() (steps.h) until that is SESSION_WAIT. It may return early
   * after session_fail(), and is called again while there is a step. It is never called from within
   * itself. */
  void (*run)(struct handler *handler, struct session *session);

  /* What run() has suspended (session_suspend()) is not wanted any more. The session is then woken,
   * and run() must report it with session_cancelled(). NULL: the handler suspends nothing. */
  void (*cancel)(struct handler *handler, struct session *session);

  /* What a suspended step awaits (session_await()) may have come: it is to look, so the session is
   * woken. NULL: the handler awaits nothing. */
  void (*on_progress)(struct handler *handler, struct session *session);

  /* Releases what the session got by reference (a held string, a file, a stream): it was sent, or
   * never will be. */
  void (*release)(struct handler *handler, struct session *session, int reference);

  /* The last byte was sent of a response with a file, a held string or a stream. (After any other
   * response, and after a stream at the end, run() finds SESSION_WAIT instead.) Called outside of
   * run(); it cannot fail. NULL: nothing is called. */
  void (*on_sent)(struct handler *handler, struct session *session);

  /* The session is over, and session_client() is not its client any more: nothing may lead from the
   * client to the session. The last call for a session; it cannot fail. NULL: the handler sets no
   * clients. */
  void (*forget_client)(struct handler *handler, struct session *session);

  /* The handler that takes over; NULL: none. The handler's owner sets it, to the newest handler and
   * never back to NULL, while no call of a session is under way. A handler without sessions at that
   * moment is not used again. */
  struct handler *successor;

  struct session_list *list; /* Shared with its successors; NULL: none. */

  size_t sessions; /* How many sessions have this handler. The session room counts them. */

  /* The session, which has nothing in hand, is about to get `successor`, the newest handler: makes
   * its client (session_client()) one of the successor. Called outside of run(); it cannot fail.
   * NULL: the client stays as it is. */
  void (*migrate)(struct handler *handler, struct session *session, struct handler *successor);

  /* The last session of a handler with a successor has left. It may free the handler: nothing
   * touches it afterwards. Called outside of run(). NULL: nothing is called. */
  void (*on_unused)(struct handler *handler);
};

#endif
