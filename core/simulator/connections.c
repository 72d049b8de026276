#include "simulator/connections.h"

#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"
#include "session/datagram.h"
#include "session/session.h"
#include "session/steps.h"
#include "session/tunnel.h"
#include "simulator/arguments.h"
#include "simulator/simulated.h"

static const char class_name[] = "parlance.simulator.connection";

/* How many spans of output take() asks the session for at once. */
enum { SPANS = 4 };

/* The most bytes that a session is given at once. The server reads as many. */
enum { READ_MAX = 64 * 1024 };

static void identify(struct session_owner *owner, struct session_identity *identity) {
  *identity = ((struct simulated_connection *)owner)->who;
}

/* ---- turns --------------------------------------------------------------------------------- */

/* The most turns at one instant. */
enum { TURNS_MAX = 100000 };

static struct simulated_connection *of_turn(struct ready *turn) {
  return (struct simulated_connection *)((char *)turn -
                                         offsetof(struct simulated_connection, turn));
}

static struct simulated_connection *of_timer(struct timer *timer) {
  return (struct simulated_connection *)((char *)timer -
                                         offsetof(struct simulated_connection, timer));
}

/* Keeps the place among the timers of the same time if the deadline is as before. */
static void schedule(struct simulated_connection *connection) {
  struct timer_heap *timers = &connection->simulation->world.timers;
  int64_t when = session_deadline(connection->session);
  if (when == CLOCK_NEVER)
    timer_cancel(timers, &connection->timer);
  else if (connection->timer.place == 0 || connection->timer.when != when)
    (void)timer_set(timers, &connection->timer, when);
}

/* How far a conversation gets before it yields depends on real time. So it goes on at once. A woken
 * session waits for its turn in the run queue. */
static void go_on(struct simulated_connection *connection) {
  while (session_wants_turn(connection->session) && !ready_is_queued(&connection->turn))
    session_resume(connection->session, connection->simulation->now);
  schedule(connection);
}

static void wake(struct session_owner *owner) {
  struct simulated_connection *connection = (struct simulated_connection *)owner;
  ready_add(&connection->simulation->world.ready, &connection->turn);
}

static void take_turn(struct ready *turn) { go_on(of_turn(turn)); }

/* A deadline that stays in the past has no effect before the session does something else. */
static void expire(struct timer *timer) {
  struct simulated_connection *connection = of_timer(timer);
  int64_t now = connection->simulation->now;
  session_expire(connection->session, now);
  go_on(connection);
  if (timer->when <= now) timer_cancel(&connection->simulation->world.timers, timer);
}

bool connections_settle(struct simulation *simulation) {
  for (int i = 0; i < TURNS_MAX; i++) {
    struct timer *timer = timer_take_due(&simulation->world.timers, simulation->now);
    struct ready *entry = timer ? NULL : ready_take(&simulation->world.ready);
    if (timer)
      timer->expire(timer);
    else if (entry)
      entry->run(entry);
    else
      return true;
  }
  log_event(LOG_ERROR, "script_overrun", "detail",
            "tasks go on and on and wait for nothing that takes time");
  return false;
}

void simulated_settle(struct simulated_connection *connection) {
  go_on(connection);
  (void)connections_settle(connection->simulation);
}

/* What ends with the session may be woken by that, but has no further turn. */
static void destroy(struct simulated_connection *connection) {
  struct world *world = &connection->simulation->world;
  struct simulated_connection **link = &connection->simulation->connections;
  while (*link != connection) link = &(*link)->next;
  *link = connection->next;
  session_destroy(connection->session, connection->simulation->now);
  ready_remove(&world->ready, &connection->turn);
  timer_cancel(&world->timers, &connection->timer);
  buffer_free(&connection->answers);
  connection->session = NULL;
}

struct simulated_connection *simulated_check(lua_State *L) {
  struct simulated_connection *connection = luaL_checkudata(L, 1, class_name);
  luaL_argcheck(L, connection->session != NULL, 1, "the session was closed");
  return connection;
}

/* ---- connections --------------------------------------------------------------------------- */

struct simulated_connection *simulated_create(lua_State *L, struct simulation *simulation,
                                              bool is_datagram) {
  struct session_identity who;
  arguments_take_table(L, is_datagram ? 3 : 2);
  arguments_identity(L, lua_gettop(L), script_name(simulation->script), &who);
  if (is_datagram) who.transport = "udp";
  struct simulated_connection *connection = lua_newuserdatauv(L, sizeof *connection, 4);
  *connection = (struct simulated_connection){.owner = {&connection->hooks},
                                              .hooks = {.identify = identify,
                                                        .failures = &connection->failures,
                                                        .wake = wake,
                                                        .on_output = wake,
                                                        .describe_tls = simulated_describe_tls,
                                                        .send_datagram = simulated_keep_answer},
                                              .turn = {.run = take_turn},
                                              .timer = {.expire = expire},
                                              .simulation = simulation,
                                              .who = who};
  luaL_setmetatable(L, class_name);
  /* The script and the strings of the options outlive the session. */
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  lua_pushvalue(L, -2);
  lua_setiuservalue(L, -2, 2);
  int self = lua_gettop(L), table = self + 1;
  connection->who.can_secure = !is_datagram;
  bool has_tls = !is_datagram && lua_getfield(L, self - 1, "tls") != LUA_TNIL;
  if (has_tls) simulated_set_tls(L, connection, self, table);
  lua_settop(L, self);
  bool has_proxy = !is_datagram && lua_getfield(L, self - 1, "proxy") != LUA_TNIL;
  if (has_proxy) simulated_set_proxy(L, connection, self, table);
  lua_settop(L, self);
  return connection;
}

void simulated_begin(lua_State *L, struct simulated_connection *connection,
                     struct session *session) {
  if (!session) luaL_error(L, "not enough memory");
  connection->session = session;
  struct simulated_connection **link = &connection->simulation->connections;
  while (*link) link = &(*link)->next;
  *link = connection;
}

int connections_open(lua_State *L, struct simulation *simulation) {
  struct simulated_connection *connection = simulated_create(L, simulation, false);
  struct handler *handler = script_handler(simulation->script);
  simulated_begin(L, connection, session_create(handler, &connection->owner, simulation->now));
  session_start(connection->session, simulation->now);
  simulated_settle(connection);
  return 1;
}

/* Whether a task waits for what happens at that time. */
static bool is_awaited(struct timer *timer) {
  return timer->expire != expire || session_task(of_timer(timer)->session) != NULL;
}

int64_t connections_task_deadline(const struct simulation *simulation) {
  const struct timer_heap *timers = &simulation->world.timers;
  int64_t next = CLOCK_NEVER;
  for (size_t i = 0; i < timers->count; i++)
    if (timers->timers[i]->when < next && is_awaited(timers->timers[i]))
      next = timers->timers[i]->when;
  return next;
}

void connections_migrate(struct simulation *simulation) {
  for (struct simulated_connection *one = simulation->connections; one; one = one->next) {
    if (session_is_datagram(one->session)) continue; /* It ends with its version. */
    (void)session_migrate(one->session, simulation->now);
    schedule(one);
  }
}

void connections_close(struct simulation *simulation) {
  while (simulation->connections) destroy(simulation->connections);
}

/* ---- methods ------------------------------------------------------------------------------- */

static int receive(lua_State *L) {
  size_t length;
  struct simulated_connection *connection = simulated_check(L);
  const char *bytes = luaL_checklstring(L, 2, &length);
  lua_Integer from = luaL_optinteger(L, 3, 1);
  lua_Integer to = luaL_optinteger(L, 4, (lua_Integer)length);
  luaL_argcheck(L, from >= 1, 3, "must be from 1 up");
  luaL_argcheck(L, to <= (lua_Integer)length, 4, "is behind the end");
  size_t start = (size_t)from - 1, at = start;
  while (at < (size_t)to && session_wants_input(connection->session)) {
    size_t part = (size_t)to - at < READ_MAX ? (size_t)to - at : READ_MAX;
    session_receive(connection->session, bytes + at, part, connection->simulation->now);
    simulated_settle(connection);
    at += part;
  }
  lua_pushinteger(L, (lua_Integer)(at - start));
  return 1;
}

/* receive_end(is_behind): `is_behind` unread bytes. While a task waits, the end may be one that
 * ends the task, as in the server (peer_watch.c), and is seen also behind these. */
static int receive_end(lua_State *L) {
  struct simulated_connection *connection = simulated_check(L);
  struct session *session = connection->session;
  int64_t now = connection->simulation->now;
  bool is_lost = session_peer(session) == SESSION_PEER_MUST_SEND;
  bool is_read = is_lost || (!lua_toboolean(L, 2) && session_wants_input(session));
  if (is_lost)
    session_abort(session, REASON_PEER_CLOSED, now);
  else if (is_read)
    session_receive_end(session, now);
  if (is_read) simulated_settle(connection);
  lua_pushboolean(L, is_read);
  return 1;
}

/* Adds at most `room` bytes of the spans. Returns how many. */
static size_t add_spans(luaL_Buffer *joined, const struct span *spans, size_t count, size_t room) {
  size_t total = 0;
  for (size_t i = 0; i < count && total < room; i++) {
    size_t taken = spans[i].length < room - total ? spans[i].length : room - total;
    if (taken > 0) luaL_addlstring(joined, spans[i].data, taken);
    total += taken;
  }
  return total;
}

/* Adds at most `room` bytes of the file. Returns how many; 0 if it cannot be read. */
static size_t add_file(luaL_Buffer *joined, const struct session_output *output, size_t room) {
  size_t wanted = output->file_length < room ? output->file_length : room;
  char *space = luaL_prepbuffsize(joined, wanted);
  ssize_t got = pread(output->file, space, wanted, output->offset);
  if (got <= 0) return 0;
  luaL_addsize(joined, (size_t)got);
  return (size_t)got;
}

static void sent(struct simulated_connection *connection, size_t length) {
  session_sent(connection->session, length, connection->simulation->now);
  session_resume(connection->session, connection->simulation->now);
  simulated_settle(connection);
}

/* Adds the next piece of output. Returns its length; 0: there is none now. */
static size_t add_piece(luaL_Buffer *joined, struct simulated_connection *connection, size_t room) {
  struct span spans[SPANS];
  struct session_output output;
  size_t length = 0;
  session_output(connection->session, spans, SPANS, &output);
  if (output.count > 0)
    length = add_spans(joined, spans, output.count, room);
  else if (output.file >= 0) {
    length = add_file(joined, &output, room);
    if (length == 0 && output.file_length > 0) {
      session_file_failed(connection->session, connection->simulation->now);
      simulated_settle(connection);
      return 0;
    }
  }
  sent(connection, length);
  return length;
}

static int take(lua_State *L) {
  luaL_Buffer joined;
  struct simulated_connection *connection = simulated_check(L);
  lua_Integer most = luaL_optinteger(L, 2, TAKE_MAX);
  luaL_argcheck(L, most >= 0, 2, "must be from 0 up");
  size_t room = (size_t)most;
  luaL_buffinit(L, &joined);
  while (room > 0 && session_has_output(connection->session)) {
    size_t length = add_piece(&joined, connection, room);
    if (length == 0) break;
    room -= length;
  }
  luaL_pushresult(&joined);
  return 1;
}

static int vanish(lua_State *L) {
  struct simulated_connection *connection = simulated_check(L);
  session_abort(connection->session, REASON_PEER_RESET, connection->simulation->now);
  simulated_settle(connection);
  return 0;
}

static int drain(lua_State *L) {
  struct simulated_connection *connection = simulated_check(L);
  session_drain(connection->session, connection->simulation->now);
  simulated_settle(connection);
  return 0;
}

static int finished(lua_State *L) {
  lua_pushboolean(L, session_finished(simulated_check(L)->session));
  return 1;
}

static int wants_input(lua_State *L) {
  lua_pushboolean(L, session_wants_input(simulated_check(L)->session));
  return 1;
}

static int has_ended(lua_State *L) {
  const struct simulated_connection *connection = simulated_check(L);
  bool says_more = session_has_output(connection->session);
  lua_pushboolean(L, session_has_said_all(connection->session) && !says_more);
  return 1;
}

static int waits(lua_State *L) {
  lua_pushboolean(L, session_task(simulated_check(L)->session) != NULL);
  return 1;
}

/* Also when it has ended. */
static int has_tunnel(lua_State *L) {
  lua_pushboolean(L, session_has_tunnel(simulated_check(L)->session));
  return 1;
}

static int reason(lua_State *L) {
  lua_pushstring(L, session_reason_text(simulated_check(L)->session));
  return 1;
}

static int interim(lua_State *L) {
  lua_pushstring(L, session_interim(simulated_check(L)->session));
  return 1;
}

static int requests(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)session_requests(simulated_check(L)->session));
  return 1;
}

static int close_connection(lua_State *L) {
  struct simulated_connection *connection = luaL_checkudata(L, 1, class_name);
  if (!connection->session) return 0;
  destroy(connection);
  (void)connections_settle(connection->simulation);
  return 0;
}

void connections_register(lua_State *L) {
  static const luaL_Reg methods[] = {{"receive", receive},
                                     {"receive_end", receive_end},
                                     {"take", take},
                                     {"take_datagram", simulated_take_datagram},
                                     {"vanish", vanish},
                                     {"start_tls", simulated_start_tls},
                                     {"drain", drain},
                                     {"finished", finished},
                                     {"wants_input", wants_input},
                                     {"has_ended", has_ended},
                                     {"waits", waits},
                                     {"has_tunnel", has_tunnel},
                                     {"reason", reason},
                                     {"interim", interim},
                                     {"requests", requests},
                                     {"close", close_connection},
                                     {NULL, NULL}};
  arguments_add_class(L, class_name, methods, close_connection);
}
