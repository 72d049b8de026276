/* reason.h: why a conversation ended.
 *
 * Every end has exactly one reason, and it is the same word in the log, in handle_error and
 * handle_close, and in the counters; but for CLOSED, for which a script may give a word of its own.
 * NONE, DONE, CLOSED, PEER_CLOSED and DRAINED are replaced by what goes wrong before the last byte
 * is sent. Any other reason stays. */
#ifndef SESSION_REASON_H
#define SESSION_REASON_H

enum reason {
  REASON_NONE,             /* it has not ended */
  REASON_DONE,             /* the response was sent and close_when_done holds */
  REASON_CLOSED,           /* the script has closed it */
  REASON_PEER_CLOSED,      /* the peer stopped sending, and everything it asked for was answered */
  REASON_PEER_RESET,       /* the connection broke */
  REASON_MALFORMED,        /* the bytes can never become a request */
  REASON_TOO_LARGE,        /* the request is over a limit */
  REASON_REQUEST_TIMEOUT,  /* the request did not get complete in time */
  REASON_IDLE_TIMEOUT,     /* no request began in time */
  REASON_WRITE_TIMEOUT,    /* the peer did not take its response */
  REASON_RESPONSE_TIMEOUT, /* the response waited too long for something else than the peer */
  REASON_SLOW_READER,      /* too much was pushed that the peer did not take */
  REASON_OVERLOADED,       /* the server buffers too much for all, and the most for this one */
  REASON_SCRIPT_ERROR,     /* the script raised, or answered what the contract does not know */
  REASON_SCRIPT_OVERRUN,   /* a call into the script took too long */
  REASON_OUT_OF_MEMORY,    /* the script's memory limit, or the machine's */
  REASON_FILE_ERROR, /* a file of a response could not be read, shrank, or had nothing for long */
  REASON_DRAINED,    /* the server is stopping, and this conversation had nothing in hand */
  REASON_STOPPED,    /* the server stopped before the conversation could be finished */
  REASON_COUNT
};

/* The word for a reason ("peer_closed"); static. */
const char *reason_name(enum reason reason);

#endif
