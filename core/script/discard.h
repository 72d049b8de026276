/* discard.h: closes the files of a response that is not sent. */
#ifndef SCRIPT_DISCARD_H
#define SCRIPT_DISCARD_H

#include <lua.h>

/* Closes every file in the response at index (the value itself, an item of a list, a field of a
 * table that is an item), and each that was taken out of it into one of the first `slots` slots of
 * sent_file.h. Files that were queued before stay open. Pushes nothing and raises nothing: errors
 * of closing are ignored. Runs inside the gate. */
void discard_response(lua_State *state, int index, lua_Integer slots);

#endif
