#include "session/reason.h"

const char *reason_name(enum reason reason) {
  static const char *const names[REASON_COUNT] = {
      [REASON_NONE] = "none",
      [REASON_DONE] = "done",
      [REASON_CLOSED] = "closed",
      [REASON_PEER_CLOSED] = "peer_closed",
      [REASON_PEER_RESET] = "peer_reset",
      [REASON_MALFORMED] = "malformed",
      [REASON_TOO_LARGE] = "too_large",
      [REASON_REQUEST_TIMEOUT] = "request_timeout",
      [REASON_IDLE_TIMEOUT] = "idle_timeout",
      [REASON_WRITE_TIMEOUT] = "write_timeout",
      [REASON_RESPONSE_TIMEOUT] = "response_timeout",
      [REASON_SLOW_READER] = "slow_reader",
      [REASON_OVERLOADED] = "overloaded",
      [REASON_SCRIPT_ERROR] = "script_error",
      [REASON_SCRIPT_OVERRUN] = "script_overrun",
      [REASON_OUT_OF_MEMORY] = "out_of_memory",
      [REASON_FILE_ERROR] = "file_error",
      [REASON_DRAINED] = "drained",
      [REASON_STOPPED] = "stopped",
  };
  return names[reason];
}
