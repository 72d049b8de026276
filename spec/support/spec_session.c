/* spec_session.c: conversations without sockets. A script has a Lua state of its own, as in the
 * server; the spec passes strings and times. */
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "reload/reload.h"
#include "session/session.h"
#include "session/steps.h"
#include "simulator/arguments.h"
#include "spec_memory.h"
#include "spec_module.h"
#include "spec_session.h"

static const char script_class[] = "parlance_spec.script";
static const char session_class[] = "parlance_spec.session";

/* The number of spans in one session_output(). */
enum { SPANS = 4 };

struct service {
  struct script *script; /* NULL once it is closed */
  struct spec_peers peers;
};

struct peer {
  struct session_owner owner; /* first, so that an owner is its peer */
  struct session_hooks hooks;
  struct spec_peers *all;
  struct session *session; /* NULL once it is closed */
  struct peer *next;
  struct session_identity who;
  int64_t now;   /* The time of the last call. */
  int64_t takes; /* Each call of the handler adds this to the time. */
};

/* ---- scripts ------------------------------------------------------------------------------- */

static struct service *check_service(lua_State *L) {
  struct service *service = luaL_checkudata(L, 1, script_class);
  luaL_argcheck(L, service->script != NULL, 1, "the script was closed");
  return service;
}

/* load(path, options): a script, or nil and why not. The times are in ms. */
static int load(lua_State *L) {
  struct script_options options;
  arguments_take_table(L, 2);
  arguments_script(L, &options);
  struct service *service = lua_newuserdatauv(L, sizeof *service, 2);
  memset(service, 0, sizeof *service);
  luaL_setmetatable(L, script_class);
  arguments_keep(L); /* the options' texts must outlive the script */
  const char *error = "not enough memory";
  struct script *script;
  bool is_loaded = script_create(&options, &script) == STATUS_OK;
  if (is_loaded) {
    service->script = script;
    is_loaded = reload_load_first(script, &error);
  }
  if (is_loaded) return 1;
  lua_pushnil(L);
  lua_pushstring(L, error);
  if (service->script) script_destroy(service->script);
  service->script = NULL;
  return 2;
}

static void destroy_session(struct peer *peer, int64_t now) {
  struct peer **link = &peer->all->first;
  while (*link != peer) link = &(*link)->next;
  *link = peer->next;
  session_destroy(peer->session, now);
  peer->session = NULL;
}

void spec_close_peers(struct spec_peers *peers) {
  while (peers->first) destroy_session(peers->first, peers->first->now);
}

static int service_close(lua_State *L) {
  struct service *service = luaL_checkudata(L, 1, script_class);
  spec_close_peers(&service->peers);
  if (service->script) script_destroy(service->script);
  service->script = NULL;
  return 0;
}

static int service_name(lua_State *L) {
  lua_pushstring(L, script_name(check_service(L)->script));
  return 1;
}

struct waking {
  pthread_t owner;
  sem_t is_woken;
  sem_t is_over;   /* The owner has an outcome. */
  bool is_awaited; /* The owner has none before the thread has left wake(). */
};

/* The thread stays here as if it had lost the processor. The owner must not wait for that. */
static void wake(void *context) {
  struct waking *waking = context;
  struct timespec end;
  sem_post(&waking->is_woken);
  if (pthread_equal(pthread_self(), waking->owner)) return;
  clock_gettime(CLOCK_REALTIME, &end);
  end.tv_sec += 10;
  waking->is_awaited = sem_timedwait(&waking->is_over, &end) != 0;
}

/* reload(is_forced, now, between): what came of it, in a word. If there is `between`, the new
 * version is compiled on a thread, and `between` is called when that has finished, before the
 * version is made. */
static int service_reload(lua_State *L) {
  enum { FORCED = 2, NOW, BETWEEN };
  struct service *service = check_service(L);
  bool is_forced = lua_toboolean(L, FORCED);
  int64_t now = luaL_checkinteger(L, NOW);
  lua_settop(L, BETWEEN);
  if (lua_isnil(L, BETWEEN)) {
    arguments_push_outcome(L, reload_try(service->script, is_forced, now));
    return 1;
  }
  int failed = LUA_OK;
  struct waking waking = {.owner = pthread_self()};
  sem_init(&waking.is_woken, 0, 0);
  sem_init(&waking.is_over, 0, 0);
  reload_set_wake(service->script, wake, &waking);
  enum reload_outcome outcome = reload_try(service->script, is_forced, now);
  while (outcome == RELOAD_COMPILING) {
    while (sem_wait(&waking.is_woken) != 0) continue;
    if (failed == LUA_OK) {
      lua_pushvalue(L, BETWEEN);
      failed = lua_pcall(L, 0, 0, 0);
    }
    outcome = reload_try(service->script, false, now);
  }
  sem_post(&waking.is_over);
  reload_set_wake(service->script, NULL, NULL);
  sem_destroy(&waking.is_woken);
  sem_destroy(&waking.is_over);
  if (failed != LUA_OK) return lua_error(L);
  if (waking.is_awaited) return luaL_error(L, "the reload has waited for the thread in wake()");
  arguments_push_outcome(L, outcome);
  return 1;
}

/* find_changes(is_forced, now, transcript): the same for reload_find_changes(). */
static int service_find_changes(lua_State *L) {
  struct service *service = check_service(L);
  bool is_forced = lua_toboolean(L, 2);
  int64_t now = luaL_checkinteger(L, 3);
  const char *transcript = luaL_optstring(L, 4, NULL);
  size_t count = transcript ? 1 : 0;
  arguments_push_outcome(L,
                         reload_find_changes(service->script, is_forced, &transcript, count, now));
  return 1;
}

/* reload_checked(is_forced, now, finding, fingerprint, report): the same for reload_try_checked().
 */
static int service_reload_checked(lua_State *L) {
  static const char *const findings[] = {[FINDING_GOOD] = "good",
                                         [FINDING_BAD] = "bad",
                                         [FINDING_NO_VERSION] = "unloadable",
                                         [FINDING_UNKNOWN] = "unknown",
                                         NULL};
  struct service *service = check_service(L);
  bool is_forced = lua_toboolean(L, 2);
  int64_t now = luaL_checkinteger(L, 3);
  struct reload_finding finding = {
      .kind = (enum reload_finding_kind)luaL_checkoption(L, 4, NULL, findings),
      .fingerprint = (uint64_t)luaL_optinteger(L, 5, 0),
      .report = luaL_optstring(L, 6, NULL)};
  arguments_push_outcome(L, reload_try_checked(service->script, is_forced, &finding, now));
  return 1;
}

static int service_fingerprint(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)script_fingerprint(check_service(L)->script));
  return 1;
}

/* files(): the paths of the files to be watched. */
static int service_files(lua_State *L) {
  arguments_push_files(L, check_service(L)->script);
  return 1;
}

/* asked(): how often request_complete was called, and how many bytes it has looked at. */
static int service_asked(lua_State *L) {
  struct script_asked asked = script_asked(check_service(L)->script);
  lua_pushinteger(L, (lua_Integer)asked.calls);
  lua_pushinteger(L, (lua_Integer)asked.bytes);
  return 2;
}

/* path(): where the script was loaded from. */
static int service_path(lua_State *L) {
  check_service(L);
  lua_getiuservalue(L, 1, 1);
  return 1;
}

static int service_listen(lua_State *L) {
  lua_pushstring(L, script_listen(check_service(L)->script));
  return 1;
}

static int service_example(lua_State *L) {
  struct span example = script_example(check_service(L)->script);
  lua_pushlstring(L, example.data, example.length);
  return 1;
}

static void set_integer(lua_State *L, const char *name, int64_t value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, name);
}

static void set_boolean(lua_State *L, const char *name, bool value) {
  lua_pushboolean(L, value);
  lua_setfield(L, -2, name);
}

/* handler(): what the core knows of the protocol, as a table. */
static int service_handler(lua_State *L) {
  const struct handler *handler = script_handler(check_service(L)->script);
  lua_newtable(L);
  set_integer(L, "max_request", (int64_t)handler->limits.max_request);
  set_integer(L, "request_timeout", handler->limits.request_timeout);
  set_integer(L, "idle_timeout", handler->limits.idle_timeout);
  set_integer(L, "write_timeout", handler->limits.write_timeout);
  set_boolean(L, "wants_on_connect", handler->wants_on_connect);
  set_boolean(L, "wants_on_error", handler->wants_on_error);
  set_boolean(L, "wants_on_close", handler->wants_on_close);
  if (handler->framing) {
    lua_pushstring(L, framing_name(handler->framing->kind));
    lua_setfield(L, -2, "framing");
  }
  return 1;
}

/* ---- sessions ------------------------------------------------------------------------------ */

static void identify(struct session_owner *owner, struct session_identity *identity) {
  *identity = ((struct peer *)owner)->who;
}

/* Each run of the handler takes the same time. */
static int64_t tell_time(struct session_owner *owner) {
  struct peer *peer = (struct peer *)owner;
  return peer->now += peer->takes;
}

/* open { now =, takes =, asks_later =, host =, port =, name =, server_host =, server_port =, starts
 * = false }: nil if there is no memory. */
static int service_open(lua_State *L) {
  struct service *service = check_service(L);
  return spec_open_peer(L, &service->peers, script_name(service->script),
                        script_handler(service->script));
}

int spec_open_peer(lua_State *L, struct spec_peers *all, const char *name,
                   struct handler *handler) {
  struct session_identity who;
  arguments_take_table(L, 2);
  arguments_identity(L, 2, name, &who);
  int64_t now = arguments_integer(L, 2, "now", 0);
  struct peer *peer = lua_newuserdatauv(L, sizeof *peer, 2);
  *peer = (struct peer){.owner = {&peer->hooks},
                        .hooks = {.identify = identify,
                                  .failures = &all->failures,
                                  .ask_pause = arguments_integer(L, 2, "ask_pause", 0),
                                  .held = &all->held,
                                  .now = tell_time,
                                  .asks_later = arguments_flag(L, 2, "asks_later")},
                        .all = all,
                        .who = who,
                        .now = now,
                        .takes = arguments_integer(L, 2, "takes", 0)};
  luaL_setmetatable(L, session_class);
  arguments_keep(L); /* the script and the texts outlive the session */
  peer->session = session_create(handler, &peer->owner, now);
  if (!peer->session) return 0;
  peer->next = all->first;
  all->first = peer;
  lua_getfield(L, 2, "starts");
  if (lua_isnil(L, -1) || lua_toboolean(L, -1)) session_start(peer->session, now);
  lua_pop(L, 1);
  return 1;
}

static struct peer *check_peer(lua_State *L) {
  struct peer *peer = luaL_checkudata(L, 1, session_class);
  luaL_argcheck(L, peer->session != NULL, 1, "the session was closed");
  return peer;
}

/* now(): the time of the last call. */
static int session_now(lua_State *L) {
  lua_pushinteger(L, check_peer(L)->now);
  return 1;
}

/* Without a time argument, the time stays the same. */
static int64_t take_now(lua_State *L, struct peer *peer, int index) {
  peer->now = luaL_optinteger(L, index, peer->now);
  return peer->now;
}

/* For chaining: conversation:receive(...):receive(...) */
static int push_self(lua_State *L) {
  lua_settop(L, 1);
  return 1;
}

/* As a server does when the others have had their turn. */
static void take_turns(struct peer *peer, int64_t now) {
  while (session_wants_turn(peer->session)) session_resume(peer->session, now);
}

/* receive(bytes, now): passes a block of just this size and frees it afterwards, so that a
 * sanitizer finds reads past its end and pointers that are kept. */
static int session_receive_copy(lua_State *L) {
  size_t length;
  struct peer *peer = check_peer(L);
  const char *bytes = luaL_checklstring(L, 2, &length);
  int64_t now = take_now(L, peer, 3);
  char *copy = memory_real_malloc(length);
  if (!copy && length > 0) return luaL_error(L, "no memory for %I bytes", (LUAI_UACINT)length);
  if (length > 0) memcpy(copy, bytes, length);
  session_receive(peer->session, copy, length, now);
  take_turns(peer, now);
  if (length > 0) memset(copy, '!', length); /* For a run without a sanitizer. */
  memory_real_free(copy);
  return push_self(L);
}

/* receive_in_place(bytes, now): copies the bytes into session_space() as a socket is read into it.
 * Returns how many bytes it had room for. */
static int session_receive_in_place(lua_State *L) {
  size_t length;
  struct span space;
  struct peer *peer = check_peer(L);
  const char *bytes = luaL_checklstring(L, 2, &length);
  int64_t now = take_now(L, peer, 3);
  lua_Integer in_place = 0;
  while (length > 0 && session_space(peer->session, &space)) {
    size_t taken = length < space.length ? length : space.length;
    memcpy((char *)space.data, bytes, taken);
    session_receive(peer->session, space.data, taken, now);
    take_turns(peer, now);
    bytes += taken;
    length -= taken;
    in_place += (lua_Integer)taken;
  }
  if (length > 0) session_receive(peer->session, bytes, length, now);
  take_turns(peer, now);
  lua_pushinteger(L, in_place);
  return 1;
}

static int session_finish(lua_State *L) {
  struct peer *peer = check_peer(L);
  int64_t now = take_now(L, peer, 2);
  session_receive_end(peer->session, now);
  take_turns(peer, now);
  return push_self(L);
}

/* Joins the spans, up to `room` bytes. */
static size_t push_spans(lua_State *L, const struct span *spans, size_t count, size_t room) {
  luaL_Buffer joined;
  size_t total = 0;
  luaL_buffinit(L, &joined);
  for (size_t i = 0; i < count && total < room; i++) {
    size_t taken = spans[i].length < room - total ? spans[i].length : room - total;
    if (taken > 0) luaL_addlstring(&joined, spans[i].data, taken);
    total += taken;
  }
  luaL_pushresult(&joined);
  return total;
}

/* Pushes bytes of the file. False: it cannot be read. */
static bool push_file(lua_State *L, const struct session_output *output, size_t room,
                      size_t *length) {
  luaL_Buffer block;
  size_t wanted = output->file_length < room ? output->file_length : room;
  char *space = luaL_buffinitsize(L, &block, wanted);
  ssize_t got = pread(output->file, space, wanted, output->offset);
  *length = got > 0 ? (size_t)got : 0;
  luaL_pushresultsize(&block, *length);
  return got > 0 || output->file_length == 0;
}

/* take(n, now): reads up to n bytes as a peer: the bytes, their kind, "bytes" or "file", and
 * whether more output is queued. Nil: there is nothing to read. A file that cannot be read gives ""
 * and "failed". */
static int session_take(lua_State *L) {
  struct peer *peer = check_peer(L);
  size_t room = (size_t)luaL_checkinteger(L, 2), length = 0;
  int64_t now = take_now(L, peer, 3);
  struct span spans[SPANS];
  struct session_output output;
  if (!session_has_output(peer->session)) return 0;
  session_output(peer->session, spans, SPANS, &output);
  bool is_readable = true;
  if (output.count > 0)
    length = push_spans(L, spans, output.count, room);
  else if (output.file >= 0)
    is_readable = push_file(L, &output, room, &length);
  else
    return luaL_error(L, "a stream stands first and was not pulled");
  if (is_readable) {
    session_sent(peer->session, length, now);
    session_resume(peer->session, now);
    take_turns(peer, now);
  } else
    session_file_failed(peer->session, now);
  lua_pushstring(L, output.count > 0 ? "bytes" : is_readable ? "file" : "failed");
  lua_pushboolean(L, output.more);
  return 3;
}

static int session_wants(lua_State *L) {
  lua_pushboolean(L, session_wants_input(check_peer(L)->session));
  return 1;
}

static int session_has(lua_State *L) {
  lua_pushboolean(L, session_has_output(check_peer(L)->session));
  return 1;
}

static int session_responding(lua_State *L) {
  lua_pushboolean(L, session_is_responding(check_peer(L)->session));
  return 1;
}

static int session_when(lua_State *L) {
  int64_t deadline = session_deadline(check_peer(L)->session);
  if (deadline == CLOCK_NEVER) return 0;
  lua_pushinteger(L, deadline);
  return 1;
}

static int session_passed(lua_State *L) {
  struct peer *peer = check_peer(L);
  session_expire(peer->session, take_now(L, peer, 2));
  return push_self(L);
}

static int session_weighs(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)session_memory(check_peer(L)->session));
  return 1;
}

/* peer:claim() */
static int session_claims(lua_State *L) {
  session_claim(check_peer(L)->session);
  return 0;
}

/* refuse([now]): whether its output was given up. */
static int session_refused(lua_State *L) {
  struct peer *peer = check_peer(L);
  lua_pushboolean(L, session_refuse(peer->session, take_now(L, peer, 2)));
  return 1;
}

static int session_goes_out(lua_State *L) {
  struct peer *peer = check_peer(L);
  session_delivered(peer->session, take_now(L, peer, 2));
  return push_self(L);
}

static int session_starts(lua_State *L) {
  struct peer *peer = check_peer(L);
  session_start(peer->session, take_now(L, peer, 2));
  return push_self(L);
}

static int session_migrates(lua_State *L) {
  struct peer *peer = check_peer(L);
  lua_pushboolean(L, session_migrate(peer->session, take_now(L, peer, 2)));
  return 1;
}

/* Does not run the turns that a handler has asked for. */
static int session_receive_only(lua_State *L) {
  size_t length;
  struct peer *peer = check_peer(L);
  const char *bytes = luaL_checklstring(L, 2, &length);
  session_receive(peer->session, bytes, length, take_now(L, peer, 3));
  return push_self(L);
}

static int session_drained(lua_State *L) {
  struct peer *peer = check_peer(L);
  session_drain(peer->session, take_now(L, peer, 2));
  return push_self(L);
}

/* abort(reason, now), with the reason's word. */
static int session_broken(lua_State *L) {
  struct peer *peer = check_peer(L);
  const char *word = luaL_checkstring(L, 2);
  int64_t now = take_now(L, peer, 3);
  int reason = REASON_NONE;
  while (reason < REASON_COUNT && strcmp(reason_name((enum reason)reason), word) != 0) reason++;
  luaL_argcheck(L, reason < REASON_COUNT, 2, "no such reason");
  session_abort(peer->session, (enum reason)reason, now);
  return push_self(L);
}

static int session_over(lua_State *L) {
  lua_pushboolean(L, session_finished(check_peer(L)->session));
  return 1;
}

static int session_why(lua_State *L) {
  lua_pushstring(L, reason_name(session_reason(check_peer(L)->session)));
  return 1;
}

static int session_count(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)session_requests(check_peer(L)->session));
  return 1;
}

/* abandon(): whoever is told of ends is not told of this one. */
static int session_given_up(lua_State *L) {
  session_abandon(check_peer(L)->session);
  return 0;
}

static int session_close(lua_State *L) {
  struct peer *peer = luaL_checkudata(L, 1, session_class);
  if (!peer->session) return 0;
  /* As __close it is called with an error where the time could stand. */
  destroy_session(peer, lua_isinteger(L, 2) ? lua_tointeger(L, 2) : peer->now);
  return 0;
}

/* folder(): makes a new, empty folder. */
static int make_folder(lua_State *L) {
  char path[] = "/tmp/parlance-spec-XXXXXX";
  if (!mkdtemp(path)) return spec_failure(L, STATUS_ERROR);
  lua_pushstring(L, path);
  return 1;
}

int spec_open_session(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"load", load}, {"folder", make_folder}, {"handlers", spec_new_handlers}, {NULL, NULL}};
  static const luaL_Reg script_methods[] = {{"open", service_open},
                                            {"name", service_name},
                                            {"reload", service_reload},
                                            {"files", service_files},
                                            {"find_changes", service_find_changes},
                                            {"reload_checked", service_reload_checked},
                                            {"fingerprint", service_fingerprint},
                                            {"path", service_path},
                                            {"asked", service_asked},
                                            {"listen", service_listen},
                                            {"example", service_example},
                                            {"close", service_close},
                                            {"handler", service_handler},
                                            {NULL, NULL}};
  static const luaL_Reg session_methods[] = {{"receive", session_receive_copy},
                                             {"receive_in_place", session_receive_in_place},
                                             {"finish", session_finish},
                                             {"take", session_take},
                                             {"wants_input", session_wants},
                                             {"has_output", session_has},
                                             {"is_responding", session_responding},
                                             {"deadline", session_when},
                                             {"expire", session_passed},
                                             {"now", session_now},
                                             {"delivered", session_goes_out},
                                             {"memory", session_weighs},
                                             {"claim", session_claims},
                                             {"refuse", session_refused},
                                             {"start", session_starts},
                                             {"migrate", session_migrates},
                                             {"receive_only", session_receive_only},
                                             {"drain", session_drained},
                                             {"abort", session_broken},
                                             {"finished", session_over},
                                             {"reason", session_why},
                                             {"requests", session_count},
                                             {"abandon", session_given_up},
                                             {"close", session_close},
                                             {NULL, NULL}};
  arguments_add_class(L, script_class, script_methods, service_close);
  arguments_add_class(L, session_class, session_methods, session_close);
  spec_register_handlers(L);
  luaL_newlib(L, functions);
  spec_add_memory(L);
  return 1;
}
