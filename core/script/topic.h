/* topic.h: parlance.topic(): names under which many connections are sent the same bytes. */
#ifndef SCRIPT_TOPIC_H
#define SCRIPT_TOPIC_H

#include <lua.h>

#include "script/script_internal.h"

/* Adds `topic` to the table on the top. May raise. */
void topic_install(lua_State *state);

/* The session is over: removes its subscriptions. Cannot raise. */
void topic_forget(struct script *script, struct session *session);

#endif
