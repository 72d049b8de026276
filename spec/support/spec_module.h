/* spec_module.h: the functions of the core's rooms for specs: require "parlance_spec".
 *
 * Each spec_open_*() pushes a table of functions, a field of the module. Failures of the system are
 * returned as nil, a status in lower case ("full") and the name of errno ("EMFILE"); wrong
 * arguments raise a Lua error. Nothing raises while C owns a descriptor, a process or memory. */
#ifndef SPEC_MODULE_H
#define SPEC_MODULE_H

#include <lauxlib.h>
#include <lua.h>

#include "base/status.h"
#include "io/address.h"

int luaopen_parlance_spec(lua_State *L);

int spec_open_base(lua_State *L);
int spec_open_io(lua_State *L);
int spec_open_process(lua_State *L);
int spec_open_server(lua_State *L);

/* The module has no field for a room that is not linked in. */
__attribute__((weak)) int spec_open_framing(lua_State *L);
__attribute__((weak)) int spec_open_session(lua_State *L);
__attribute__((weak)) int spec_open_script(lua_State *L);

/* For spec_open_io(): each adds its functions to the table on top of the stack. */
void spec_add_pollers(lua_State *L);
void spec_add_timers(lua_State *L);
void spec_add_addresses(lua_State *L);
void spec_add_sockets(lua_State *L);
void spec_add_resolver(lua_State *L);
void spec_add_watcher(lua_State *L);
void spec_add_children(lua_State *L);
void spec_add_splice(lua_State *L);
void spec_add_datagrams(lua_State *L);
void spec_add_tls(lua_State *L);

/* For spec_open_framing(): adds proxy() to the table on top of the stack. */
void spec_add_proxy(lua_State *L);

/* For spec_open_server(): peers(), which opens a table of counts. */
void spec_add_peers(lua_State *L);

/* The address of a peer: a host in numbers, or another text for a Unix socket. */
union peer_address spec_peer_address(const char *host);

/* Functions of the room script. */
int spec_pool_churn(lua_State *L);
int spec_pool_scatter(lua_State *L);

/* Pushes nil, the status and errno's name, and returns 3. */
int spec_failure(lua_State *L, enum status status);

/* Pushes true, or a failure. Returns the number of values. */
int spec_outcome(lua_State *L, enum status status);

#endif
