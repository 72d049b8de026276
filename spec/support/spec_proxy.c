/* spec_proxy.c: lets the specs decode headers of the PROXY protocol, with bytes that end at an
 * unreadable page. */
#include <lauxlib.h>
#include <lua.h>
#include <string.h>

#include "framing/proxy.h"
#include "spec_fence.h"
#include "spec_module.h"

static const char *const verdicts[] = {
    [PROXY_COMPLETE] = "complete", [PROXY_PARTIAL] = "partial", [PROXY_MALFORMED] = "malformed"};
static const char *const families[] = {[PROXY_NO_ADDRESS] = "none",
                                       [PROXY_IPV4] = "ipv4",
                                       [PROXY_IPV6] = "ipv6",
                                       [PROXY_UNIX] = "unix"};

static void set_span(lua_State *L, const char *name, struct span span) {
  if (span.data)
    lua_pushlstring(L, span.data, span.length);
  else
    lua_pushnil(L);
  lua_setfield(L, -2, name);
}

static void set_end(lua_State *L, const char *name, const struct proxy_header *header,
                    const struct proxy_end *end) {
  if (header->family == PROXY_NO_ADDRESS) return;
  lua_newtable(L);
  if (header->family == PROXY_UNIX) {
    set_span(L, "path", end->path);
  } else {
    lua_pushlstring(L, (const char *)end->ip, header->family == PROXY_IPV4 ? 4 : 16);
    lua_setfield(L, -2, "ip");
    lua_pushinteger(L, end->port);
    lua_setfield(L, -2, "port");
  }
  lua_setfield(L, -2, name);
}

static void set_ssl(lua_State *L, const struct proxy_ssl *ssl) {
  if (!ssl->is_used) return;
  lua_newtable(L);
  lua_pushboolean(L, ssl->has_certificate);
  lua_setfield(L, -2, "has_certificate");
  lua_pushboolean(L, ssl->is_verified);
  lua_setfield(L, -2, "is_verified");
  set_span(L, "version", ssl->version);
  set_span(L, "cipher", ssl->cipher);
  set_span(L, "common_name", ssl->common_name);
  set_span(L, "signature", ssl->signature);
  set_span(L, "key", ssl->key);
  lua_setfield(L, -2, "ssl");
}

/* proxy(bytes): what proxy_decode() finds, as a table. */
static int proxy(lua_State *L) {
  size_t length;
  const char *bytes = luaL_checklstring(L, 1, &length);
  struct proxy_header header;
  struct fence fence;
  spec_fence_build(L, &fence, length);
  char *copy = fence.end - length;
  memcpy(copy, bytes, length);
  proxy_decode(copy, length, &header);
  lua_newtable(L);
  lua_pushstring(L, verdicts[header.verdict]);
  lua_setfield(L, -2, "answer");
  lua_pushstring(L, header.why);
  lua_setfield(L, -2, "why");
  lua_pushinteger(L, (lua_Integer)header.length);
  lua_setfield(L, -2, "length");
  lua_pushstring(L, families[header.family]);
  lua_setfield(L, -2, "family");
  set_end(L, "source", &header, &header.source);
  set_end(L, "destination", &header, &header.destination);
  set_span(L, "alpn", header.alpn);
  set_span(L, "authority", header.authority);
  set_span(L, "unique_id", header.unique_id);
  set_ssl(L, &header.ssl);
  spec_fence_free(&fence);
  return 1;
}

void spec_add_proxy(lua_State *L) {
  lua_pushcfunction(L, proxy);
  lua_setfield(L, -2, "proxy");
}
