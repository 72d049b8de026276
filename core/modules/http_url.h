/* http_url.h: require "parlance.http.url", which takes targets and what is percent-encoded apart.
 * It is private to lua/parlance/http.lua, whose functions decode() and split() these are. */
#ifndef MODULES_HTTP_URL_H
#define MODULES_HTTP_URL_H

#include <lua.h>

/* Opens the module, as a lua_CFunction. */
int http_url_open(lua_State *L);

#endif
