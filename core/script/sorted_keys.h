/* sorted_keys.h: the keys of a table in an order that is the same each time. */
#ifndef SCRIPT_SORTED_KEYS_H
#define SCRIPT_SORTED_KEYS_H

#include <lua.h>

/* Pushes a list of the keys of the table at index that are strings, in the order of strcmp(),
 * `most` at most; returns how many there are in all. Runs no metamethod. May raise: a finalizer
 * that runs meanwhile may change the table. */
int sorted_keys_push(lua_State *state, int table, int most);

/* Returns the key in the list on the top, which sorted_keys_push() has made, that is nearest to
 * `name`, the first of equally near ones; NULL: none is near. It lives as long as the list. */
const char *sorted_keys_nearest(lua_State *state, const char *name);

#endif
