/* fuzz_datagram.c: datagrams for protocols in Lua, through the session and script rooms as the
 * server runs them. The first byte of an input chooses the protocol, the second one what the owner
 * of the sessions does not send. Then come steps: a datagram is received, time passes, the server
 * is stopped for one datagram, the script is reloaded.
 *
 * The datagrams are played twice: one after the other, each to its end, and beside each other, as
 * the steps say. The answers to each must be the same. The protocols from STATEFUL on keep state,
 * and are played only beside each other. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "modules/modules.h"
#include "reload/reload.h"
#include "session/datagram.h"
#include "session/session.h"
#include "session/steps.h"

enum { SETTINGS = 2, MOST = 64 /* datagrams of an input */, SECOND = 1000, TURNS_MAX = 100000 };

/* See fuzz_script.c. */
int __lsan_is_turned_off(void);

static bool is_ending;

int __lsan_is_turned_off(void) { return !is_ending; }

static void look_for_leaks(void) { is_ending = true; }

/* Answers of every kind, chosen by the first byte. */
#define KINDS                                                                                      \
  "local parlance = require 'parlance'\n"                                                          \
  "local kept\n"                                                                                   \
  "local kinds = {\n"                                                                              \
  "  a = function() error 'on purpose' end, b = function() error {} end,\n"                        \
  "  c = function() return 5 end, d = function() return { 'x', 5 } end,\n"                         \
  "  e = function() return { 'x', function() error 'late' end } end,\n"                            \
  "  f = function() return { n = 1 } end, g = function() coroutine.yield() end,\n"                 \
  "  h = function() return { io.open '/dev/null' } end, i = function() end,\n"                     \
  "  j = function() return {} end, k = function() return ('k'):rep(70000) end,\n"                  \
  "  l = function(self) setmetatable(self, nil) return 'l' end,\n"                                 \
  "  m = function(self) for k in pairs(self) do self[k] = nil end return 'm' end,\n"               \
  "  n = function(_, n) parlance.sleep(n / 50) return 'slept' end,\n"                              \
  "  o = function() return { '', 'x', '' } end,\n"                                                 \
  "  p = function(self, n) self:send 'p' parlance.sleep(n / 50) self:send 'q' return 'r' end,\n"   \
  "  q = function(self) self:close() self:send 'x' return 'bye' end,\n"                            \
  "  r = function(self) return self.client_address.host .. self.server.port end,\n"                \
  "  s = function(self) return tostring(self.eof) .. self.transport end,\n"                        \
  "  t = function(self) parlance.topic 'all':subscribe(self) end,\n"                               \
  "  u = function(self) return self:read(1) end, v = function(self) self:write 'x' end,\n"         \
  "  w = function(self, n) self:set_response_timeout(n / 60) parlance.sleep(1) return 'w' end,\n"  \
  "  x = function(self)\n"                                                                         \
  "    parlance.spawn(function() parlance.sleep(1) self:send 'late' end)\n"                        \
  "    return 'x'\n"                                                                               \
  "  end,\n"                                                                                       \
  "  y = function(self) return tostring(select(2, self:send(('y'):rep(70000)))) end,\n"            \
  "}\n"                                                                                            \
  "local P = { listen = 'udp:localhost:0', max_request = 300, response_timeout = 3 }\n"            \
  "function P:make_response()\n"                                                                   \
  "  local kind = kinds[self.incoming:sub(1, 1)]\n"                                                \
  "  if kind then return kind(self, self.incoming:byte(2) or 0) end\n"                             \
  "  return self.request\n"                                                                        \
  "end\n"                                                                                          \
  "function P:handle_error(reason) return { reason, self.incoming and '!' } end\n"

#define FRAMED(framing)                                                                            \
  "local framing = require 'parlance.framing'\n"                                                   \
  "return {\n"                                                                                     \
  "  datagram = " framing ",\n"                                                                    \
  "  make_response = function(self)\n"                                                             \
  "    local r = self.request\n"                                                                   \
  "    if type(r) == 'string' then return { r, self.incoming } end\n"                              \
  "    return r.method and { r.method, r.target, r.body } or table.concat(r, ',')\n"               \
  "  end,\n"                                                                                       \
  "  handle_error = function(_, reason, detail) return reason .. detail end,\n"                    \
  "}"

static const char *const protocols[] = {
    KINDS "return P",
    KINDS "P.amplification = 2\n"
          "return P",
    KINDS "function P:handle_error(reason) if #reason > 9 then error 'again' end return 5 end\n"
          "return P",
    FRAMED("framing.line { max = 20 }"),
    FRAMED("framing.prefixed { format = '>I2', max = 99 }"),
    FRAMED("framing.resp { max = 99 }"),
    FRAMED("framing.http { max = 99, max_head = 400 }"),
    FRAMED("framing.fixed { size = 4 }"),
    /* By hand, with all answers that the function may give, and some that it may not. */
    KINDS "function P:datagram()\n"
          "  local first = self.incoming:byte() or 255\n"
          "  if first == 0 then return nil, 'zero' end\n"
          "  if first == 1 then return 'yes' end\n"
          "  if first == 2 then return true, 0 end\n"
          "  if first == 3 then return true, 1000 end\n"
          "  if first == 4 then return false, 0 end\n"
          "  if first == 5 then return nil, 'too_large', 'much' end\n"
          "  if first == 6 then error 'in datagram' end\n"
          "  if first == 7 then parlance.sleep(1) end\n"
          "  if first == 8 then return true, 1.5 end\n"
          "  if first == 9 then self.incoming = 5 end\n"
          "  if first == 10 then self:send 'early' end\n"
          "  return true, nil, self.incoming\n"
          "end\n"
          "return P",
    /* STATEFUL: values of earlier datagrams are used, and finalizers run at any allocation. */
    KINDS "local make = P.make_response\n"
          "function P:make_response()\n"
          "  local old = kept\n"
          "  if self.incoming:sub(1, 1) == '?' and old then\n"
          "    local is_sent, why = old:send 'more'\n"
          "    return tostring(is_sent) .. tostring(why) .. tostring(old.request)\n"
          "  end\n"
          "  kept = self\n"
          "  setmetatable({}, { __gc = function()\n"
          "    if old then old:send 'from a finalizer' end\n"
          "    self:send 'from a finalizer, too'\n"
          "  end })\n"
          "  if self.incoming:sub(1, 1) == '!' then collectgarbage() end\n"
          "  return make(self)\n"
          "end\n"
          "return P",
};

enum { PROTOCOLS = sizeof protocols / sizeof *protocols, STATEFUL = PROTOCOLS - 1 };

static struct script *scripts[PROTOCOLS];
static struct script_clock script_time;
static struct world world;
static int64_t now = SECOND;

static void set_now(int64_t time) {
  now = time;
  script_time.monotonic = (double)now / SECOND;
  script_time.real = script_time.monotonic;
}

/* ---- one datagram -------------------------------------------------------------------------- */

struct datagram {
  struct session_owner owner; /* The first member. */
  struct session *session;    /* NULL: it is over. */
  struct timer timer;
  struct ready turn;
  size_t most;    /* So many bytes may be sent. */
  size_t sent;    /* How many bytes were sent. */
  bool is_broken; /* It was stopped, or an answer was not sent. */
  enum reason reason;
  size_t answer_length; /* The answers, each behind its length. */
  char *answers;
};

static unsigned refuses; /* Which answers are not sent. */
static unsigned sends;

static void write_down(struct datagram *datagram, const void *bytes, size_t length) {
  if (length == 0) return;
  datagram->answers = realloc(datagram->answers, datagram->answer_length + length);
  CHECK(datagram->answers != NULL);
  memcpy(datagram->answers + datagram->answer_length, bytes, length);
  datagram->answer_length += length;
}

static enum status send_datagram(struct session_owner *owner, struct span bytes) {
  static const enum status results[] = {STATUS_FULL, STATUS_ERROR, STATUS_NO_MEMORY};
  struct datagram *datagram = (struct datagram *)owner;
  CHECK(datagram->session != NULL);
  CHECK(!session_finished(datagram->session));
  if (refuses > 0 && ++sends % refuses == 0) {
    datagram->is_broken = true;
    return results[sends / refuses % 3];
  }
  if (bytes.length > DATAGRAM_LONGEST_IPV4) return STATUS_ERROR;
  datagram->sent += bytes.length;
  write_down(datagram, &bytes.length, sizeof bytes.length);
  write_down(datagram, bytes.data, bytes.length);
  return STATUS_OK;
}

static void identify(struct session_owner *owner, struct session_identity *identity) {
  (void)owner;
  *identity = (struct session_identity){.service = "fuzz",
                                        .host = "192.0.2.1",
                                        .name = "peer.example",
                                        .port = 1,
                                        .server_host = "192.0.2.2",
                                        .server_port = 2,
                                        .transport = "udp"};
}

static void wake(struct session_owner *owner) {
  ready_add(&world.ready, &((struct datagram *)owner)->turn);
}

static int64_t tell_time(struct session_owner *owner) {
  (void)owner;
  return now;
}

static struct session_failures failures;
static const struct session_hooks hooks = {.identify = identify,
                                           .failures = &failures,
                                           .now = tell_time,
                                           .wake = wake,
                                           .send_datagram = send_datagram};

static void finish(struct datagram *datagram) {
  struct session *session = datagram->session;
  datagram->reason = session_reason(session);
  CHECK(datagram->reason != REASON_NONE);
  CHECK(session_requests(session) <= 1);
  CHECK(!session_has_output(session));
  CHECK(datagram->sent <= datagram->most);
  session_destroy(session, now);
  timer_cancel(&world.timers, &datagram->timer);
  ready_remove(&world.ready, &datagram->turn);
  datagram->session = NULL;
}

static void settle(struct datagram *datagram) {
  struct session *session = datagram->session;
  if (session_finished(session)) {
    finish(datagram);
  } else if (session_wants_turn(session)) {
    ready_add(&world.ready, &datagram->turn);
  } else if (session_deadline(session) != CLOCK_NEVER)
    CHECK(timer_set(&world.timers, &datagram->timer, session_deadline(session)) == STATUS_OK);
}

static void go_on(struct datagram *datagram) {
  session_expire(datagram->session, now);
  session_resume(datagram->session, now);
  settle(datagram);
}

static void take_turn(struct ready *entry) {
  go_on((struct datagram *)((char *)entry - offsetof(struct datagram, turn)));
}

static void expire(struct timer *timer) {
  go_on((struct datagram *)((char *)timer - offsetof(struct datagram, timer)));
}

/* From a block of just this size that is gone afterwards. */
static void receive(struct script *script, struct datagram *datagram, struct span bytes) {
  char *copy = malloc(bytes.length);
  CHECK(copy != NULL || bytes.length == 0);
  if (bytes.length > 0) memcpy(copy, bytes.data, bytes.length);
  struct handler *handler = script_handler(script);
  size_t times = handler->limits.amplification;
  *datagram = (struct datagram){.owner = {&hooks},
                                .timer.expire = expire,
                                .turn.run = take_turn,
                                .most = times > 0 ? times * bytes.length : SIZE_MAX};
  datagram->session = session_create_datagram(handler, &datagram->owner, now);
  CHECK(datagram->session != NULL);
  session_receive_datagram(datagram->session, copy, bytes.length, now);
  free(copy);
  settle(datagram);
}

/* ---- time ---------------------------------------------------------------------------------- */

static void run_all(void) {
  for (int i = 0;; i++) {
    CHECK(i < TURNS_MAX);
    struct timer *timer = timer_take_due(&world.timers, now);
    struct ready *entry = timer ? NULL : ready_take(&world.ready);
    if (timer)
      timer->expire(timer);
    else if (entry)
      entry->run(entry);
    else
      return;
  }
}

static void advance(int64_t until) {
  run_all();
  for (int64_t next; (next = timer_next(&world.timers)) <= until;) {
    if (next > now) set_now(next);
    run_all();
  }
  if (until != CLOCK_NEVER) set_now(until);
}

/* Until nothing waits: also tasks beside the datagrams. */
static void advance_to_end(void) {
  run_all();
  for (int i = 0; timer_next(&world.timers) != CLOCK_NEVER; i++) {
    CHECK(i < TURNS_MAX);
    advance(timer_next(&world.timers));
  }
}

/* ---- plays --------------------------------------------------------------------------------- */

/* Takes the bytes of the next datagram of the input, of which `*step` was read. A long one repeats
 * its bytes. */
static struct span next_datagram(struct span *input, unsigned char step, char *room, size_t most) {
  size_t length = 0, wanted = step >> 3;
  if (input->length > 0 && (step & 0x80)) {
    wanted = (size_t)(unsigned char)*input->data * 257;
    input->data++;
    input->length--;
  }
  size_t given = wanted < input->length ? wanted : input->length;
  if (step & 0x80 && given > 16) given = 16;
  if (wanted > most) wanted = most;
  for (; given > 0 && length < wanted; length++) room[length] = input->data[length % given];
  input->data += given;
  input->length -= given;
  return (struct span){room, length};
}

static size_t play(struct script *script, struct span input, struct datagram *all, bool is_alone) {
  static char room[DATAGRAM_LONGEST_IPV4];
  size_t count = 0;
  while (input.length > 0 && count < MOST) {
    unsigned char step = (unsigned char)*input.data;
    input.data++;
    input.length--;
    if ((step & 7) < 5) {
      receive(script, &all[count], next_datagram(&input, step, room, sizeof room));
      if (is_alone) advance_to_end();
      count++;
    } else if (is_alone) {
      continue;
    } else if ((step & 7) == 5) {
      advance(now + 100 * (step >> 3));
    } else if ((step & 7) == 6) {
      struct datagram *one = count > 0 ? &all[(size_t)(step >> 3) % count] : NULL;
      if (!one || !one->session) continue;
      one->is_broken = true;
      session_abort(one->session, REASON_STOPPED, now);
      finish(one);
    } else
      CHECK(reload_try(script, true, now) == RELOAD_DONE);
  }
  advance_to_end();
  for (size_t i = 0; i < count; i++) CHECK(all[i].session == NULL);
  return count;
}

static void check_same(const struct datagram *alone, const struct datagram *beside) {
  if (beside->is_broken) return;
  CHECK(alone->reason == beside->reason);
  CHECK(alone->answer_length == beside->answer_length);
  CHECK(alone->answer_length == 0 ||
        memcmp(alone->answers, beside->answers, alone->answer_length) == 0);
}

static void drop_line(void *context, enum log_level level, const char *text, size_t length) {
  (void)context, (void)level, (void)text, (void)length;
}

static void load_scripts(void) {
  static char paths[PROTOCOLS][32];
  log_divert(drop_line, NULL);
  world_init(&world);
  set_now(now);
  atexit(look_for_leaks);
  for (int i = 0; i < PROTOCOLS; i++) {
    const char *error = "";
    size_t length = strlen(protocols[i]);
    int file = memfd_create("protocol", 0);
    CHECK(file >= 0 && write(file, protocols[i], length) == (ssize_t)length);
    snprintf(paths[i], sizeof paths[i], "/proc/self/fd/%d", file);
    struct script_options options = {.path = paths[i],
                                     .open_modules = modules_open,
                                     .world = &world,
                                     .clock = &script_time,
                                     .call_timeout = 4000,
                                     .max_request = LIMIT_NOT_GIVEN,
                                     .max_unsent = LIMIT_NOT_GIVEN,
                                     .request_timeout = LIMIT_NOT_GIVEN,
                                     .idle_timeout = LIMIT_NOT_GIVEN,
                                     .write_timeout = LIMIT_NOT_GIVEN,
                                     .response_timeout = LIMIT_NOT_GIVEN,
                                     .max_tasks = LIMIT_NOT_GIVEN};
    CHECK(script_create(&options, &scripts[i]) == STATUS_OK);
    if (!reload_load_first(scripts[i], &error)) fprintf(stderr, "%s\n", error);
    CHECK(*error == '\0'); /* The file stays open, to be read again. */
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static struct datagram alone[MOST], beside[MOST];
  if (size <= SETTINGS) return 0;
  if (!scripts[0]) load_scripts();
  unsigned protocol = data[0] % PROTOCOLS;
  struct script *script = scripts[protocol];
  struct span input = {(const char *)data + SETTINGS, size - SETTINGS};
  size_t count = 0;
  refuses = sends = 0;
  if (protocol < STATEFUL) count = play(script, input, alone, true);
  refuses = data[1] % 8;
  size_t again = play(script, input, beside, false);
  for (size_t i = 0; i < count; i++) check_same(&alone[i], &beside[i]);
  for (size_t i = 0; i < count; i++) free(alone[i].answers);
  for (size_t i = 0; i < again; i++) free(beside[i].answers);
  return 0;
}
