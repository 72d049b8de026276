/* simulated.h: one simulated connection, or one simulated datagram. Private to
 * connections.c and datagrams.c. */
#ifndef SIMULATOR_SIMULATED_H
#define SIMULATOR_SIMULATED_H

#include <lua.h>
#include <stdbool.h>

#include "base/ready.h"
#include "base/timer.h"
#include "session/session.h"
#include "simulator/connections.h"

/* The most bytes that take() returns by default: an endless response ends there. */
enum { TAKE_MAX = 64 * 1024 * 1024 };

struct simulated_connection {
  struct session_owner owner; /* It is first, so that a pointer to it points to the connection. */
  struct session_hooks hooks;
  struct ready turn;  /* In the run queue when what the script waits for has come. */
  struct timer timer; /* The deadline of the session. */
  struct simulation *simulation;
  struct session *session; /* NULL: it was closed. */
  struct simulated_connection *next;
  struct session_identity who;
  struct span tls; /* See describe_tls of struct session_hooks; NULL: it has no TLS. */
  struct session_failures failures; /* Each connection counts its own, so that all are logged. */
  struct buffer *answers; /* Of a datagram: those that were not taken yet (datagrams.c). */
};

/* Pushes a connection that has no session yet. The options stand at index 2, or at 3 if there is a
 * datagram. */
struct simulated_connection *simulated_create(lua_State *L, struct simulation *simulation,
                                              bool is_datagram);

/* Gives it the session; raises if that is NULL. */
void simulated_begin(lua_State *L, struct simulated_connection *connection,
                     struct session *session);

/* Something has happened to the session: what that causes happens, too. */
void simulated_settle(struct simulated_connection *connection);

/* Returns the connection at index 1; raises if it was closed. */
struct simulated_connection *simulated_check(lua_State *L);

/* ---- simulated_tls.c ----------------------------------------------------------------------- */

/* The connection, whose userdata stands at index, has the TLS of the table. May raise. */
void simulated_set_tls(lua_State *L, struct simulated_connection *connection, int index, int table);

/* See describe_tls of struct session_hooks. */
enum status simulated_describe_tls(struct session_owner *owner, struct span *texts);

/* connection:start_tls(tls) */
int simulated_start_tls(lua_State *L);

/* ---- simulated_proxy.c --------------------------------------------------------------------- */

/* A proxy has told of the connection, whose userdata stands at index, what the table has, which has
 * the fields of `self.proxy`. May raise. */
void simulated_set_proxy(lua_State *L, struct simulated_connection *connection, int index,
                         int table);

/* ---- datagrams.c --------------------------------------------------------------------------- */

/* Keeps an answer to a datagram until it is taken; see send_datagram of struct session_hooks. */
enum status simulated_keep_answer(struct session_owner *owner, struct span bytes);

/* connection:take_datagram() */
int simulated_take_datagram(lua_State *L);

#endif
