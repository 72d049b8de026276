#include "session/failure_log.h"

#include <string.h>

#include "base/log.h"
#include "framing/framing.h"
#include "session/session.h"
#include "session/session_internal.h"

/* By the place in the script that the detail begins with ("chat.lua:12:"), whatever stands behind
 * that: an error that a peer can cause at will hides no error of another place. */
static struct log_limit *limit_of_error(struct session_failures *failures, const char *detail) {
  unsigned hash = 0;
  size_t length = strcspn(detail, " \n");
  for (size_t i = 0; i < length; i++) hash = hash * 31 + (unsigned char)detail[i];
  return &failures->of_places[hash % SESSION_PLACES];
}

void failure_log(struct session *session, enum reason reason, const char *detail) {
  bool is_peers = reason == REASON_MALFORMED || reason == REASON_TOO_LARGE ||
                  reason == REASON_REQUEST_TIMEOUT || reason == REASON_WRITE_TIMEOUT ||
                  reason == REASON_RESPONSE_TIMEOUT || reason == REASON_SLOW_READER ||
                  reason == REASON_OVERLOADED;
  struct session_failures *failures = session->owner->hooks->failures;
  struct log_limit *limit = is_peers ? &failures->of_peers : limit_of_error(failures, detail);
  struct log_line line;
  if (!log_begin_limited(&line, is_peers ? LOG_WARN : LOG_ERROR, reason_name(reason), limit,
                         session->now))
    return;
  struct session_identity who;
  session_identify(session, &who);
  log_text(&line, "service", who.service);
  log_text(&line, "peer", who.host);
  log_integer(&line, "port", who.port);
  struct span input = session_buffered(session);
  size_t most = log_shown_bytes(), shown = input.length < most ? input.length : most;
  log_integer(&line, "buffered", (int64_t)input.length);
  if (shown > 0) {
    log_hex(&line, "hex", input.data, shown);
    log_bytes(&line, "text", input.data, shown);
  }
  if (most == 0 && reason == REASON_MALFORMED)
    log_bytes(&line, "detail", detail, framing_why_length(detail));
  else
    log_block(&line, "detail", detail);
  log_end(&line);
}
