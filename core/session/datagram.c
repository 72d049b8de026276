#include "session/datagram.h"

#include <stdint.h>

#include "session/session_internal.h"
#include "session/session_list.h"

static enum push_result result_of(enum status status) {
  switch (status) {
  case STATUS_OK: return PUSH_QUEUED;
  case STATUS_FULL: return PUSH_OVERLOADED;
  case STATUS_NO_MEMORY: return PUSH_NO_MEMORY;
  default: return PUSH_TOO_LARGE;
  }
}

const char datagram_too_large[] = "it is too large to be sent";

/* UDP over IPv6 can carry no more. The owner knows if this peer gets less. */
enum { LONGEST = 65527 };

struct session *session_create_datagram(struct handler *handler, struct session_owner *owner,
                                        int64_t now) {
  struct session *session = session_create(handler, owner, now);
  if (!session) return NULL;
  if (handler->list) session_list_remove(handler->list, session);
  session->is_datagram = true;
  session->state = STATE_DATAGRAM;
  session_abandon(session); /* So nothing is told of its end. */
  return session;
}

bool session_is_datagram(const struct session *session) { return session->is_datagram; }

void session_receive_datagram(struct session *session, const char *bytes, size_t length,
                              int64_t now) {
  const struct limits *limits = &session->handler->limits;
  session->now = now;
  session->borrowed = (struct span){bytes, length};
  session->allowance = limits->amplification > 0 ? limits->amplification * length : SIZE_MAX;
  if (length > limits->max_request)
    session_fail(session, REASON_TOO_LARGE, "the datagram is over max_request");
  session_resume(session, now);
  session->borrowed = (struct span){NULL, 0};
}

void datagram_log_dropped(const struct session_identity *who, struct session_failures *failures,
                          size_t length, const char *detail, int64_t now) {
  struct log_line line;
  if (!log_begin_limited(&line, LOG_WARN, "datagram_dropped", &failures->of_peers, now)) return;
  log_text(&line, "service", who->service);
  log_text(&line, "peer", who->host);
  log_integer(&line, "port", who->port);
  log_integer(&line, "bytes", (int64_t)length);
  log_text(&line, "detail", detail);
  log_end(&line);
}

static void log_drop(struct session *session, size_t length, const char *detail) {
  struct session_identity who;
  session_identify(session, &who);
  datagram_log_dropped(&who, session->owner->hooks->failures, length, detail, session->now);
}

enum push_result session_send_datagram(struct session *session, const char *bytes, size_t length) {
  struct session_owner *owner = session->owner;
  enum push_result result = PUSH_QUEUED;
  if (session->state >= STATE_CLOSING) return PUSH_OVER;
  if (length > LONGEST)
    result = PUSH_TOO_LARGE;
  else if (length > session->allowance)
    result = PUSH_AMPLIFIES;
  else
    result = result_of(owner->hooks->send_datagram(owner, (struct span){bytes, length}));
  if (result == PUSH_QUEUED && session->allowance != SIZE_MAX) session->allowance -= length;
  if (result == PUSH_TOO_LARGE) log_drop(session, length, datagram_too_large);
  if (result == PUSH_AMPLIFIES)
    log_drop(session, length, "the answers would be longer than `amplification` allows");
  if (result == PUSH_OVERLOADED) log_drop(session, length, "too many datagrams wait to be sent");
  return result;
}
