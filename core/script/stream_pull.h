/* stream_pull.h: a stream as a part of a response: what it brings is sent until it ends. */
#ifndef SCRIPT_STREAM_PULL_H
#define SCRIPT_STREAM_PULL_H

#include <lua.h>
#include <stdbool.h>

struct stream;

/* If the value on the top is a stream, replaces it by a function that makes a response's pieces of
 * it. Raises if the stream is closed, or was returned before. */
bool stream_pull_wrap(lua_State *state);

/* If the list at `index`, which is absolute, has streams, replaces it by a copy with such functions
 * in their place. Raises as stream_pull_wrap(). */
void stream_pull_wrap_items(lua_State *state, int index);

/* The stream of the function at index; NULL: the value is something else. */
struct stream *stream_pull_of(lua_State *state, int index);

/* The response does not need the stream of such a function any more: drops the stream, unless it
 * was closed. */
void stream_pull_release(struct stream *stream);

#endif
