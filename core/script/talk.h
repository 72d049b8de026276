/* talk.h: self:read, self:peek and self:write: a function that answers talks with its peer itself.
 */
#ifndef SCRIPT_TALK_H
#define SCRIPT_TALK_H

#include <lua.h>

/* Adds the methods to those of every `self`. May raise. */
void talk_install(lua_State *state);

#endif
