#include "script/ban.h"

#include <lauxlib.h>

#include "script/gate.h"

const char ban_in_request_complete[] =
    "in request_complete: decide by the bytes there, and wait in make_response",
           ban_in_save[] = "in save: return what is there",
           ban_in_restore[] = "in restore: take what is there",
           ban_while_loading[] = "while the script is loaded: wait in make_response";

static const struct {
  const char *where; /* By its address. */
  const char *text;
} bans[] = {
    {ban_in_request_complete,
     "in request_complete: decide by the bytes there, and call it in make_response"},
    {ban_in_save, "in save: return what is there"},
    {ban_in_restore, "in restore: take what is there"},
    {ban_while_loading, "while the script is loaded: call it when a connection is served"},
};

void ban_check(lua_State *state, const char *name) {
  const struct gate *gate = gate_of(state);
  if (!gate->no_wait || state == gate->finalizer) return;
  for (size_t i = 0; i < sizeof bans / sizeof *bans; i++)
    if (gate->no_wait == bans[i].where)
      luaL_error(state, "%s cannot be called %s", name, bans[i].text);
}
