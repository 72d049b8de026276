#include "script/subprocess_log.h"

#include <string.h>

#include "base/log.h"
#include "script/script_internal.h"

enum { LAST_READS = 64 /* Of 1,000 bytes at most: about what a pipe holds. */ };

static void write_line(const struct subprocess_log *log, const char *bytes, size_t length) {
  struct log_line line;
  struct script *script = log->script;
  if (!log_begin_limited(&line, LOG_WARN, "program", &script->subprocesses.lines,
                         script_now(script)))
    return;
  log_text(&line, "service", script->name);
  log_text(&line, "program", log->program);
  log_bytes(&line, "message", bytes, length);
  log_end(&line);
}

/* Writes the lines that are complete, and the rest if it fills the room. */
static void write_lines(struct subprocess_log *log) {
  size_t start = 0;
  const char *end;
  while ((end = memchr(log->line + start, '\n', log->length - start))) {
    size_t length = (size_t)(end - log->line) - start;
    if (length > 0) write_line(log, log->line + start, length);
    start += length + 1;
  }
  log->length -= start;
  memmove(log->line, log->line + start, log->length);
  if (log->length < sizeof log->line) return;
  write_line(log, log->line, log->length);
  log->length = 0;
}

static void end(struct subprocess_log *log) {
  struct channel *channel = log->channel;
  log->channel = NULL;
  channel->class->close(channel, false);
  if (log->length > 0) write_line(log, log->line, log->length);
  log->length = 0;
}

/* False: no more can be read now. */
static bool read_some(struct subprocess_log *log) {
  size_t length;
  enum status status = log->channel->class->receive(log->channel, log->line + log->length,
                                                    sizeof log->line - log->length, &length);
  if (status == STATUS_AGAIN) return false;
  if (status != STATUS_OK) {
    end(log);
    return false;
  }
  log->length += length;
  write_lines(log);
  return true;
}

static void on_ready(struct channel_user *user, unsigned events) {
  (void)events;
  (void)read_some((struct subprocess_log *)((char *)user - offsetof(struct subprocess_log, user)));
}

void subprocess_log_open(struct subprocess_log *log, struct script *script, const char *program,
                         struct channel *channel) {
  *log = (struct subprocess_log){
      .user.on_ready = on_ready, .script = script, .program = program, .channel = channel};
  channel->user = &log->user;
  channel->class->watch(channel, CHANNEL_READ);
}

void subprocess_log_close(struct subprocess_log *log) {
  for (int i = 0; i < LAST_READS && log->channel && read_some(log); i++) continue;
  if (log->channel) end(log);
}
