#include "script/connections.h"

#include "script/client.h"
#include "script/script_internal.h"

/* connections(): a list of each `self`. No session begins or ends while Lua runs, so that the
 * finalizers that run here do not change the list of the sessions. */
static int list_connections(lua_State *state) {
  const struct script *script = lua_touserdata(state, lua_upvalueindex(1));
  lua_Integer count = 0;
  lua_newtable(state);
  for (struct session *one = session_list_live(script->sessions.first); one;
       one = session_list_live(session_list_next(one))) {
    const struct generation *generation = (struct generation *)session_list_handler(one);
    client_push(state, one, generation->metatable);
    lua_rawseti(state, -2, ++count);
  }
  return 1;
}

void connections_install(lua_State *state, struct script *script) {
  lua_pushlightuserdata(state, script);
  lua_pushcclosure(state, list_connections, 1);
  lua_setfield(state, -2, "connections");
}
