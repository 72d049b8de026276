/* stream_lines.h: the method `lines` of streams, an iterator that reads. */
#ifndef SCRIPT_STREAM_LINES_H
#define SCRIPT_STREAM_LINES_H

#include <lua.h>

/* stream:lines(what), as a lua_CFunction. */
int stream_lines(lua_State *state);

#endif
