#include "server/recording_steps.h"

#include <stdio.h>
#include <stdlib.h>

#include "server/loop.h"
#include "server/transcript.h"

enum {
  ANSWER_TIME = 100, /* In ms. If the peer took longer to read an answer, a `wait` says so. */
  NAME_SIZE = 32     /* Of the name of an upstream, with what stands behind it. */
};

/* Makes a script's name fit for a file's name and for a comment. */
static void make_plain(const char *name, char *plain, size_t size) {
  static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.";
  size_t i = 0;
  for (; name[i] && i + 1 < size; i++) plain[i] = strchr(letters, name[i]) ? name[i] : '_';
  plain[i] = '\0';
  if (plain[0] == '.') plain[0] = '_';
}

static void put_setting(void *visitor, struct span name, struct span value) {
  transcript_setting(visitor, name, value);
}

static void write_proxy(const struct recording *recording, struct transcript *out) {
  struct session_identity who;
  if (!recording->session) return; /* It is of datagrams. */
  session_identify(recording->session, &who);
  if (who.proxy) transcript_proxy(out, who.proxy);
}

void recording_begin_text(struct recording *recording) {
  struct transcript *out = &recording->job.text;
  char *service = recording->job.service;
  const struct recording_job *job = &recording->job;
  char peer[ADDRESS_TEXT_MAX], line[ADDRESS_TEXT_MAX + 128];
  make_plain(recording->service->name, service, sizeof recording->job.service);
  if (job->port == 0)
    snprintf(peer, sizeof peer, "%s", job->peer);
  else
    address_format(job->peer, job->port, peer);
  snprintf(line, sizeof line, "# Recorded from %s, with %s: %s.", service, peer,
           recording->session ? reason_name(recording->reason) : "datagrams");
  transcript_line(out, line);
  transcript_line(out, "# What the script kept from other conversations is not in here.");
  if (recording->reloads != recording->service->reloads)
    transcript_line(out, "# The script was reloaded while this went on.");
  const struct script_provider *provider = recording->service->provider;
  if (provider && provider->each_setting)
    provider->each_setting(provider->context, put_setting, out);
  transcript_line(out, "fresh");
  write_proxy(recording, out);
  if (!recording->session) transcript_line(out, "udp");
  transcript_time(out, recording->began_real);
}

/* What the writing of one transcript needs. */
struct text {
  const struct recording *recording;
  struct transcript *out;
  int64_t clock;      /* The time that the lines have reached, in ms. */
  bool has_client;    /* A line of the client was written. */
  struct link *links; /* The connections to other servers, by their numbers. */
};

/* A connection to another server. */
struct link {
  struct span address;
  struct span failure; /* The code, a zero, and why; no length: it did not fail. */
  size_t first;        /* The first connection to this address. */
  size_t latest;       /* Of the first one: the last connection to it so far. */
  size_t written;      /* What the script has said is written up to this place in the log. */
  size_t active;       /* Behind its last step that is not LAPSES. */
  size_t lapses;       /* The place of the step before which it is over; 0: it is not. */
  bool is_apart; /* Of the first one: each connection to the address is an upstream of its own. */
  bool is_open;
  bool has_tls; /* From its beginning on. */
  size_t begun; /* Behind its OPENS. */
};

static bool has_datagrams(const struct text *text) { return !text->recording->session; }

/* A client is there from the first line on that names it. One that sends datagrams need not be. */
static void write_client(struct text *text) {
  if (!text->has_client && !has_datagrams(text))
    transcript_line(text->out, "< \"\"  # the client is there");
  text->has_client = true;
}

static void write_time(struct text *text, int64_t when) {
  if (when <= text->clock) return;
  write_client(text);
  transcript_wait(text->out, when - text->clock);
  text->clock = when;
}

/* ---- other servers ------------------------------------------------------------------------- */

/* The name of the upstream whose connection this is, with what stands behind it. */
static void name_upstream(const struct text *text, size_t connection, const char *behind,
                          char name[NAME_SIZE]) {
  const struct link *links = text->links;
  size_t first = links[connection].first;
  snprintf(name, NAME_SIZE, "up%zu%s", (links[first].is_apart ? connection : first) + 1, behind);
}

static bool is_same(struct span one, struct span other) {
  return one.length == other.length && one.length > 0 &&
         memcmp(one.data, other.data, one.length) == 0;
}

static void add_link(struct link *links, size_t number, struct span address) {
  size_t first = 0;
  while (first < number && !is_same(links[first].address, address)) first++;
  links[number].address = address;
  links[number].first = first;
  links[first].latest = number;
}

/* The server notices late that a kept connection is over, often only when a request needs one. So
 * it is over before the first request since it was used. Returns the place of that, or `end`. */
static size_t find_request(const struct recording *recording, size_t place, size_t end) {
  struct step step;
  for (; place < end; place += sizeof step + step.length) {
    step = recording_step(recording, place);
    if (step.kind == SENDS) return place;
  }
  return end;
}

/* In a play, an upstream speaks on the last connection to it, and all connections to an address may
 * be one upstream. That is enough if they were used one after the other. */
static void find_links(const struct text *text) {
  const struct recording *recording = text->recording;
  struct span steps = buffer_bytes(recording->steps);
  struct step step;
  for (size_t place = 0; place < steps.length; place += sizeof step + step.length) {
    step = recording_step(recording, place);
    if (step.kind < CONNECTS) continue;
    struct span bytes = {steps.data + place + sizeof step, step.length};
    struct link *link = &text->links[step.connection], *first;
    if (step.kind == CONNECTS) add_link(text->links, step.connection, bytes);
    first = &text->links[link->first];
    if (step.kind == FAILS) link->failure = bytes;
    size_t next = place + sizeof step + step.length;
    if (step.kind == OPENS) {
      if (!link->is_open) link->begun = next;
      link->is_open = true;
    }
    if (step.kind == ENCRYPTS && link->begun == place) link->has_tls = true;
    if (step.kind == LAPSES)
      link->lapses = find_request(recording, link->active, place);
    else
      link->active = next;
    if (step.kind == FAILS || (step.kind == ENCRYPTS && link->has_tls != first->has_tls) ||
        first->latest != step.connection)
      first->is_apart = true;
  }
}

/* Nobody knows whether a connect that was cancelled would have succeeded: it takes for ever. */
static void write_upstreams(const struct text *text) {
  static const char unknown[] = "timeout";
  for (size_t i = 0; i < text->recording->connections; i++) {
    const struct link *link = &text->links[i];
    char name[NAME_SIZE];
    if (link->first != i && !text->links[link->first].is_apart) continue;
    name_upstream(text, i, "", name);
    struct span why = {unknown, sizeof unknown - 1};
    const char *code = !link->is_open ? unknown : link->has_tls ? "tls" : NULL;
    if (link->is_open) why.length = 0;
    if (link->failure.length > 0) {
      code = link->failure.data;
      size_t length = strlen(code) + 1;
      why = (struct span){code + length, link->failure.length - length};
    }
    transcript_upstream(text->out, name, link->address, code, why);
  }
}

/* ---- steps --------------------------------------------------------------------------------- */

/* Whether the step happens to the script: what the script says before it depends on nothing later.
 */
static bool is_input(const struct step *step) {
  return step->kind == SENDS || step->kind == ENDS || step->kind == EXPIRES ||
         step->kind == SECURES || step->kind == REPLIES || step->kind == STOPS ||
         step->kind == BREAKS || step->kind == ENCRYPTS;
}

/* Whether a push comes so late that it is written for itself, with a `wait` before it. */
static bool is_late_push(const struct text *text, const struct step *step) {
  return step->is_push && step->when - text->clock >= ANSWER_TIME;
}

/* Writes what the script says to one party from this place on, up to the next input or to a late
 * push: in a play, that comes in one piece. Returns the place of what ends it. */
static size_t write_said(const struct text *text, size_t place, const char *side) {
  const struct recording *recording = text->recording;
  struct span steps = buffer_bytes(recording->steps);
  struct step first = recording_step(recording, place), step = first;
  struct buffer *said = NULL;
  for (; place < steps.length; place += sizeof step + step.length) {
    step = recording_step(recording, place);
    if (is_input(&step)) break;
    if (step.kind != first.kind || step.connection != first.connection) continue;
    if (said && is_late_push(text, &step)) break;
    if (buffer_append(&said, steps.data + place + sizeof step, step.length) != STATUS_OK)
      text->out->is_incomplete = true;
  }
  transcript_bytes(text->out, side, buffer_bytes(said));
  buffer_free(&said);
  return place;
}
/* Whether a `wait` is written before this step. Before an answer it is written only if its time
 * matters: a limit of time begins anew when the peer has read an answer, and the answer may contain
 * the time in seconds. The same holds for other servers. */
static bool takes_time(const struct text *text, const struct step *step) {
  int64_t began = text->recording->began_real;
  bool is_of_client =
      step->kind == SENDS || step->kind == ENDS || step->kind == EXPIRES || step->kind == SECURES;
  if (has_datagrams(text)) return is_of_client || step->when - text->clock >= ANSWER_TIME;
  return is_of_client || step->when - text->clock >= ANSWER_TIME ||
         (began + step->when) / 1000 != (began + text->clock) / 1000;
}

static void write_of_upstream(struct text *text, size_t place, const struct step *step,
                              struct span bytes) {
  char name[NAME_SIZE];
  write_client(text);
  name_upstream(text, step->connection,
                step->kind == ASKS || step->kind == ENCRYPTS ? "<"
                : step->kind == REPLIES                      ? ">"
                : step->kind == STOPS                        ? "> end"
                                                             : "> gone",
                name);
  if (step->kind == ENCRYPTS)
    transcript_tls_of(text->out, name, bytes);
  else if (step->kind == ASKS)
    text->links[step->connection].written = write_said(text, place, name);
  else if (step->kind == REPLIES)
    transcript_bytes(text->out, name, bytes);
  else
    transcript_line(text->out, name);
}

static void write_lapses(struct text *text, size_t place) {
  for (size_t i = 0; i < text->recording->connections; i++) {
    char line[NAME_SIZE];
    if (text->links[i].lapses != place) continue;
    write_client(text);
    name_upstream(text, i, "> end", line);
    transcript_line(text->out, line);
  }
}

/* Leaves out the last `unseen` bytes of the client. */
static void write_steps(struct text *text, size_t unseen) {
  const struct recording *recording = text->recording;
  struct span steps = buffer_bytes(recording->steps);
  size_t seen = recording->received - unseen, answered = 0, next;
  for (size_t place = 0; place < steps.length; place = next) {
    struct step step = recording_step(recording, place);
    struct span bytes = {steps.data + place + sizeof step, step.length};
    next = place + sizeof step + step.length;
    if (step.kind == SENDS) {
      if (bytes.length > seen) bytes.length = seen;
      seen -= bytes.length;
      if (bytes.length == 0 && !has_datagrams(text)) continue;
    }
    if (place > 0) write_lapses(text, place);
    if (step.kind == CONNECTS || step.kind == OPENS || step.kind == FAILS || step.kind == LAPSES)
      continue;
    if (step.kind == ENCRYPTS && text->links[step.connection].begun == place) continue;
    if (step.kind == ASKS && place < text->links[step.connection].written) continue;
    if (step.kind == ANSWERS && place < answered) continue;
    bool connects_so = step.kind == SECURES && place == 0;
    if (!connects_so && takes_time(text, &step)) write_time(text, step.when);
    if (step.kind >= CONNECTS) {
      write_of_upstream(text, place, &step, bytes);
      continue;
    }
    if (step.kind == ENDS)
      transcript_line(text->out, "> end");
    else if (has_datagrams(text))
      transcript_datagram(text->out, step.kind == SENDS ? ">" : "<", bytes);
    else if (step.kind == SENDS)
      transcript_bytes(text->out, ">", bytes);
    else if (step.kind == SECURES)
      transcript_tls(text->out, bytes);
    else if (step.kind == HALF_CLOSES)
      transcript_line(text->out, "< end");
    else if (step.kind == ANSWERS)
      answered = write_said(text, place, "<");
    text->has_client = true;
  }
}

static bool is_break(enum reason reason) {
  return reason == REASON_PEER_RESET || reason == REASON_WRITE_TIMEOUT || reason == REASON_STOPPED;
}

/* Writes the end of a connection that broke. The client of a play reads the whole answer at once.
 * If it waited after that, another limit of time could end the session. So a `wait` is written only
 * if the peer had read the whole answer, too. */
static void write_break(struct text *text) {
  const struct recording *recording = text->recording;
  struct transcript *out = text->out;
  if (!recording->look.is_whole && !recording->half_closed)
    transcript_line(out, "< ~\".*\"  # and what was not sent any more");
  if (recording->look.closes && !recording->half_closed)
    transcript_line(out, "< end");
  else if (recording->reason != REASON_STOPPED) {
    if (recording->look.is_idle) write_time(text, recording->ended);
    transcript_line(out, "> gone");
  }
}

static void write_end(struct text *text) {
  enum reason reason = text->recording->reason;
  write_client(text);
  /* The end was seen while a request waited, and not read: see half_close. */
  if (reason == REASON_PEER_CLOSED && !text->recording->ends) transcript_line(text->out, "> end");
  if (text->recording->is_unsecured)
    transcript_line(text->out, "> gone  # the handshake of TLS has failed");
  else if (is_break(reason))
    write_break(text);
  else if (reason != REASON_DRAINED &&
           !text->recording
                ->half_closed) /* Not the script, but the end of the server closes then. */
    transcript_line(text->out, "< end");
}

void recording_render(struct recording_job *job) {
  struct recording *recording = (struct recording *)job;
  struct text text = {.recording = recording, .out = &job->text};
  text.links = calloc(recording->connections + 1, sizeof *text.links);
  if (!text.links) {
    job->text.is_incomplete = true;
    return;
  }
  find_links(&text);
  write_upstreams(&text);
  transcript_line(text.out, "");
  write_steps(&text, is_break(recording->reason) ? recording->look.unseen : 0);
  if (!has_datagrams(&text)) write_end(&text);
  free(text.links);
}
