/* stream_value.h: a stream as a value of a script, with the methods of Lua's own files. */
#ifndef SCRIPT_STREAM_VALUE_H
#define SCRIPT_STREAM_VALUE_H

#include <lua.h>

#include "script/stream.h"

/* Makes the class. May raise. */
void stream_value_install(lua_State *state);

/* Pushes a new stream, which is not connected. May raise. */
struct stream *stream_value_push(lua_State *state, struct script *script, const char *address);

/* The stream of the value at index; NULL: it is no stream. Allocates nothing in Lua. */
struct stream *stream_value_test(lua_State *state, int index);

/* The same, but raises that the argument is no stream. */
struct stream *stream_value_check(lua_State *state, int index);

/* The same, of a stream that is no body of a request, which can only be read. Raises in the name of
 * what a body does not have. */
struct stream *stream_value_check_whole(lua_State *state, int index, const char *name);

/* The method `read`. */
int stream_value_read(lua_State *state);

#endif
