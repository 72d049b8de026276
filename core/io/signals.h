/* signals.h: delivers SIGTERM, SIGINT, SIGHUP and SIGUSR1 to the loop through a pipe.
 *
 * There is one set of handlers in a process. A second SIGTERM or SIGINT ends the process at once
 * with exit status 1. The handlers of SIGPIPE and SIGXFSZ (write() fails as well when a file has
 * reached the size limit) do nothing; the signals are not set to "ignore", because programs that a
 * script starts would inherit that. SIGUSR2 has no effect: the log has a warning, for whoever sends
 * it by mistake. */
#ifndef IO_SIGNALS_H
#define IO_SIGNALS_H

#include <stdbool.h>

#include "base/status.h"

/* From now on SIGHUP, SIGUSR1 and SIGUSR2 do not end the process. signals_open() reports those that
 * have come before. False: errno says why. */
bool signals_catch_reload(void);

/* Installs the handlers. *fd becomes readable when one of the signals has come. It belongs to the
 * caller, and must stay open as long as the process lives. */
enum status signals_open(int *fd);

/* Whether SIGTERM or SIGINT has come. */
bool signals_asked_to_stop(void);

/* Whether SIGHUP has come since the last call. */
bool signals_take_reload(void);

/* Whether SIGUSR1 has come since the last call: the file of the log is to be opened again. */
bool signals_take_reopen(void);

/* Whether SIGUSR2 has come since the last call. */
bool signals_take_ignored(void);

#endif
