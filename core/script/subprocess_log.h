/* subprocess_log.h: logs what a program of a script writes to its standard error: an event for each
 * line, at most 20 a second for all programs of a script. A line of more than 1,000 bytes is logged
 * in pieces. */
#ifndef SCRIPT_SUBPROCESS_LOG_H
#define SCRIPT_SUBPROCESS_LOG_H

#include <stddef.h>

#include "base/channel.h"

struct script;

struct subprocess_log {
  struct channel_user user;
  struct script *script;
  const char *program;     /* Its name, for the log. */
  struct channel *channel; /* NULL: it has ended, or is not open. */
  size_t length;
  char line[1000];
};

/* From now on what comes through the channel, which it owns, is logged. The log and the name must
 * not move. */
void subprocess_log_open(struct subprocess_log *log, struct script *script, const char *program,
                         struct channel *channel);

/* Logs what has come, and closes the channel. Does nothing if it is not open. */
void subprocess_log_close(struct subprocess_log *log);

#endif
