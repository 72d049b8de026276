/* queue.h: parlance.queue(), through which tasks pass values. */
#ifndef SCRIPT_QUEUE_H
#define SCRIPT_QUEUE_H

#include <lua.h>

/* Sets the field `queue` of the table on the top. May raise. */
void queue_install(lua_State *state);

#endif
