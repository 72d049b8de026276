/* fuzz_session.c: one conversation whose two sides, the owner and the handler, do what an input
 * says, next to a model of what the peer must get to see.
 *
 * The first SETTINGS bytes choose the protocol; what follows are things that happen to the session,
 * a byte each and its operands behind it (happen() says which). A byte of a request is a piece of
 * its response (queue_item()). Meanwhile handlers get successors (replace_handler()): a handler is
 * freed when nobody uses it, so that the sanitizer sees whoever uses it afterwards. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "check.h"
#include "framing/http.h"
#include "session/push.h"
#include "session/session.h"
#include "session/steps.h"

enum {
  SETTINGS = 6,
  PATTERN = 64 * 1024,  /* bytes that responses are made of */
  ITEMS_MAX = 24,       /* of a response */
  REFERENCES_MAX = 512, /* more than a conversation can use */
  EXPECTED_MAX = 8 * 1024 * 1024,
  MAX_REQUEST = 160 /* a head of HTTP, and more */
};

struct reference {
  bool is_alive;
  struct handler *owner;
  char *held;    /* of a held string */
  int pieces;    /* left of a stream */
  bool is_wrong; /* the stream fails at its end */
};

struct world;

struct generation {
  struct handler handler; /* first, so that a handler is its generation */
  struct world *world;
  struct generation *next; /* of those that live */
  struct framing framing;
};

struct world {
  struct generation *generations;
  struct handler *newest;
  struct handler *holder;   /* whom the conversation has */
  struct handler *running;  /* whose run() is under way */
  struct handler *beginner; /* who was shown the request in hand; NULL: nobody was */
  int client;
  struct session_hooks hooks;
  struct session_owner owner;
  struct session_failures failures;
  struct held_strings held;
  struct session *session;
  const uint8_t *input;
  size_t left;
  int64_t now;
  struct reference references[REFERENCES_MAX]; /* 0 is none */
  int reference_count;
  int alive;
  size_t expected; /* bytes in expected_bytes */
  size_t seen;     /* of them, by the peer */
  uint64_t answered;
  bool is_cut;             /* something was lost on purpose: the peer sees a beginning */
  bool is_full;            /* the model has no more room */
  enum reason reason;      /* at the last look */
  bool is_at_end;          /* the peer has stopped sending */
  bool is_queueing;        /* a part of the response at hand is queued */
  size_t later[ITEMS_MAX]; /* lengths of what was pushed meanwhile */
  size_t later_count;
  bool is_securing; /* from session_secure() on, until it is secure or over */
  bool has_clients; /* every conversation that is answered gets one */
  bool has_asked;   /* whether the request in hand may go on */
  bool had_on_connect, had_on_error, has_closed, has_forgotten, is_over, is_ended;
};

static char pattern[PATTERN];
static char expected_bytes[EXPECTED_MAX];
static int file = -1;

static uint8_t take(struct world *world) {
  if (world->left == 0) return 0;
  world->left--;
  return *world->input++;
}

static void expect(struct world *world, const char *bytes, size_t length) {
  CHECK(world->expected + length <= EXPECTED_MAX);
  memcpy(expected_bytes + world->expected, bytes, length);
  world->expected += length;
}

/* ---- generations --------------------------------------------------------------------------- */

static struct world *world_of(struct handler *handler) {
  return ((struct generation *)handler)->world;
}

static void free_generation(struct handler *handler) {
  struct generation **link = &world_of(handler)->generations;
  while (&(*link)->handler != handler) link = &(*link)->next;
  *link = (*link)->next;
  free(handler);
}

static void on_sent(struct handler *handler, struct session *session) {
  struct world *world = world_of(handler);
  CHECK(handler == world->holder && session == world->session && !world->running);
  CHECK(world->alive == 0 && !session_is_responding(session));
}

/* The last that is done with a conversation. */
static void forget_client(struct handler *handler, struct session *session) {
  struct world *world = world_of(handler);
  CHECK(handler == world->holder && session == world->session);
  CHECK(world->is_ended && !world->has_forgotten);
  CHECK(session_client(session) == world->client && world->client != 0);
  world->has_forgotten = true;
}

static void migrate(struct handler *handler, struct session *session, struct handler *successor) {
  struct world *world = world_of(handler);
  CHECK(handler == world->holder && successor == world->newest && handler != successor);
  CHECK(!world->running && !world->beginner && world->alive == 0);
  CHECK(session_reason(session) == REASON_NONE && !session_is_responding(session));
  CHECK(session_client(session) == world->client);
  if (world->client != 0) session_set_client(session, ++world->client);
  world->holder = successor;
}

static void on_unused(struct handler *handler) {
  struct world *world = world_of(handler);
  CHECK(handler->sessions == 0 && handler->successor && !world->running);
  CHECK(handler != world->holder || world->is_ended);
  if (handler == world->holder) world->holder = NULL;
  free_generation(handler);
}

/* Each conversation is counted once, by the handler that it has. */
static void check_counts(const struct world *world) {
  for (const struct generation *generation = world->generations; generation;
       generation = generation->next)
    CHECK(generation->handler.sessions == (&generation->handler == world->holder));
}

/* ---- pushing ------------------------------------------------------------------------------- */

/* Not in the middle of a response, and not at all where it is over. */
static void push(struct world *world, size_t length, bool as_blob) {
  enum push_result result;
  if (world->expected > EXPECTED_MAX / 2 || world->later_count == ITEMS_MAX) return;
  bool is_open = session_takes_pushes(world->session);
  if (as_blob) {
    struct blob *blob = blob_create(pattern, length);
    CHECK(blob != NULL);
    result = session_push_blob(world->session, blob, world->now);
    blob_release(blob);
  } else
    result = session_push(world->session, pattern, length, world->now);
  CHECK((result != PUSH_OVER) == is_open && result != PUSH_NO_MEMORY);
  CHECK(result != PUSH_QUEUED || length <= world->holder->limits.max_unsent);
  if (result != PUSH_QUEUED) return;
  if (world->is_queueing || world->is_securing)
    world->later[world->later_count++] = length;
  else
    expect(world, pattern, length);
}

static void close_gently(struct world *world) {
  bool is_open = session_takes_pushes(world->session);
  enum push_result result = session_close(world->session, is_open ? "enough" : NULL);
  CHECK(result == (is_open ? PUSH_QUEUED : PUSH_OVER));
  if (!is_open) return;
  world->is_over = true;
  if (world->alive > 0) world->is_cut = true; /* a stream */
}

static void close_slow(struct world *world) {
  if (!session_takes_pushes(world->session)) return;
  session_close_slow(world->session);
  world->is_over = world->is_cut = true;
}

/* ---- the handler's side -------------------------------------------------------------------- */

static int retain(struct world *world) {
  CHECK(world->reference_count + 1 < REFERENCES_MAX);
  int reference = ++world->reference_count;
  world->references[reference] = (struct reference){.is_alive = true, .owner = world->running};
  world->alive++;
  return reference;
}

static void release(struct handler *handler, struct session *session, int number) {
  struct world *world = world_of(handler);
  (void)session;
  CHECK(number > 0 && number <= world->reference_count);
  struct reference *reference = &world->references[number];
  CHECK(reference->is_alive && reference->owner == handler);
  reference->is_alive = false;
  world->alive--;
  free(reference->held);
  reference->held = NULL;
}

/* Lengths from one byte to some more than the high-water mark takes four of. */
static size_t length_of(uint8_t item) { return (size_t)1 << (item >> 4 & 15); }

static void queue_held(struct world *world, const char *bytes, size_t length) {
  int reference = retain(world);
  char *held = malloc(length);
  memcpy(held, bytes, length);
  world->references[reference].held = held;
  CHECK(session_send_held(world->session, held, length, reference) == STATUS_OK);
}

/* A file may end before it should. */
static void queue_file(struct world *world, size_t offset, size_t length, bool is_short) {
  CHECK(session_send_file(world->session, file, (int64_t)offset,
                          is_short ? length + PATTERN : length, retain(world)) == STATUS_OK);
  if (is_short) expect(world, pattern + offset, PATTERN - offset);
}

static void queue_stream(struct world *world, int pieces, bool is_wrong) {
  int reference = retain(world);
  world->references[reference].pieces = pieces;
  world->references[reference].is_wrong = is_wrong;
  CHECK(session_send_stream(world->session, reference) == STATUS_OK);
  for (int i = pieces; i > 0; i--) expect(world, pattern + i, (size_t)i * 100);
}

/* The low four bits choose the kind, the high ones the length. False: the response has failed. */
static bool queue_item(struct world *world, uint8_t item, size_t place) {
  size_t length = length_of(item);
  size_t offset = (item * 251u + place * 17) % (PATTERN - length);
  switch (item & 15) {
  case 1: session_fail(world->session, REASON_SCRIPT_ERROR, "on\npurpose"); return false;
  case 2: session_fail(world->session, REASON_OUT_OF_MEMORY, ""); return false;
  case 3:
  case 4: queue_held(world, pattern + offset, length); break;
  case 5:
  case 6: queue_file(world, offset, length, false); break;
  case 7: queue_file(world, offset, length, true); break;
  case 8:
  case 9: queue_stream(world, item >> 4, false); break;
  case 10: queue_stream(world, item >> 4, true); break;
  case 11: CHECK(session_send(world->session, NULL, 0) == STATUS_OK); break;
  case 12:
  case 13: push(world, length, item & 1); return true;
  default: CHECK(session_send(world->session, pattern + offset, length) == STATUS_OK); break;
  }
  world->is_queueing = true;
  if ((item & 15) < 7 || (item & 15) > 13 || (item & 15) == 0)
    expect(world, pattern + offset, length);
  return true;
}

static void expect_later(struct world *world) {
  world->is_queueing = false;
  for (size_t i = 0; i < world->later_count; i++) expect(world, pattern, world->later[i]);
  world->later_count = 0;
}

static void fail_is_loss(struct world *world, size_t before) {
  if (world->expected > before || world->alive > 0) world->is_cut = true;
}

/* Whoever has begun with a request answers it; nobody begins who has a successor. */
static void check_beginner(const struct world *world) {
  CHECK(world->running == (world->beginner ? world->beginner : world->newest));
}

/* In a step of its own nothing is cut. */
static bool close_itself(struct world *world) {
  bool is_open = session_takes_pushes(world->session);
  CHECK(session_close(world->session, NULL) == (is_open ? PUSH_QUEUED : PUSH_OVER));
  return true;
}

/* The response to a request: an item for each of its bytes. */
static void answer(struct world *world, struct span request) {
  check_beginner(world);
  if (world->has_clients && world->client == 0) session_set_client(world->session, ++world->client);
  CHECK(session_client(world->session) == world->client);
  size_t before = world->expected;
  size_t count = request.length < ITEMS_MAX ? request.length : ITEMS_MAX;
  if (before > EXPECTED_MAX / 2 || world->reference_count > REFERENCES_MAX / 2) count = 0;
  for (size_t i = 0; i < count; i++) {
    if (!queue_item(world, (uint8_t)request.data[i], i)) {
      fail_is_loss(world, before);
      world->is_queueing = false;
      world->later_count = 0;
      return;
    }
    if (!world->is_queueing) before = world->expected;
  }
  if (request.length > 0 && request.data[0] == 's') {
    CHECK(session_can_secure(world->session));
    session_secure(world->session);
    world->is_securing = true;
    world->is_queueing = false;
  } else
    expect_later(world);
  world->answered++;
  world->beginner = NULL;
  world->has_asked = false;
  bool yields = request.length > 0 && request.data[0] == 'y';
  bool closes = request.length > 0 && request.data[0] == 'q';
  if (request.length > 0 && request.data[0] == 'c') closes = close_itself(world);
  session_answered(world->session, closes);
  if (closes) world->is_over = true;
  if (yields) session_yield(world->session);
}

/* What was pushed since the response comes now. */
static void secure(struct world *world) {
  if (!session_is_securing(world->session)) return;
  world->is_securing = false;
  expect_later(world);
  session_secured(world->session, world->now);
}

static void on_connect(struct world *world) {
  CHECK(!world->had_on_connect && world->running->wants_on_connect && world->answered == 0);
  CHECK(world->running == world->newest);
  world->had_on_connect = true;
  expect(world, "hello", 5);
  CHECK(session_send(world->session, "hello", 5) == STATUS_OK);
  session_answered(world->session, false);
}

/* The peer would wait: for a target with a "q" in it, it does so in vain. */
static void expect_request(struct world *world) {
  struct span input = session_input(world->session);
  struct framing_progress progress = {0};
  struct framing_answer head, whole;
  struct http_request request;
  check_beginner(world);
  world->beginner = world->running;
  CHECK(world->running->wants_on_expect && !world->has_asked);
  world->has_asked = true;
  http_read_head(input.data, input.length, &head);
  CHECK(head.length <= input.length && head.http.expects);
  http_read_request(&head, &request);
  if (memchr(request.target.data, 'y', request.target.length)) session_yield(world->session);
  if (memchr(request.target.data, 'q', request.target.length)) {
    world->answered++;
    world->beginner = NULL;
    world->is_over = true;
    expect(world, "no", 2);
    CHECK(session_send(world->session, "no", 2) == STATUS_OK);
    session_answered(world->session, true);
    return;
  }
  framing_decode(world->running->framing, input.data, input.length, &progress, &whole);
  bool waits = whole.verdict == FRAMING_PARTIAL && input.length == head.length;
  CHECK(waits || whole.verdict == FRAMING_COMPLETE);
  static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
  if (waits && !world->is_at_end) expect(world, go_on, sizeof go_on - 1);
  session_accept_body(world->session);
}

static void on_error(struct world *world) {
  CHECK(!world->had_on_error && world->running->wants_on_error && !world->is_cut);
  CHECK(world->alive == 0);
  CHECK(session_failure(world->session) != NULL);
  CHECK(session_reason(world->session) != REASON_NONE);
  world->had_on_error = true;
  expect(world, "sorry", 5);
  CHECK(session_send(world->session, "sorry", 5) == STATUS_OK);
  if (session_failure(world->session)[0] == 'o')
    session_answered(world->session, true);
  else
    session_fail(world->session, REASON_SCRIPT_ERROR, "no words");
}

/* A full stop ends a request, a '!' is none, a digit declares how much is still to come. */
static void ask(struct world *world) {
  struct span input = session_input(world->session);
  check_beginner(world);
  world->beginner = world->running;
  CHECK(input.length > 0 && input.data != NULL);
  for (size_t i = 0; i < input.length; i++) {
    char byte = input.data[i];
    if (byte == '.') {
      session_set_verdict(world->session, SESSION_COMPLETE, i + 1, NULL);
      return;
    }
    if (byte == '!') {
      session_set_verdict(world->session, SESSION_MALFORMED, 0, "shouting");
      return;
    }
  }
  uint8_t last = (uint8_t)input.data[input.length - 1];
  size_t more = last >= '0' && last <= '9' ? last - (size_t)'0' : 0;
  session_set_verdict(world->session, SESSION_PARTIAL, more > 0 ? input.length + more : 0, NULL);
}

static void pull(struct world *world) {
  int number = session_stream(world->session);
  struct reference *stream = &world->references[number];
  CHECK(stream->is_alive);
  int piece = stream->pieces--;
  if (piece > 0)
    CHECK(session_pulled(world->session, pattern + piece, (size_t)piece * 100) == STATUS_OK);
  else if (stream->is_wrong) {
    world->is_cut = true;
    session_fail(world->session, REASON_SCRIPT_ERROR, "at the end of a stream");
  } else
    CHECK(session_pulled(world->session, NULL, 0) == STATUS_OK);
}

static void do_steps(struct world *world, struct handler *handler, struct session *session) {
  for (;;) {
    enum session_step step = session_next(session);
    CHECK(step == session_next(session));
    CHECK(!world->is_ended || step == SESSION_CLOSE);
    CHECK(!world->is_over || step == SESSION_WAIT || step == SESSION_PULL || step == SESSION_CLOSE);
    switch (step) {
    case SESSION_WAIT: return;
    case SESSION_CONNECT: on_connect(world); break;
    case SESSION_ASK: ask(world); break;
    case SESSION_DATAGRAM: /* It gets none. */
    case SESSION_ANSWER:
      answer(world, handler->framing ? session_framed(session)->payload : session_input(session));
      break;
    case SESSION_EXPECT: expect_request(world); break;
    case SESSION_PULL: pull(world); break;
    case SESSION_RESUME: CHECK(false); break;
    case SESSION_ERROR: on_error(world); break;
    case SESSION_CLOSE:
      CHECK(world->is_ended && !world->has_closed);
      CHECK(handler->wants_on_close && !world->has_forgotten);
      world->has_closed = true;
      session_closed(session);
      return;
    }
  }
}

static void run(struct handler *handler, struct session *session) {
  struct world *world = world_of(handler);
  CHECK(session == world->session);
  CHECK(handler == world->holder && !world->running);
  world->running = handler;
  do_steps(world, handler, session);
  CHECK(handler == world->holder);
  world->running = NULL;
}

/* ---- the owner's side ---------------------------------------------------------------------- */

static void identify(struct session_owner *owner, struct session_identity *identity) {
  (void)owner;
  *identity = (struct session_identity){.service = "fuzz",
                                        .host = "",
                                        .name = "",
                                        .port = 1,
                                        .server_host = "",
                                        .server_port = 2,
                                        .transport = "tcp"};
}

static void receive(struct world *world, size_t length) {
  if (length > world->left) length = world->left;
  char *bytes = malloc(length ? length : 1); /* of just this size, and gone afterwards */
  memcpy(bytes, world->input, length);
  world->input += length;
  world->left -= length;
  session_receive(world->session, bytes, length, world->now);
  free(bytes);
}

static void receive_in_place(struct world *world, size_t length) {
  struct span space;
  if (!session_space(world->session, &space)) {
    receive(world, length);
    return;
  }
  CHECK(space.length >= 4096);
  if (length > world->left) length = world->left;
  memcpy((char *)space.data, world->input, length);
  world->input += length;
  world->left -= length;
  session_receive(world->session, space.data, length, world->now);
}

static void end_input(struct world *world) {
  world->is_at_end = true;
  session_receive_end(world->session, world->now);
}

static void see(struct world *world, const char *bytes, size_t length) {
  CHECK(world->seen + length <= world->expected);
  CHECK(memcmp(expected_bytes + world->seen, bytes, length) == 0);
  world->seen += length;
}

/* The peer takes at most `room` bytes. */
static void send_some(struct world *world, size_t room) {
  static char block[PATTERN];
  struct span spans[3];
  struct session_output output;
  size_t sent = 0;
  if (!session_has_output(world->session)) return;
  session_output(world->session, spans, 3, &output);
  for (size_t i = 0; i < output.count && sent < room; i++) {
    size_t taken = spans[i].length < room - sent ? spans[i].length : room - sent;
    if (taken > 0) see(world, spans[i].data, taken);
    sent += taken;
  }
  if (output.count == 0) {
    CHECK(output.file == file);
    if (room > sizeof block) room = sizeof block;
    ssize_t got = pread(file, block, output.file_length < room ? output.file_length : room,
                        (off_t)output.offset);
    if (got <= 0 && room > 0) {
      world->is_cut = true;
      session_file_failed(world->session, world->now);
      return;
    }
    sent = got > 0 ? (size_t)got : 0;
    see(world, block, sent);
  }
  session_sent(world->session, sent, world->now);
  session_resume(world->session, world->now);
}

static void expire(struct world *world, int64_t now) {
  bool had_output = session_has_output(world->session) || session_is_responding(world->session);
  if (now < world->now) now = world->now;
  bool is_due = session_deadline(world->session) <= now;
  world->now = now;
  session_expire(world->session, now);
  if (!is_due) return;
  CHECK(session_reason(world->session) != REASON_NONE);
  if (had_output) {
    world->is_cut = true;
    CHECK(session_finished(world->session) && !session_has_output(world->session));
  }
}

static struct handler *create_generation(struct world *world, const uint8_t *choice) {
  static const enum framing_kind kinds[] = {FRAMING_LINE, FRAMING_LENGTH_LINE, FRAMING_NETSTRING,
                                            FRAMING_FIXED};
  bool is_http = (choice[0] & 12) == 12;
  struct generation *generation = calloc(1, sizeof *generation);
  CHECK(generation != NULL);
  generation->world = world;
  generation->next = world->generations;
  world->generations = generation;
  generation->framing = (struct framing){.kind = kinds[choice[0] % 4], .max = SIZE_MAX};
  if (is_http) {
    generation->framing.kind = FRAMING_HTTP;
    generation->framing.option.http.max_head = 96;
    generation->framing.option.http.max_headers = 8;
  }
  if (generation->framing.kind == FRAMING_FIXED) generation->framing.option.fixed.size = 3;
  generation->handler = (struct handler){.framing = choice[0] & 4 ? &generation->framing : NULL,
                                         .limits = {.max_request = 1 + choice[1] % MAX_REQUEST,
                                                    .max_unsent = choice[4] & 1 ? 1 << 17 : 300,
                                                    .request_timeout = choice[2] * 4,
                                                    .idle_timeout = choice[3] * 8,
                                                    .write_timeout = choice[4] * 2},
                                         .wants_on_connect = choice[5] & 1,
                                         .wants_on_expect = is_http,
                                         .wants_on_error = choice[5] & 2,
                                         .wants_on_close = choice[5] & 4,
                                         .run = run,
                                         .release = release,
                                         .on_sent = on_sent,
                                         .migrate = migrate,
                                         .forget_client = forget_client,
                                         .on_unused = on_unused};
  return &generation->handler;
}

/* As the owner should, every handler is given the newest; or the last one only, and then the others
 * have to find it through that. */
static void replace_handler(struct world *world, bool is_chained) {
  uint8_t choice[SETTINGS];
  for (size_t i = 0; i < SETTINGS; i++) choice[i] = take(world);
  struct handler *before = world->newest;
  world->newest = create_generation(world, choice);
  before->successor = world->newest;
  if (is_chained || before == world->holder) return;
  world->holder->successor = world->newest;
  free_generation(before);
}

static void be_moved(struct world *world) {
  bool is_moved = session_migrate(world->session, world->now);
  bool is_over = session_reason(world->session) != REASON_NONE;
  bool has_in_hand = world->beginner || session_is_responding(world->session);
  CHECK(is_moved == (is_over || !has_in_hand || world->holder == world->newest));
  CHECK(!is_moved || is_over || world->holder == world->newest);
}

static void happen_to_push(struct world *world, unsigned what) {
  switch (what) {
  case 1: close_gently(world); break;
  case 2: close_slow(world); break;
  case 3:
  case 4:
  case 5: push(world, (size_t)take(world) << what, false); break;
  case 6:
  case 7:
  case 8:
  case 9: push(world, (size_t)take(world) << (what - 3), true); break;
  case 10:
  case 11: secure(world); break;
  default: session_resume(world->session, world->now); break;
  }
}

static void happen(struct world *world, uint8_t what) {
  /* The log is filled already: it has its own specs. */
  const struct log_limit used_up = {.second = world->now / 1000, .written = 1000000};
  world->failures.of_peers = used_up;
  for (size_t i = 0; i < SESSION_PLACES; i++) world->failures.of_places[i] = used_up;
  switch (what & 15) {
  case 0:
  case 1:
  case 2: receive(world, take(world) % 48); break;
  case 3:
    replace_handler(world, what & 16);
    if (what & 32) be_moved(world);
    break;
  case 4: receive_in_place(world, take(world) % 48); break;
  case 5: receive(world, 1); break;
  case 6: end_input(world); break;
  case 7:
  case 8: send_some(world, (size_t)take(world) << (what >> 4)); break;
  case 9: world->now += (int64_t)take(world) * 10; break;
  case 10: expire(world, world->now + take(world)); break;
  case 11: {
    int64_t deadline = session_deadline(world->session);
    if (deadline != CLOCK_NEVER) expire(world, deadline - (what >> 4 & 1));
    break;
  }
  case 12: session_drain(world->session, world->now); break;
  case 13: {
    bool was_finished = session_finished(world->session);
    enum reason reason = (enum reason)(1 + take(world) % (REASON_COUNT - 1));
    enum reason before = session_reason(world->session);
    world->is_cut = world->is_cut || !was_finished;
    session_abort(world->session, reason, world->now);
    CHECK(session_finished(world->session));
    CHECK(!was_finished || session_reason(world->session) == before);
    break;
  }
  case 14: happen_to_push(world, what >> 4); break;
  default: receive(world, world->left); break;
  }
}

/* The first reason that is a failure stays; the others may yet give way to one. */
static void check_reason(struct world *world) {
  enum reason before = world->reason;
  world->reason = session_reason(world->session);
  if (before != REASON_NONE && before != REASON_DONE && before != REASON_PEER_CLOSED &&
      before != REASON_CLOSED && before != REASON_DRAINED)
    CHECK(world->reason == before);
}

/* Nothing is in the way of a request: so there is none. */
static void check_idle(struct world *world) {
  struct framing_progress progress = {0};
  struct framing_answer answer;
  struct span input = session_input(world->session);
  if (!world->is_at_end) CHECK(session_wants_input(world->session));
  CHECK(input.length <= world->holder->limits.max_request);
  if (!world->holder->framing || input.length == 0) return;
  framing_decode(world->holder->framing, input.data, input.length, &progress, &answer);
  CHECK(answer.verdict == FRAMING_PARTIAL);
}

static void check(struct world *world) {
  const struct session *session = world->session;
  const struct limits *limits = &world->holder->limits;
  size_t waiting = world->expected - world->seen;
  int64_t deadline = session_deadline(session);
  CHECK(session_requests(session) == world->answered);
  check_reason(world);
  check_counts(world);
  /* Nothing is in its way: so it was looked at. */
  if (session_wants_input(session) && session_input(session).length > 0 && !world->beginner)
    world->beginner = world->holder;
  if (session_finished(session)) {
    CHECK(!session_has_output(session) && !session_wants_input(session));
    CHECK(session_reason(session) != REASON_NONE && deadline == CLOCK_NEVER);
    CHECK(world->alive == 0);
    CHECK(world->is_cut || waiting == 0);
    return;
  }
  /* What waits, and no piece has failed: then it is on its way. */
  bool waits_for_turn = session_wants_turn(session);
  if (!world->is_cut) CHECK((waiting > 0) <= (session_has_output(session) || waits_for_turn));
  if (!world->is_cut && waiting >= SESSION_HIGH_WATER) CHECK(!session_wants_input(session));
  if (!session_has_output(session) && !waits_for_turn) check_idle(world);
  int64_t longest = limits->write_timeout;
  if (limits->idle_timeout > longest) longest = limits->idle_timeout;
  if (limits->request_timeout > longest) longest = limits->request_timeout;
  CHECK(deadline == CLOCK_NEVER || deadline <= world->now + longest);
  bool is_limited =
      limits->write_timeout > 0 && limits->idle_timeout > 0 && limits->request_timeout > 0;
  /* Whoever waits for a turn waits for no peer. */
  if (is_limited && !waits_for_turn) CHECK(deadline != CLOCK_NEVER);
}

/* Whatever has happened, a peer that reads and a clock that goes on bring it to its end. */
static void bring_to_end(struct world *world, bool peer_reads) {
  for (int turns = 0; !session_finished(world->session); turns++) {
    CHECK(turns < 100000);
    if (session_wants_turn(world->session))
      session_resume(world->session, world->now);
    else if (peer_reads && session_has_output(world->session))
      send_some(world, PATTERN);
    else if (session_deadline(world->session) != CLOCK_NEVER)
      expire(world, session_deadline(world->session));
    else if (turns < 90000 && !session_has_output(world->session))
      end_input(world);
    else {
      world->is_cut = true;
      session_abort(world->session, REASON_STOPPED, world->now);
    }
    check(world);
  }
}

static void set_up(void) {
  uint32_t state = 1;
  for (size_t i = 0; i < PATTERN; i++) {
    state = state * 1664525 + 1013904223;
    pattern[i] = (char)(state >> 24);
  }
  file = memfd_create("fuzz", MFD_CLOEXEC);
  CHECK(file >= 0 && write(file, pattern, PATTERN) == PATTERN);
  log_configure(LOG_ERROR, LOG_JSON);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct world world;
  if (size < SETTINGS || size > 4096) return 0;
  if (file < 0) set_up();
  memset(&world, 0, sizeof world);
  world.hooks = (struct session_hooks){
      .identify = identify, .failures = &world.failures, .held = &world.held};
  world.owner.hooks = &world.hooks;
  world.newest = world.holder = create_generation(&world, data);
  world.has_clients = data[5] & 32;
  world.input = data + SETTINGS;
  world.left = size - SETTINGS;
  world.session = session_create(world.holder, &world.owner, 0);
  CHECK(world.session != NULL);
  if (data[5] & 64) replace_handler(&world, false);
  session_start(world.session, 0);
  check(&world);
  while (world.left > 0) {
    happen(&world, take(&world));
    check(&world);
  }
  bool ends_itself = data[5] & 8;
  if (ends_itself) bring_to_end(&world, data[5] & 16);
  world.is_ended = true;
  bool wants_on_close = world.holder->wants_on_close, is_forgotten = world.client != 0;
  session_destroy(world.session, world.now);
  CHECK(world.alive == 0);
  CHECK(world.has_closed == wants_on_close);
  CHECK(world.has_forgotten == is_forgotten);
  CHECK(!world.holder || !world.holder->successor); /* else on_unused() freed it */
  world.holder = NULL;
  check_counts(&world);
  while (world.generations) free_generation(&world.generations->handler);
  return 0;
}
