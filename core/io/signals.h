/* signals.h: SIGTERM, SIGINT and SIGHUP as bytes to read, so that the loop hears of them in its own
 * time.
 *
 * There is one set of handlers in a process. A second SIGTERM or SIGINT ends the process at once
 * with exit status 1. SIGPIPE and SIGXFSZ (a file got as large as files may be, which the write
 * tells too) are caught and dropped (not ignored: programs that a script starts would inherit
 * that). SIGUSR1 and SIGUSR2 mean nothing and end nothing: a program that sends one by mistake, say
 * to have logs reopened, is told in the log. */
#ifndef IO_SIGNALS_H
#define IO_SIGNALS_H

#include <stdbool.h>

#include "base/status.h"

/* From now on SIGHUP, SIGUSR1 and SIGUSR2 do not end the process; signals_open() makes up for what
 * came before it. false with errno. */
bool signals_catch_reload(void);

/* Installs the handlers; *fd becomes readable when the process is asked for something. It belongs
 * to the caller, and must stay open as long as the process lives. */
enum status signals_open(int *fd);

/* Whether the process has been asked to stop, for those who cannot wait for the descriptor. */
bool signals_asked_to_stop(void);

/* Whether the process has been asked to reload (SIGHUP) since this was last called. */
bool signals_take_reload(void);

/* The name of such a signal that has come since this was last called; NULL: none has. */
const char *signals_take_ignored(void);

#endif
