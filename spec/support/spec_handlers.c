/* spec_handlers.c: handlers without a script, which do what a request says, for specs of migration
 * to a successor. All calls of the handlers are logged, in order, with their names.
 *
 *     handlers = rooms.session.handlers()
 *     handlers:add("old", { framing = true, wants_on_connect = true, idle_timeout = 10 })
 *     session = handlers:open("old")
 *     handlers:succeed("old", "new")
 *     handlers:log() --> "old on_connect; old migrates to new; old on_unused; ..."
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "session/session.h"
#include "session/steps.h"
#include "simulator/arguments.h"
#include "spec_module.h"
#include "spec_session.h"

static const char handlers_class[] = "parlance_spec.handlers";

enum { HANDLERS_MAX = 8, NAME_MAX_LENGTH = 16, LOG_MAX = 16384, HELD = 4, PULLS = 2 };

/* A migration adds this to the number of the client, which shows that it has happened. */
enum { CARRIED = 100 };

struct handlers;

struct actor {
  struct handler handler; /* First, so that a pointer to it points to its actor. */
  struct handlers *all;
  struct framing framing;
  char name[NAME_MAX_LENGTH];
  int pulls; /* Pieces left of its stream. */
  bool is_running;
};

struct handlers {
  struct spec_peers peers;
  struct actor *actors[HANDLERS_MAX]; /* NULL: no handler, or a freed one. */
  int file;
  size_t logged;
  char log[LOG_MAX];
};

static struct actor *actor_of(struct handler *handler) { return (struct actor *)handler; }

__attribute__((format(printf, 2, 3))) static void note(struct actor *actor, const char *format,
                                                       ...) {
  struct handlers *all = actor->all;
  va_list arguments;
  va_start(arguments, format);
  all->logged += (size_t)snprintf(all->log + all->logged, LOG_MAX - all->logged, "%s%s ",
                                  all->logged > 0 ? "; " : "", actor->name);
  if (all->logged < LOG_MAX)
    all->logged +=
        (size_t)vsnprintf(all->log + all->logged, LOG_MAX - all->logged, format, arguments);
  if (all->logged >= LOG_MAX) abort();
  va_end(arguments);
}

/* ---- the calls of a handler ---------------------------------------------------------------- */

static void say(struct session *session, const char *bytes, size_t length) {
  if (session_send(session, bytes, length) != STATUS_OK) abort();
}

static void say_words(struct session *session, const struct actor *actor, const char *words) {
  char text[64];
  int length = snprintf(text, sizeof text, "%s %s;", actor->name, words);
  say(session, text, (size_t)length);
}

/* A request ends at a full stop, or at the end of the input. */
static void ask(struct actor *actor, struct session *session) {
  struct span input = session_input(session);
  const char *stop = memchr(input.data, '.', input.length);
  note(actor, "asked %.*s", (int)input.length, input.data);
  if (stop)
    session_set_verdict(session, SESSION_COMPLETE, (size_t)(stop - input.data) + 1, NULL);
  else if (memchr(input.data, '!', input.length))
    session_set_verdict(session, SESSION_MALFORMED, 0, "shouting");
  else if (session_at_end(session))
    session_set_verdict(session, SESSION_COMPLETE, input.length, NULL);
  else
    session_set_verdict(session, SESSION_PARTIAL, 0, NULL);
}

static bool is_word(struct span request, const char *word) {
  return request.length >= strlen(word) && memcmp(request.data, word, strlen(word)) == 0;
}

static void say_many(struct session *session) {
  static char many[SESSION_HIGH_WATER];
  memset(many, 'm', sizeof many);
  say(session, many, sizeof many);
}

static void say_client(struct session *session, const struct actor *actor) {
  char words[32];
  snprintf(words, sizeof words, "client %d", session_client(session));
  say_words(session, actor, words);
}

/* False: the response has failed. */
static bool respond(struct actor *actor, struct session *session, struct span request) {
  enum status status = STATUS_OK;
  if (is_word(request, "fail")) {
    session_fail(session, REASON_SCRIPT_ERROR, "on purpose");
    return false;
  }
  if (is_word(request, "client"))
    say_client(session, actor);
  else if (is_word(request, "many"))
    say_many(session);
  else if (is_word(request, "file"))
    status = session_send_file(session, actor->all->file, 0, 4, 1);
  else if (is_word(request, "held"))
    status = session_send_held(session, "held", HELD, 1);
  else if (is_word(request, "stream")) {
    actor->pulls = PULLS;
    status = session_send_stream(session, 1);
  } else
    say_words(session, actor, "answered");
  return status == STATUS_OK;
}

static void answer(struct actor *actor, struct session *session) {
  struct span request =
      actor->handler.framing ? session_framed(session)->payload : session_input(session);
  const char *stop = memchr(request.data, '.', request.length);
  size_t length = stop ? (size_t)(stop - request.data) : request.length;
  note(actor, "answers %.*s", (int)length, request.data);
  bool yields = is_word(request, "yield"), quits = is_word(request, "quit");
  if (session_client(session) == 0) session_set_client(session, 1);
  if (!respond(actor, session, request)) return;
  session_answered(session, quits);
  if (yields) session_yield(session);
}

/* Each piece takes a whole slice of time. */
static void pull(struct actor *actor, struct session *session) {
  note(actor, "pulled");
  session_yield(session);
  if (actor->pulls-- > 0)
    session_pulled(session, "piece;", 6);
  else
    session_pulled(session, NULL, 0);
}

static void speak(struct actor *actor, struct session *session, const char *what) {
  note(actor, "%s", what);
  say_words(session, actor, what);
  session_answered(session, false);
}

static void run(struct handler *handler, struct session *session) {
  struct actor *actor = actor_of(handler);
  actor->is_running = true;
  for (;;) {
    switch (session_next(session)) {
    case SESSION_RESUME: /* It suspends nothing. */
    case SESSION_WAIT: actor->is_running = false; return;
    case SESSION_CONNECT: speak(actor, session, "on_connect"); break;
    case SESSION_ASK: ask(actor, session); break;
    case SESSION_DATAGRAM: /* It gets none. */
    case SESSION_ANSWER: answer(actor, session); break;
    case SESSION_EXPECT: session_accept_body(session); break;
    case SESSION_PULL: pull(actor, session); break;
    case SESSION_ERROR: speak(actor, session, "on_error"); break;
    case SESSION_CLOSE:
      note(actor, "on_close %s", reason_name(session_reason(session)));
      session_closed(session);
      break;
    }
  }
}

static void release(struct handler *handler, struct session *session, int reference) {
  (void)session;
  (void)reference;
  note(actor_of(handler), "releases");
}

static void migrate(struct handler *handler, struct session *session, struct handler *successor) {
  struct actor *actor = actor_of(handler);
  if (actor->is_running) note(actor, "MIGRATES WITHIN RUN");
  note(actor, "migrates to %s", actor_of(successor)->name);
  if (session_client(session) != 0) session_set_client(session, session_client(session) + CARRIED);
}

static void forget_client(struct handler *handler, struct session *session) {
  note(actor_of(handler), "forgets %d", session_client(session));
}

static void forget(struct actor *actor) {
  for (int i = 0; i < HANDLERS_MAX; i++)
    if (actor->all->actors[i] == actor) actor->all->actors[i] = NULL;
  free(actor);
}

static void on_unused(struct handler *handler) {
  struct actor *actor = actor_of(handler);
  if (actor->is_running) note(actor, "ON_UNUSED WITHIN RUN");
  if (handler->sessions != 0) note(actor, "ON_UNUSED WITH SESSIONS");
  note(actor, "on_unused");
  forget(actor);
}

/* ---- the functions for specs --------------------------------------------------------------- */

static struct handlers *check_handlers(lua_State *L) {
  return luaL_checkudata(L, 1, handlers_class);
}

static struct actor *find(const struct handlers *all, const char *name) {
  for (int i = 0; i < HANDLERS_MAX; i++)
    if (all->actors[i] && strcmp(all->actors[i]->name, name) == 0) return all->actors[i];
  return NULL;
}

static struct actor *check_actor(lua_State *L, const struct handlers *all, int index) {
  struct actor *actor = find(all, luaL_checkstring(L, index));
  luaL_argcheck(L, actor != NULL, index, "no such handler any more");
  return actor;
}

static bool flag(lua_State *L, const char *name) {
  lua_getfield(L, 3, name);
  bool is_set = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return is_set;
}

static int64_t number(lua_State *L, const char *name, int64_t otherwise) {
  lua_getfield(L, 3, name);
  int64_t value = luaL_optinteger(L, -1, otherwise);
  lua_pop(L, 1);
  return value;
}

/* add(name, { framing =, wants_on_connect =, wants_on_error =, wants_on_close =, forgets =,
 * leaves_client = true, max_request =, request_timeout =, idle_timeout = }): with `framing`,
 * requests are lines. */
static int add(lua_State *L) {
  struct handlers *all = check_handlers(L);
  const char *name = luaL_checkstring(L, 2);
  arguments_take_table(L, 3);
  bool is_framed = flag(L, "framing"), leaves_client = flag(L, "leaves_client");
  struct limits limits = {.max_request = (size_t)number(L, "max_request", 1000),
                          .request_timeout = number(L, "request_timeout", 0),
                          .idle_timeout = number(L, "idle_timeout", 0)};
  bool wants_on_connect = flag(L, "wants_on_connect"), wants_on_error = flag(L, "wants_on_error"),
       wants_on_close = flag(L, "wants_on_close");
  bool forgets = flag(L, "forgets");
  int place = 0;
  while (place < HANDLERS_MAX && all->actors[place]) place++;
  luaL_argcheck(L, place < HANDLERS_MAX && !find(all, name), 2, "no room for it");
  struct actor *actor = calloc(1, sizeof *actor);
  if (!actor) return luaL_error(L, "not enough memory");
  *actor = (struct actor){.all = all, .framing = {.kind = FRAMING_LINE, .max = SIZE_MAX}};
  actor->handler = (struct handler){.framing = is_framed ? &actor->framing : NULL,
                                    .limits = limits,
                                    .wants_on_connect = wants_on_connect,
                                    .wants_on_error = wants_on_error,
                                    .wants_on_close = wants_on_close,
                                    .run = run,
                                    .release = release,
                                    .migrate = leaves_client ? NULL : migrate,
                                    .forget_client = forgets ? forget_client : NULL,
                                    .on_unused = on_unused};
  snprintf(actor->name, sizeof actor->name, "%s", name);
  all->actors[place] = actor;
  return 0;
}

/* succeed(old, new) */
static int succeed(lua_State *L) {
  struct handlers *all = check_handlers(L);
  struct actor *old = check_actor(L, all, 2);
  old->handler.successor = &check_actor(L, all, 3)->handler;
  return 0;
}

/* open(name, options): as script:open(). */
static int open_session(lua_State *L) {
  struct handlers *all = check_handlers(L);
  struct actor *actor = check_actor(L, all, 2);
  lua_settop(L, 3);
  lua_remove(L, 2);
  return spec_open_peer(L, &all->peers, "handlers", &actor->handler);
}

/* sessions(name): the number of its sessions; nil: the handler was freed. */
static int count_sessions(lua_State *L) {
  struct actor *actor = find(check_handlers(L), luaL_checkstring(L, 2));
  if (!actor) return 0;
  lua_pushinteger(L, (lua_Integer)actor->handler.sessions);
  return 1;
}

/* log(): the calls since the last log(). */
static int take_log(lua_State *L) {
  struct handlers *all = check_handlers(L);
  lua_pushlstring(L, all->log, all->logged);
  all->logged = 0;
  return 1;
}

static int close_handlers(lua_State *L) {
  struct handlers *all = check_handlers(L);
  spec_close_peers(&all->peers);
  for (int i = 0; i < HANDLERS_MAX; i++)
    if (all->actors[i]) forget(all->actors[i]);
  if (all->file >= 0) close(all->file);
  all->file = -1;
  return 0;
}

int spec_new_handlers(lua_State *L) {
  struct handlers *all = lua_newuserdatauv(L, sizeof *all, 0);
  memset(all, 0, sizeof *all);
  all->file = memfd_create("spec", MFD_CLOEXEC);
  luaL_setmetatable(L, handlers_class);
  if (all->file < 0 || write(all->file, "file", 4) != 4) return spec_failure(L, STATUS_ERROR);
  return 1;
}

void spec_register_handlers(lua_State *L) {
  static const luaL_Reg methods[] = {{"add", add},
                                     {"succeed", succeed},
                                     {"open", open_session},
                                     {"sessions", count_sessions},
                                     {"log", take_log},
                                     {"close", close_handlers},
                                     {NULL, NULL}};
  arguments_add_class(L, handlers_class, methods, close_handlers);
}
