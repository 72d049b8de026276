#include <lauxlib.h>
#include <string.h>

#include "base/buffer.h"
#include "session/datagram.h"
#include "simulator/simulated.h"

struct answer {
  lua_Integer number; /* It grows by one with each answer of the simulation. */
  size_t length;
};

enum status simulated_keep_answer(struct session_owner *owner, struct span bytes) {
  struct simulated_connection *connection = (struct simulated_connection *)owner;
  bool is_ipv6 = strchr(connection->who.host, ':') != NULL;
  struct span space;
  struct answer answer = {connection->simulation->answers + 1, bytes.length};
  if (bytes.length > DATAGRAM_LONGEST_IPV4 && !is_ipv6) return STATUS_ERROR;
  if (buffer_bytes(connection->answers).length > TAKE_MAX) return STATUS_FULL;
  enum status status = buffer_reserve(&connection->answers, sizeof answer + bytes.length, &space);
  if (status != STATUS_OK) return status;
  connection->simulation->answers++;
  (void)buffer_append(&connection->answers, (const char *)&answer, sizeof answer);
  return buffer_append(&connection->answers, bytes.data, bytes.length);
}

int simulated_take_datagram(lua_State *L) {
  struct simulated_connection *connection = simulated_check(L);
  struct answer answer;
  if (!connection->answers) return 0;
  memcpy(&answer, buffer_bytes(connection->answers).data, sizeof answer);
  lua_pushlstring(L, buffer_bytes(connection->answers).data + sizeof answer, answer.length);
  lua_pushinteger(L, answer.number);
  buffer_consume(&connection->answers, sizeof answer + answer.length);
  return 2;
}

/* Whether max_tasks datagrams are not answered yet. */
static bool is_full(const struct simulation *simulation) {
  size_t most = script_handler(simulation->script)->limits.max_datagrams, count = 0;
  const struct simulated_connection *one = simulation->connections;
  for (; one && most > 0; one = one->next)
    if (session_is_datagram(one->session) && !session_finished(one->session) && ++count >= most)
      return true;
  return false;
}

int connections_datagram(lua_State *L, struct simulation *simulation) {
  size_t length;
  const char *bytes = luaL_checklstring(L, 2, &length);
  luaL_argcheck(L, length <= DATAGRAM_LONGEST_IPV4, 2, "is longer than a datagram can be");
  if (is_full(simulation)) return 0;
  struct simulated_connection *connection = simulated_create(L, simulation, true);
  struct handler *handler = script_handler(simulation->script);
  simulated_begin(L, connection,
                  session_create_datagram(handler, &connection->owner, simulation->now));
  session_receive_datagram(connection->session, bytes, length, simulation->now);
  simulated_settle(connection);
  return 1;
}
