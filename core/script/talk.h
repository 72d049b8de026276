/* talk.h: self:read, self:peek and self:write: a function that answers talks with its peer itself.
 */
#ifndef SCRIPT_TALK_H
#define SCRIPT_TALK_H

#include <lua.h>

struct session;
struct task;

/* The session that the task answers, whose `self` is at index 1; NULL: it is over, or a tunnel has
 * it. Raises for another one, in the name of the function that was called. */
struct session *talk_check_session(lua_State *state, const struct task *task, const char *name);

/* The same, to take bytes behind the request. Raises while a part of its body, which is a stream,
 * was not taken, and after self:start_tls. */
struct session *talk_check_behind_body(lua_State *state, const struct task *task, const char *name);

/* Adds the methods to those of every `self`. May raise. */
void talk_install(lua_State *state);

#endif
