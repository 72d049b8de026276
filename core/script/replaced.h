/* replaced.h: functions of Lua's libraries that are replaced by C functions of ours.
 *
 * The first upvalue of such a C function is the function that it replaces. */
#ifndef SCRIPT_REPLACED_H
#define SCRIPT_REPLACED_H

#include <lua.h>

/* Replaces a field of a table by `function`, and takes so many further upvalues of it from the top
 * of the stack. The table stands below them. May raise. */
static inline void replaced_install(lua_State *state, const char *name, lua_CFunction function,
                                    int upvalues) {
  lua_getfield(state, -1 - upvalues, name);
  lua_insert(state, -1 - upvalues);
  lua_pushcclosure(state, function, 1 + upvalues);
  lua_setfield(state, -2, name);
}

/* Calls the function that the running one replaces, with all arguments. Returns how many results
 * stand on the stack. */
static inline int replaced_call(lua_State *state) {
  lua_pushvalue(state, lua_upvalueindex(1));
  lua_insert(state, 1);
  lua_call(state, lua_gettop(state) - 1, LUA_MULTRET);
  return lua_gettop(state);
}

#endif
