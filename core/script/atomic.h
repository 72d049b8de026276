/* atomic.h: parlance.atomic, which runs a function of the script to its end, and parlance.memory,
 * which tells what a script has left.
 *
 * A call into a script may be stopped at any instruction, by the time limit, and may fail at any
 * allocation, by the memory limit; what the script has changed by then stays changed. Within
 * atomic the time limit does not hold, and the reserve of memory may be used. */
#ifndef SCRIPT_ATOMIC_H
#define SCRIPT_ATOMIC_H

#include <lua.h>

/* Adds the functions to the module on the top of the stack. The state must have a gate. May raise.
 */
void atomic_install(lua_State *state);

#endif
