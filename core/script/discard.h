/* discard.h: what becomes of the files of a response that is not sent. */
#ifndef SCRIPT_DISCARD_H
#define SCRIPT_DISCARD_H

#include <lua.h>

/* Closes every file that stands in the response at index (the value itself, an item of a list, one
 * in a table that is an item), and each that was taken out of it into one of the first `rooms`
 * rooms of sent_file.h. What was queued by then is left alone. Nothing is pushed, and nothing is
 * raised: what a file says when it is closed is ignored. Runs inside the gate. */
void discard_response(lua_State *state, int index, lua_Integer rooms);

#endif
