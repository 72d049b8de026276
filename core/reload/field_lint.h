/* field_lint.h: finds fields of a protocol that are nearly ones that the server knows. The work is
 * done by lua/parlance/field_lint.lua. It is only advice: if the module is not there or fails,
 * nothing is found. */
#ifndef RELOAD_FIELD_LINT_H
#define RELOAD_FIELD_LINT_H

#include <lua.h>

/* Logs a warning for each field that the server knows and the protocol at this index lacks, if the
 * protocol has a field with a similar name. May raise. */
void field_lint_warn(lua_State *state, int protocol, const char *service);

/* Returns the field of the protocol that is similar to `known`, which the protocol lacks; NULL:
 * there is none. The name lives as long as the protocol has the field. May raise. */
const char *field_lint_find(lua_State *state, int protocol, const char *known);

#endif
