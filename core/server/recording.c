#include "server/recording.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/recording_writer.h"
#include "server/transcript.h"

enum {
  /* In ms. Reads within this time after the first are one step, since one request can take several
   * reads. The step has the time of its first read, so that a play misses no limit of time. */
  STEP_TIME = 10,
  ANSWER_TIME = 100,     /* In ms. If the peer took longer to read an answer, a `wait` says so. */
  FILE_CHUNK = 16 * 1024 /* How many bytes of a file are read at once. */
};

enum kind {
  SENDS,   /* The client sends bytes. */
  ENDS,    /* The client stops sending. */
  ANSWERS, /* The server sends bytes. */
  EXPIRES  /* A limit of time ends the session. */
};

/* `steps` is a log of steps: of each, this header and its bytes. */
struct step {
  int64_t when; /* In ms since the beginning; of ANSWERS the time when the last byte was sent. */
  uint32_t length;
  enum kind kind;
};

/* What recording_look() saw. The log of steps cannot tell how a session ends: a session that is
 * aborted drops its output and its input, and then no step shows what it still had to do. */
struct look {
  bool is_whole; /* The whole answer was in `steps`. */
  bool is_idle;  /* The whole answer was sent. */
  bool closes;   /* The server was to close after the answer. */
  size_t unseen; /* How many bytes of the client the script had not seen. */
};

struct recording {
  struct recording_job job; /* The first member: its address is the recording's. */
  struct service *service;  /* The writer's thread must not use it. */
  struct buffer *steps;
  size_t last;        /* Where in `steps` the last step begins. */
  size_t ahead;       /* Bytes of the session's output that are in `steps` but not sent yet. */
  int64_t began;      /* The beginning by the server's clock, which limits of time use. */
  int64_t began_real; /* The beginning by the clock of scripts, which the steps use. */
  int64_t when;       /* The clock of scripts when it was last read, in ms since the beginning. */
  int64_t lead;       /* The most ms that the clock of scripts was ahead of the server's. */
  uint64_t reloads;   /* How often the script had been reloaded at the beginning. */
  size_t received;    /* Bytes from the client. */
  bool ends;          /* The client has stopped sending. */
  struct look look;   /* The last look. */
  enum reason reason; /* Set at the end. */
  int64_t ended;      /* In ms since the beginning. Set at the end. */
};

static struct recording_writer *writer_of(const struct recording *recording) {
  return recording->service->server->recording_writer;
}

static int64_t server_time(const struct recording *recording) {
  return recording->service->server->now - recording->began;
}

/* Returns the time that has passed for a script, in ms. The server's clock stands during a turn;
 * the clock of scripts does not. */
static int64_t script_time(struct recording *recording) {
  int64_t when = clock_coarse_real_milliseconds() - recording->began_real;
  if (when > recording->when) recording->when = when; /* The clock can be set back. */
  int64_t lead = recording->when - server_time(recording);
  if (lead > recording->lead) recording->lead = lead;
  return recording->when;
}

struct recording *recording_begin(struct service *service) {
  struct server *server = service->server;
  if (!recording_writer_take_place(server->recording_writer)) return NULL;
  struct recording *recording = calloc(1, sizeof *recording);
  if (!recording) {
    log_event(LOG_WARN, "record_dropped", "detail", "not enough memory");
    recording_writer_give_back(server->recording_writer);
    return NULL;
  }
  recording->service = service;
  recording->began = server->now;
  recording->began_real = clock_coarse_real_milliseconds();
  recording->reloads = service->reloads;
  return recording;
}

static void destroy(struct recording **recording) {
  writer_of(*recording)->memory -= buffer_bytes((*recording)->steps).length;
  buffer_free(&(*recording)->steps);
  free(*recording);
  *recording = NULL;
}

static void drop(struct recording **recording, struct session *session, enum log_level level,
                 const char *event, const char *detail) {
  struct log_line line;
  struct recording_writer *recording_writer = writer_of(*recording);
  if (log_begin_limited(&line, level, event, &recording_writer->limit,
                        (*recording)->service->server->now)) {
    struct session_identity who;
    session_identify(session, &who);
    log_text(&line, "service", who.service);
    log_text(&line, "peer", who.host);
    log_integer(&line, "port", who.port);
    log_text(&line, "detail", detail);
    log_end(&line);
  }
  recording_writer_give_back(recording_writer);
  destroy(recording);
}

static void drop_for_memory(struct recording **recording, struct session *session) {
  drop(recording, session, LOG_WARN, "record_dropped", "not enough memory");
}

/* ---- steps --------------------------------------------------------------------------------- */

static struct step step_at(const struct recording *recording, size_t place) {
  struct step step;
  const struct buffer *steps = recording->steps;
  memcpy(&step, steps->data + steps->start + place, sizeof step);
  return step;
}

static void put_step(struct recording *recording, const struct step *step) {
  struct buffer *steps = recording->steps;
  memcpy(steps->data + steps->start + recording->last, step, sizeof *step);
}

/* Whether bytes that come now belong to the last step. */
static bool goes_on(const struct recording *recording, enum kind kind, int64_t when) {
  if (!recording->steps) return false;
  struct step last = step_at(recording, recording->last);
  if (last.kind != kind) return false;
  if (kind == ANSWERS) return true;
  /* The answer may contain the time, mostly in seconds, so that a step stays within a second. */
  int64_t began = recording->began_real;
  return kind == SENDS && when - last.when < STEP_TIME &&
         (began + when) / 1000 == (began + last.when) / 1000;
}

/* Adds a step without bytes. */
static enum status add_step(struct recording *recording, enum kind kind, int64_t when) {
  struct step step = {.when = when, .kind = kind};
  size_t place = buffer_bytes(recording->steps).length;
  enum status status = buffer_append(&recording->steps, (const char *)&step, sizeof step);
  if (status != STATUS_OK) return status;
  recording->last = place;
  writer_of(recording)->memory += sizeof step;
  return STATUS_OK;
}

static enum status add_bytes(struct recording *recording, struct span bytes, int64_t when) {
  enum status status = buffer_append(&recording->steps, bytes.data, bytes.length);
  if (status != STATUS_OK) return status;
  struct step last = step_at(recording, recording->last);
  last.length += (uint32_t)bytes.length;
  if (last.kind == ANSWERS) last.when = when;
  put_step(recording, &last);
  writer_of(recording)->memory += bytes.length;
  return STATUS_OK;
}

static void add(struct recording **recording, struct session *session, enum kind kind,
                struct span bytes) {
  struct recording_writer *recording_writer = writer_of(*recording);
  size_t needed = sizeof(struct step) + bytes.length;
  int64_t when = script_time(*recording);
  /* In a play, the limit of time that counts from an earlier step must be over by then. */
  if (kind == EXPIRES && when < server_time(*recording) + (*recording)->lead)
    when = server_time(*recording) + (*recording)->lead;
  if (buffer_bytes((*recording)->steps).length + needed > RECORDING_SIZE)
    drop(recording, session, LOG_WARN, "record_dropped", "the conversation is too long");
  else if (recording_writer->memory + needed > RECORDING_MEMORY)
    drop(recording, session, LOG_WARN, "record_dropped", "all recordings together are too long");
  else if ((!goes_on(*recording, kind, when) && add_step(*recording, kind, when) != STATUS_OK) ||
           add_bytes(*recording, bytes, when) != STATUS_OK)
    drop_for_memory(recording, session);
}

/* ---- what happens -------------------------------------------------------------------------- */

/* Whether the session's output is the whole answer: no stream and no last words can add to it. */
static bool is_whole(const struct session *session) {
  bool has_last_words = session_wants_turn(session) && session_reason(session) != REASON_NONE;
  return !session_is_responding(session) && !has_last_words;
}

/* Records the output that was not sent yet. */
static void catch_up(struct recording **recording, struct session *session) {
  struct span waiting;
  struct session_output output;
  session_output(session, &waiting, 1, &output);
  if (output.count == 0 || !is_whole(session)) return;
  size_t ahead = (*recording)->ahead;
  (*recording)->ahead = waiting.length;
  waiting.data += ahead;
  waiting.length -= ahead;
  if (waiting.length > 0) add(recording, session, ANSWERS, waiting);
}

void recording_look(struct recording **recording, struct session *session) {
  bool is_answered = is_whole(session);
  (*recording)->look =
      (struct look){.is_whole = is_answered,
                    .is_idle = is_answered && !session_has_output(session),
                    .closes = (*recording)->ends || session_reason(session) != REASON_NONE,
                    .unseen = session_wants_input(session) ? 0 : session_unanswered(session)};
  catch_up(recording, session);
}

void recording_receives(struct recording **recording, struct session *session, struct span bytes) {
  catch_up(recording, session);
  if (*recording) (*recording)->received += bytes.length;
  if (*recording) add(recording, session, SENDS, bytes);
}

void recording_receives_end(struct recording **recording, struct session *session) {
  catch_up(recording, session);
  if (!*recording) return;
  (*recording)->ends = true;
  add(recording, session, ENDS, (struct span){NULL, 0});
}

void recording_expired(struct recording **recording, struct session *session) {
  enum reason reason = session_reason(session);
  if (reason == REASON_IDLE_TIMEOUT || reason == REASON_REQUEST_TIMEOUT)
    add(recording, session, EXPIRES, (struct span){NULL, 0});
}

/* Records a part of a file. The kernel has sent it from the disk, so that it is read here again. */
static void add_file(struct recording **recording, struct session *session, int file,
                     int64_t offset, size_t length) {
  char chunk[FILE_CHUNK];
  while (length > 0 && *recording) {
    ssize_t got = pread(file, chunk, length < sizeof chunk ? length : sizeof chunk, offset);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      drop(recording, session, LOG_ERROR, "record_failed",
           "a file of an answer could not be read again");
      return;
    }
    add(recording, session, ANSWERS, (struct span){chunk, (size_t)got});
    offset += got;
    length -= (size_t)got;
  }
}

void recording_sends(struct recording **recording, struct session *session,
                     const struct span *spans, const struct session_output *output, size_t sent) {
  if (output->count == 0) {
    add_file(recording, session, output->file, output->offset, sent);
    return;
  }
  size_t known = (*recording)->ahead < sent ? (*recording)->ahead : sent;
  (*recording)->ahead -= known;
  for (size_t i = 0; i < output->count && sent > 0 && *recording; i++) {
    size_t length = spans[i].length < sent ? spans[i].length : sent;
    size_t skipped = known < length ? known : length;
    sent -= length;
    known -= skipped;
    if (length > skipped)
      add(recording, session, ANSWERS, (struct span){spans[i].data + skipped, length - skipped});
  }
}

/* ---- the transcript ------------------------------------------------------------------------ */

/* Makes a script's name fit for a file's name and for a comment. */
static void make_plain(const char *name, char *plain, size_t size) {
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.";
  size_t i = 0;
  for (; name[i] && i + 1 < size; i++) plain[i] = strchr(letters, name[i]) ? name[i] : '_';
  plain[i] = '\0';
  if (plain[0] == '.') plain[0] = '_';
}

static void write_top(const struct recording *recording, struct session *session,
                      const char *service, struct transcript *out) {
  struct session_identity who;
  char peer[ADDRESS_TEXT_MAX], line[ADDRESS_TEXT_MAX + 128];
  session_identify(session, &who);
  if (who.port == 0)
    snprintf(peer, sizeof peer, "%s", who.host);
  else
    address_format(who.host, who.port, peer);
  snprintf(line, sizeof line, "# Recorded from %s, with %s: %s.", service, peer,
           reason_name(session_reason(session)));
  transcript_line(out, line);
  transcript_line(out, "# What the script kept from other conversations is not in here.");
  if (recording->reloads != recording->service->reloads)
    transcript_line(out, "# The script was reloaded while this went on.");
  transcript_line(out, "fresh");
  transcript_time(out, recording->began_real);
  transcript_line(out, "");
}

static void write_time(struct transcript *out, int64_t *clock, int64_t when, bool is_first) {
  if (when <= *clock) return;
  if (is_first) transcript_line(out, "< \"\"  # the client is there");
  transcript_wait(out, when - *clock);
  *clock = when;
}

/* Whether a `wait` is written before this step. Before an answer it is written only if its time
 * matters: a limit of time begins anew when the peer has read an answer, and the answer may contain
 * the time in seconds. */
static bool takes_time(const struct recording *recording, const struct step *step, int64_t clock) {
  int64_t began = recording->began_real;
  return step->kind != ANSWERS || step->when - clock >= ANSWER_TIME ||
         (began + step->when) / 1000 != (began + clock) / 1000;
}

/* Leaves out the last `unseen` bytes of the client. */
static void write_steps(const struct recording *recording, size_t unseen, struct transcript *out,
                        int64_t *clock) {
  struct span steps = buffer_bytes(recording->steps);
  size_t seen = recording->received - unseen;
  for (size_t place = 0; place < steps.length;) {
    struct step step = step_at(recording, place);
    struct span bytes = {steps.data + place + sizeof step, step.length};
    bool is_first = place == 0;
    place += sizeof step + step.length;
    if (step.kind == SENDS) {
      if (bytes.length > seen) bytes.length = seen;
      seen -= bytes.length;
      if (bytes.length == 0) continue;
    }
    if (takes_time(recording, &step, *clock)) write_time(out, clock, step.when, is_first);
    if (step.kind == ENDS)
      transcript_line(out, "> end");
    else if (step.kind != EXPIRES)
      transcript_bytes(out, step.kind == SENDS ? '>' : '<', bytes);
  }
}

static bool is_break(enum reason reason) {
  return reason == REASON_PEER_RESET || reason == REASON_WRITE_TIMEOUT || reason == REASON_STOPPED;
}

/* Writes the end of a connection that broke. The client of a play reads the whole answer at once.
 * If it waited after that, another limit of time could end the session. So a `wait` is written only
 * if the peer had read the whole answer, too. */
static void write_break(const struct recording *recording, struct transcript *out, int64_t clock,
                        enum reason reason) {
  if (!recording->look.is_whole)
    transcript_line(out, "< ~\".*\"  # and what was not sent any more");
  if (recording->look.closes)
    transcript_line(out, "< end");
  else if (reason != REASON_STOPPED) {
    if (recording->look.is_idle) write_time(out, &clock, recording->ended, false);
    transcript_line(out, "> gone");
  }
}

static void write_end(const struct recording *recording, struct transcript *out, int64_t clock,
                      enum reason reason) {
  if (!recording->steps) transcript_line(out, "< \"\"  # the client is there");
  if (is_break(reason))
    write_break(recording, out, clock, reason);
  else if (reason != REASON_DRAINED) /* Not the script, but the end of the server closes then. */
    transcript_line(out, "< end");
}

/* Runs on the writer's thread. */
static void render(struct recording_job *job) {
  struct recording *recording = (struct recording *)job;
  int64_t clock = 0;
  size_t unseen = is_break(recording->reason) ? recording->look.unseen : 0;
  write_steps(recording, unseen, &job->text, &clock);
  write_end(recording, &job->text, clock, recording->reason);
}

static void discard(struct recording_job *job) {
  struct recording *recording = (struct recording *)job;
  buffer_free(&job->text.text);
  buffer_free(&recording->steps);
  free(recording);
}

void recording_finish(struct recording **recording, struct session *session) {
  struct recording *finished = *recording;
  struct recording_job *job = &finished->job;
  struct session_identity who;
  *recording = NULL;
  finished->reason = session_reason(session);
  finished->ended = script_time(finished);
  job->render = render;
  job->discard = discard;
  job->began = finished->began_real;
  job->memory = buffer_bytes(finished->steps).length;
  make_plain(finished->service->name, job->service, sizeof job->service);
  session_identify(session, &who);
  snprintf(job->peer, sizeof job->peer, "%s", who.host);
  job->port = who.port;
  write_top(finished, session, job->service, &job->text);
  recording_writer_submit(writer_of(finished), job);
}
