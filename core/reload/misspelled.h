/* misspelled.h: fields of a protocol that look as if they were to be ones the server knows, such as
 * `idle_timout` or `closeWhenDone`. The server would never look at them, and never say so. */
#ifndef RELOAD_MISSPELLED_H
#define RELOAD_MISSPELLED_H

#include <lua.h>

/* Logs a warning for each field that the server knows and the protocol at this index lacks, if the
 * name of one that is there is near. Runs nothing of the script's, allocates nothing and cannot
 * raise; needs two free stack slots. */
void misspelled_warn(lua_State *state, int protocol, const char *service);

/* The field of the protocol at this index that is meant to be `known`, which it lacks; NULL: none
 * looks like it. Lives as long as the protocol has the field. Like misspelled_warn(). */
const char *misspelled_find(lua_State *state, int protocol, const char *known);

#endif
