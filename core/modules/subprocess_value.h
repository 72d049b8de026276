/* subprocess_value.h: a child (script/subprocess.h) as a value of a script: wait, kill, close, and
 * its streams as fields. */
#ifndef MODULES_SUBPROCESS_VALUE_H
#define MODULES_SUBPROCESS_VALUE_H

#include <lua.h>

#include "script/subprocess.h"

/* Makes the class. May raise. */
void subprocess_value_install(lua_State *state);

/* Pushes a new child. May raise. */
struct subprocess *subprocess_value_push(lua_State *state, struct script *script);

/* Makes a stream for the child of the value at index, with child->name in its description. May
 * raise. */
void subprocess_value_add_stream(lua_State *state, int index, enum subprocess_stream which);

/* The child of the value at index, which is one and not collected. */
struct subprocess *subprocess_value_get(lua_State *state, int index);

#endif
