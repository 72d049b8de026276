#include "spec_module.h"

#include <errno.h>
#include <string.h>

static const char *status_name(enum status status) {
  switch (status) {
  case STATUS_OK: return "ok";
  case STATUS_AGAIN: return "again";
  case STATUS_CLOSED: return "closed";
  case STATUS_NO_MEMORY: return "no_memory";
  case STATUS_FULL: return "full";
  case STATUS_ERROR: return "error";
  }
  return "?";
}

int spec_failure(lua_State *L, enum status status) {
  const char *error = strerrorname_np(errno);
  lua_pushnil(L);
  lua_pushstring(L, status_name(status));
  lua_pushstring(L, error);
  return 3;
}

int spec_outcome(lua_State *L, enum status status) {
  if (status != STATUS_OK) return spec_failure(L, status);
  lua_pushboolean(L, 1);
  return 1;
}

static void add_field(lua_State *L, const char *name, lua_CFunction open) {
  if (!open) return;
  lua_pushcfunction(L, open);
  lua_call(L, 0, 1);
  lua_setfield(L, -2, name);
}

int luaopen_parlance_spec(lua_State *L) {
  lua_newtable(L);
  add_field(L, "base", spec_open_base);
  add_field(L, "io", spec_open_io);
  add_field(L, "process", spec_open_process);
  add_field(L, "server", spec_open_server);
  add_field(L, "framing", spec_open_framing);
  add_field(L, "session", spec_open_session);
  add_field(L, "script", spec_open_script);
  return 1;
}
