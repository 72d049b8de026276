/* fuzz_script.c: noise for protocols in Lua, through the session and script rooms as the server
 * runs them. The first byte of an input chooses the protocol, the next three the random cuts, the
 * rest is the stream. What is answered, and why it ends, must not depend on the cuts, nor on
 * reloads of the same script in between.
 *
 * A framing need not have a script here: fuzz_framing.c covers its decoder. Write one if the way
 * from its payload to self.request is new, as for http and resp. Add it at the end of `protocols`:
 * the first byte of each file in corpus/script/ is an index. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "modules/modules.h"
#include "reload/reload.h"
#include "session/session.h"

enum { SETTINGS = 4 };

/* At a random cut in so many the script is reloaded. */
enum { RELOAD_BITS = 0x1f00 };

/* libFuzzer looks for leaks after every input that allocates more than it frees, which is every one
 * in a Lua state: that takes all the time. Once, at the end, is enough. */
int __lsan_is_turned_off(void);

static bool is_ending;

int __lsan_is_turned_off(void) { return !is_ending; }

static void look_for_leaks(void) { is_ending = true; }

#define FRAMED(framing, code)                                                                      \
  "local framing = require 'parlance.framing'\n"                                                   \
  "local P = { close_when_done = false, max_request = 200, request_complete = " framing " }\n"     \
  "function P:handle_error(reason, detail)\n"                                                      \
  "  return reason .. (reason == 'malformed' and detail or '')\n"                                  \
  "end\n" code

static const char *const protocols[] = {
    FRAMED("framing.line { max = 20 }", "P.make_response = function(self) return self.request end\n"
                                        "return P"),
    FRAMED("framing.length_line {}", "function P:make_response()\n"
                                     "  self.close_when_done = self.request == 'q'\n"
                                     "  return { '[', self.request:rep(2000), ']' }\n"
                                     "end\n"
                                     "return P"),
    FRAMED("framing.netstring { max = 99 }", "function P:make_response()\n"
                                             "  local left = self.request\n"
                                             "  return { '(', function()\n"
                                             "    local byte = left:sub(1, 1)\n"
                                             "    left = left:sub(2)\n"
                                             "    return byte ~= '' and byte or nil\n"
                                             "  end, ')' }\n"
                                             "end\n"
                                             "return P"),
    FRAMED("framing.prefixed { format = '<i2', offset = 1, strip = 1 }",
           "function P:make_response() return self.request end\n"
           "return P"),
    FRAMED("framing.delimited { delimiter = '\\r\\n\\r\\n' }",
           "function P:make_response()\n"
           "  self.state = (self.state or '') .. self.request\n"
           "  return #self.state .. ','\n"
           "end\n"
           "return P"),
    /* A response, or what only looks like one, of every kind. */
    FRAMED("framing.fixed { size = 2 }",
           "local kinds = {\n"
           "  a = function() error 'on purpose' end, b = function() error {} end,\n"
           "  c = function() return 5 end, d = function() return { 'x', 5 } end,\n"
           "  e = function() return { function() error 'late' end } end,\n"
           "  f = function() return { 'x', function() return {} end } end,\n"
           "  g = function() coroutine.yield() end,\n"
           "  h = function() return { io.open '/dev/null' } end,\n"
           "  i = function() return coroutine.wrap(function() error 'x' end)() end,\n"
           "  j = function() return {} end, k = function() return ('k'):rep(40000) end,\n"
           "  l = function(self) setmetatable(self, nil) return self.host or 'l' end,\n"
           "  m = function(self) for k in pairs(self) do self[k] = nil end return 'm' end,\n"
           "  n = function() return { n = 1 } end, o = function() return '' end,\n"
           "  p = function() return { io.open '/dev/zero' and '', false } end,\n"
           "  q = function(self) self.close_when_done = true return 'bye' end,\n"
           "  r = function(self) return self.client_address.host .. self.server.port end,\n"
           "  s = function(self) return tostring(self.eof) end,\n"
           "}\n"
           "function P:make_response()\n"
           "  local kind = kinds[self.request:sub(1, 1)]\n"
           "  if kind then return kind(self) end\n"
           "  return { self.request, '\\n' }\n"
           "end\n"
           "return P"),
    /* By hand, with all answers that request_complete may give, and some that it may not. */
    "local P = { close_when_done = false, max_request = 100 }\n"
    "function P:handle_connect() return 'hi' end\n"
    "function P:request_complete()\n"
    "  local first, second = self.incoming:byte(1, 2)\n"
    "  if first == 0 then return nil, 'zero' end\n"
    "  if first == 1 then return 'yes' end\n"
    "  if first == 2 then return true, 0 end\n"
    "  if first == 3 then return true, 1000 end\n"
    "  if first == 4 then return false, 0 end\n"
    "  if first == 5 then return false, 1000 end\n"
    "  if first == 6 then error 'in request_complete' end\n"
    "  if first == 7 then return nil end\n"
    "  if first == 8 then return true, 1.5 end\n"
    "  if #self.incoming < first // 8 then return false, first // 8 end\n"
    "  return true, math.max(first // 8, 1)\n"
    "end\n"
    "function P:make_response()\n"
    "  return self.incoming:sub(1, math.max(self.incoming:byte() // 8, 1))\n"
    "end\n"
    "function P:handle_close(reason) if reason == 'peer_closed' then error 'closing' end end\n"
    "return P",
    /* All there is until the end. */
    "return {\n"
    "  max_request = 50,\n"
    "  request_complete = function(self) return self.eof or false end,\n"
    "  make_response = function(self) return self.incoming:reverse() end,\n"
    "  handle_error = function(_, reason) return reason end,\n"
    "}",
    /* Requests that are tables. They have the default max_request: a malformed one that is also too
     * large would be either, depending on the cuts. */
    FRAMED("framing.resp { max = 99, reuse = true }",
           "P.max_request = nil\n"
           "function P:make_response()\n"
           "  return #self.request .. table.concat(self.request, ',')\n"
           "end\n"
           "return P"),
    FRAMED("framing.http { max = 99, max_head = 400 }",
           "P.max_request = nil\n"
           "function P:make_response()\n"
           "  local r, fields = self.request, {}\n"
           "  for name, value in pairs(r.headers) do\n"
           "    fields[#fields + 1] = name .. '=' .. value\n"
           "  end\n"
           "  table.sort(fields)\n"
           "  self.close_when_done = not r.keep_alive\n"
           "  return { '<', r.method, r.target, r.version,\n"
           "    table.concat(fields, ','), r.body, '>' }\n"
           "end\n"
           "return P"),
    /* Bodies that are streams, which are read in the ways that do not depend on the cuts. */
    FRAMED(
        "framing.http { max = 99, max_head = 400, stream_body = true }",
        "P.max_request = nil\n"
        "local function show(...) return '<' .. table.concat({ ... }, '|') .. '>' end\n"
        "local kinds = {\n"
        "  a = function(body) return show(body:read 'a' or select(3, body:read 'l')) end,\n"
        "  b = function(body) return { '(', body, ')' } end,\n"
        "  c = function(body) body:close() return show(select(3, body:read(1))) end,\n"
        "  e = function(body) error(body:read(2)) end,\n"
        "  f = function(body) return { '[', function() return body:read(1) end, ']' } end,\n"
        "  l = function(body)\n"
        "    local n = 0\n"
        "    for _ in body:lines(2) do n = n + 1 end\n"
        "    return show(n)\n"
        "  end,\n"
        "  p = function(body) return show(body:peek(1) or '-', body:read(3) or '-') end,\n"
        "  r = function(body, self) return show(body:read 'a' or '-', self:read(2) or '-') end,\n"
        "  w = function(body, self) for x in body:lines(1) do self:write(x) end return '.' end,\n"
        "}\n"
        "function P:make_response()\n"
        "  local r = self.request\n"
        "  self.close_when_done = not r.keep_alive\n"
        "  local kind = kinds[r.target:sub(2, 2)]\n"
        "  return kind and kind(r.body, self) or show(r.method, r.target)\n"
        "end\n"
        "return P"),
};

enum { PROTOCOLS = sizeof protocols / sizeof *protocols };

static struct script *scripts[PROTOCOLS];
static struct world world;

/* Does what the script has asked of its streams. */
static void run_queue(void) {
  struct ready *entry;
  while ((entry = ready_take(&world.ready))) entry->run(entry);
}

struct transcript {
  enum reason reason;
  uint64_t requests;
  bool has_interim; /* 100 Continue was sent. */
  size_t length;
  size_t capacity;
  char *bytes;
};

static void write_down(struct transcript *transcript, const char *bytes, size_t length) {
  if (length > transcript->capacity - transcript->length) {
    transcript->capacity = 2 * (transcript->length + length);
    transcript->bytes = realloc(transcript->bytes, transcript->capacity);
    CHECK(transcript->bytes != NULL);
  }
  if (length > 0) memcpy(transcript->bytes + transcript->length, bytes, length);
  transcript->length += length;
}

static void take_output(struct session *session, struct transcript *transcript) {
  struct span spans[2];
  struct session_output output;
  run_queue();
  while (session_has_output(session) || session_wants_turn(session)) {
    session_resume(session, 0);
    session_output(session, spans, 2, &output);
    if (output.count == 0) continue; /* it has had its share of time, and goes on */
    size_t length = 0;
    for (size_t i = 0; i < output.count; i++) {
      write_down(transcript, spans[i].data, spans[i].length);
      length += spans[i].length;
    }
    session_sent(session, length, 0);
    if (!session_wants_turn(session)) session_resume(session, 0);
    run_queue();
  }
}

static void identify(struct session_owner *owner, struct session_identity *identity) {
  (void)owner;
  *identity = (struct session_identity){.service = "fuzz",
                                        .host = "192.0.2.1",
                                        .name = "peer.example",
                                        .port = 1,
                                        .server_host = "192.0.2.2",
                                        .server_port = 2,
                                        .transport = "tcp"};
}

/* The bytes of the next piece: 1 to 16, the same for the same input. */
static size_t next_cut(uint32_t *state) {
  *state = *state * 1664525 + 1013904223;
  return 1 + (*state >> 28);
}

/* From a block of just this size that is gone afterwards. */
static void receive(struct session *session, const char *bytes, size_t length, bool in_place) {
  struct span space;
  if (in_place && session_space(session, &space)) {
    memcpy((char *)space.data, bytes, length);
    session_receive(session, space.data, length, 0);
    return;
  }
  char *copy = malloc(length);
  CHECK(copy != NULL);
  memcpy(copy, bytes, length);
  session_receive(session, copy, length, 0);
  free(copy);
}

static void converse(struct script *script, struct span stream, size_t step, uint32_t cuts,
                     struct transcript *transcript) {
  struct session_failures quiet = {.of_peers = {.written = 1000000}};
  for (int i = 0; i < SESSION_PLACES; i++) quiet.of_places[i] = quiet.of_peers;
  const struct session_hooks hooks = {.identify = identify, .failures = &quiet};
  struct session_owner owner = {&hooks};
  struct session *session = session_create(script_handler(script), &owner, 0);
  CHECK(session != NULL);
  session_start(session, 0);
  take_output(session, transcript);
  while (stream.length > 0 && session_wants_input(session)) {
    size_t length = step > 0 ? step : next_cut(&cuts);
    if (step == 0 && (cuts & RELOAD_BITS) == 0) CHECK(reload_try(script, true, 0) == RELOAD_DONE);
    if (length > stream.length) length = stream.length;
    receive(session, stream.data, length, step == 0);
    stream.data += length;
    stream.length -= length;
    take_output(session, transcript);
  }
  if (session_wants_input(session)) session_receive_end(session, 0);
  take_output(session, transcript);
  CHECK(session_finished(session));
  transcript->reason = session_reason(session);
  transcript->requests = session_requests(session);
  transcript->has_interim = session_interim(session) != NULL;
  session_destroy(session, 0);
  run_queue();
}

/* Whether 100 Continue is sent depends on the cuts. */
static void check_same(const struct transcript *a, const struct transcript *b) {
  CHECK(a->reason == b->reason);
  CHECK(a->requests == b->requests);
  if (a->has_interim || b->has_interim) return;
  CHECK(a->length == b->length);
  CHECK(a->length == 0 || memcmp(a->bytes, b->bytes, a->length) == 0);
}

static void load_scripts(void) {
  static char paths[PROTOCOLS][32];
  log_configure(LOG_ERROR, LOG_TEXT);
  world_init(&world);
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
    CHECK(*error == '\0'); /* the file stays open, to be read again */
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct transcript whole = {0}, bytewise = {0}, random = {0};
  if (size <= SETTINGS) return 0;
  if (!scripts[0]) load_scripts();
  struct script *script = scripts[data[0] % PROTOCOLS];
  uint32_t cuts = (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
  struct span stream = {(const char *)data + SETTINGS, size - SETTINGS};
  converse(script, stream, stream.length, 0, &whole);
  converse(script, stream, 1, 0, &bytewise);
  converse(script, stream, 0, cuts, &random);
  check_same(&whole, &bytewise);
  check_same(&whole, &random);
  free(whole.bytes);
  free(bytewise.bytes);
  free(random.bytes);
  return 0;
}
