#include "server/recording.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "server/loop.h"
#include "server/recording_steps.h"
#include "session/steps.h"
#include "session/tunnel.h"

enum {
  /* In ms. Reads within this time after the first are one step, since one request can take several
   * reads. The step has the time of its first read, so that a play misses no limit of time. */
  STEP_TIME = 10,
  PUSH_TIME = 100,       /* In ms. Pushes that follow one another within this time are one step. */
  FILE_CHUNK = 16 * 1024 /* How many bytes of a file are read at once. */
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

static uint32_t on_connect(struct tap *tap, const char *address);
static void on_event(struct tap *tap, uint32_t connection, enum tap_event event, struct span bytes);

/* NULL: there is no memory, which is logged, or no file. */
static struct recording *create(struct recording **place, struct service *service,
                                const struct session *session) {
  struct server *server = service->server;
  struct session_identity who;
  if (!recording_writer_take_place(server->recording_writer)) return NULL;
  struct recording *recording = calloc(1, sizeof *recording);
  if (!recording) {
    log_event(LOG_WARN, "record_dropped", "detail", "not enough memory");
    recording_writer_give_back(server->recording_writer);
    return NULL;
  }
  recording->tap = (struct tap){.on_connect = on_connect, .on_event = on_event};
  recording->place = place;
  recording->service = service;
  recording->began = server->now;
  recording->began_real = clock_coarse_real_milliseconds();
  recording->reloads = service->reloads;
  session_identify((struct session *)session, &who);
  snprintf(recording->job.peer, sizeof recording->job.peer, "%s", who.host);
  recording->job.port = who.port;
  *place = recording;
  return recording;
}

void recording_begin(struct recording **place, struct service *service, struct session *session) {
  struct recording *recording = create(place, service, session);
  if (!recording) return;
  recording->session = session;
  session_set_tap(session, &recording->tap);
}

/* The sessions of datagrams have its tap. */
static void destroy(struct recording **recording) {
  struct recording *dropped = *recording;
  writer_of(dropped)->memory -= buffer_bytes(dropped->steps).length;
  buffer_free(&dropped->steps);
  dropped->is_dropped = true;
  if (!dropped->session) return;
  session_set_tap(dropped->session, NULL);
  free(dropped);
  *recording = NULL;
}

static void drop(struct recording **recording, enum log_level level, const char *event,
                 const char *detail) {
  struct log_line line;
  struct service *service = (*recording)->service;
  struct recording_writer *recording_writer = writer_of(*recording);
  if (log_begin_limited(&line, level, event, &recording_writer->limit, service->server->now)) {
    log_text(&line, "service", service->name);
    log_text(&line, "peer", (*recording)->job.peer);
    log_integer(&line, "port", (*recording)->job.port);
    log_text(&line, "detail", detail);
    log_end(&line);
  }
  recording_writer_give_back(recording_writer);
  destroy(recording);
}

/* ---- steps --------------------------------------------------------------------------------- */

static void put_step(struct recording *recording, const struct step *step) {
  struct buffer *steps = recording->steps;
  memcpy(steps->data + steps->start + recording->last, step, sizeof *step);
}

/* Whether bytes that come now belong to the last step. */
static bool goes_on(const struct recording *recording, enum kind kind, unsigned connection,
                    int64_t when) {
  if (!recording->steps) return false;
  struct step last = recording_step(recording, recording->last);
  if (last.kind != kind || last.connection != connection) return false;
  if (!recording->session && kind < CONNECTS) return false; /* A datagram is a step. */
  if (kind == ANSWERS && recording->rests) return last.is_push && when - last.when < PUSH_TIME;
  if (kind == ANSWERS || kind == ASKS) return true;
  /* The answer may contain the time, mostly in seconds, so that a step stays within a second. */
  int64_t began = recording->began_real;
  return (kind == SENDS || kind == REPLIES) && when - last.when < STEP_TIME &&
         (began + when) / 1000 == (began + last.when) / 1000;
}

/* Adds a step without bytes. */
static enum status add_step(struct recording *recording, enum kind kind, unsigned connection,
                            int64_t when) {
  struct step step = {.when = when, .kind = kind, .connection = connection & 0x7fffff};
  step.is_push = kind == ANSWERS && recording->rests;
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
  struct step last = recording_step(recording, recording->last);
  last.length += (uint32_t)bytes.length;
  if (last.kind == ANSWERS) last.when = when;
  put_step(recording, &last);
  writer_of(recording)->memory += bytes.length;
  return STATUS_OK;
}

static void add_of(struct recording **recording, enum kind kind, unsigned connection,
                   struct span bytes) {
  if ((*recording)->is_dropped) return;
  struct recording_writer *recording_writer = writer_of(*recording);
  size_t needed = sizeof(struct step) + bytes.length;
  int64_t when = script_time(*recording);
  /* In a play, the limit of time that counts from an earlier step must be over by then. */
  if (kind == EXPIRES && when < server_time(*recording) + (*recording)->lead)
    when = server_time(*recording) + (*recording)->lead;
  if (buffer_bytes((*recording)->steps).length + needed > RECORDING_SIZE)
    drop(recording, LOG_WARN, "record_dropped", "the conversation is too long");
  else if (recording_writer->memory + needed > RECORDING_MEMORY)
    drop(recording, LOG_WARN, "record_dropped", "all recordings together are too long");
  else if ((!goes_on(*recording, kind, connection, when) &&
            add_step(*recording, kind, connection, when) != STATUS_OK) ||
           add_bytes(*recording, bytes, when) != STATUS_OK)
    drop(recording, LOG_WARN, "record_dropped", "not enough memory");
  else
    (*recording)->rests = false;
}

static void add(struct recording **recording, enum kind kind, struct span bytes) {
  add_of(recording, kind, 0, bytes);
}

/* ---- other servers ------------------------------------------------------------------------- */

static struct recording *of_tap(struct tap *tap) {
  return (struct recording *)((char *)tap - offsetof(struct recording, tap));
}

static uint32_t on_connect(struct tap *tap, const char *address) {
  struct recording *recording = of_tap(tap);
  uint32_t number = (uint32_t)recording->connections++;
  if (recording->is_dropped) return number;
  if (number >= RECORDING_CONNECTIONS)
    drop(recording->place, LOG_WARN, "record_dropped",
         "the conversation has too many connections to other servers");
  else
    add_of(recording->place, CONNECTS, number, (struct span){address, strlen(address)});
  return number;
}

static void on_event(struct tap *tap, uint32_t connection, enum tap_event event,
                     struct span bytes) {
  static const enum kind kinds[] = {
      [TAP_OPENS] = OPENS, [TAP_FAILS] = FAILS,   [TAP_SENDS] = ASKS,    [TAP_RECEIVES] = REPLIES,
      [TAP_ENDS] = STOPS,  [TAP_BREAKS] = BREAKS, [TAP_LAPSES] = LAPSES, [TAP_ENCRYPTS] = ENCRYPTS};
  struct recording *recording = of_tap(tap);
  if (event == TAP_SENDS && bytes.length == 0) return;
  add_of(recording->place, kinds[event], connection, bytes);
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
  if (waiting.length > 0) add(recording, ANSWERS, waiting);
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

void recording_settles(struct recording *recording, const struct session *session) {
  if (!recording->steps || recording_step(recording, recording->last).kind != ANSWERS) return;
  recording->rests = is_whole(session) && !session_has_output(session) && !session_task(session) &&
                     !session_wants_turn(session);
}

/* Records what the server has said before the client goes on. */
static void catch_up_all(struct recording **recording, struct session *session) {
  catch_up(recording, session);
  if (!*recording || (*recording)->half_closed || !session_has_said_all(session)) return;
  (*recording)->half_closed = true;
  add(recording, HALF_CLOSES, (struct span){NULL, 0});
}

void recording_receives(struct recording **recording, struct session *session, struct span bytes) {
  catch_up_all(recording, session);
  if (*recording) (*recording)->received += bytes.length;
  if (*recording) add(recording, SENDS, bytes);
}

void recording_receives_end(struct recording **recording, struct session *session) {
  catch_up_all(recording, session);
  if (!*recording) return;
  (*recording)->ends = true;
  add(recording, ENDS, (struct span){NULL, 0});
}

void recording_expired(struct recording **recording, struct session *session) {
  enum reason reason = session_reason(session);
  if (reason == REASON_IDLE_TIMEOUT || reason == REASON_REQUEST_TIMEOUT)
    add(recording, EXPIRES, (struct span){NULL, 0});
}

void recording_secures(struct recording **recording, struct session *session) {
  struct span texts;
  if (session_describe_tls(session, &texts) == STATUS_OK) add(recording, SECURES, texts);
}

void recording_fails_to_secure(struct recording *recording) { recording->is_unsecured = true; }

/* Records a part of a file. The kernel has sent it from the disk, so that it is read here again. */
static void add_file(struct recording **recording, int file, int64_t offset, size_t length) {
  char chunk[FILE_CHUNK];
  while (length > 0 && *recording) {
    ssize_t got = pread(file, chunk, length < sizeof chunk ? length : sizeof chunk, offset);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      drop(recording, LOG_ERROR, "record_failed", "a file of an answer could not be read again");
      return;
    }
    add(recording, ANSWERS, (struct span){chunk, (size_t)got});
    offset += got;
    length -= (size_t)got;
  }
}

void recording_sends(struct recording **recording, const struct span *spans,
                     const struct session_output *output, size_t sent) {
  if (output->count == 0) {
    add_file(recording, output->file, output->offset, sent);
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
      add(recording, ANSWERS, (struct span){spans[i].data + skipped, length - skipped});
  }
}

static void discard(struct recording_job *job) {
  struct recording *recording = (struct recording *)job;
  buffer_free(&job->text.text);
  buffer_free(&recording->steps);
  free(recording);
}

static void submit(struct recording *recording) {
  struct recording_job *job = &recording->job;
  recording->ended = script_time(recording);
  job->render = recording_render;
  job->discard = discard;
  job->began = recording->began_real;
  job->memory = buffer_bytes(recording->steps).length;
  recording_begin_text(recording);
  recording_writer_submit(writer_of(recording), job);
}

void recording_finish(struct recording **recording, struct session *session) {
  struct recording *finished = *recording;
  *recording = NULL;
  session_set_tap(session, NULL);
  finished->reason = session_reason(session);
  submit(finished);
}

/* ---- datagrams ----------------------------------------------------------------------------- */

bool recording_begin_datagrams(struct recording **place, struct service *service,
                               const struct session *session) {
  return create(place, service, session) != NULL;
}

struct tap *recording_tap(struct recording *recording) {
  return &recording->tap;
}

void recording_datagram(struct recording **recording, bool is_peers, struct span datagram) {
  if (is_peers) (*recording)->received += datagram.length;
  add(recording, is_peers ? SENDS : ANSWERS, datagram);
}

void recording_finish_datagrams(struct recording *recording) {
  if (recording->is_dropped)
    discard(&recording->job);
  else
    submit(recording);
}
