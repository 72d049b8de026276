/* spec_tls.c: a client of TLS that makes bytes and sends none, so that a spec decides what arrives
 * when, and in which records. */
#include <lauxlib.h>
#include <openssl/ssl.h>

#include "spec_module.h"

#define CLIENT "parlance_spec.tls_client"

static SSL *check_client(lua_State *L) { return *(SSL **)luaL_checkudata(L, 1, CLIENT); }

/* Pushes the bytes that the client has made. */
static int push_bytes(lua_State *L, SSL *ssl) {
  char *bytes;
  BIO *out = SSL_get_wbio(ssl);
  long length = BIO_get_mem_data(out, &bytes);
  lua_pushlstring(L, bytes, (size_t)length);
  (void)BIO_reset(out);
  return 1;
}

/* client:shake(bytes) -> the bytes to send, whether the handshake is over. Takes what the server
 * has sent; "" at first. */
static int shake(lua_State *L) {
  size_t length;
  SSL *ssl = check_client(L);
  const char *bytes = luaL_checklstring(L, 2, &length);
  if (length > 0 && BIO_write(SSL_get_rbio(ssl), bytes, (int)length) != (int)length)
    return luaL_error(L, "not enough memory");
  bool is_over = SSL_do_handshake(ssl) == 1;
  push_bytes(L, ssl);
  lua_pushboolean(L, is_over);
  return 2;
}

/* client:record(bytes) -> a record with these bytes */
static int record(lua_State *L) {
  size_t length;
  SSL *ssl = check_client(L);
  const char *bytes = luaL_checklstring(L, 2, &length);
  if (SSL_write(ssl, bytes, (int)length) != (int)length) return luaL_error(L, "cannot write");
  return push_bytes(L, ssl);
}

/* client:key_update() -> a record with this message of TLS 1.3 */
static int key_update(lua_State *L) {
  SSL *ssl = check_client(L);
  if (SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED) != 1 || SSL_do_handshake(ssl) != 1)
    return luaL_error(L, "cannot update the key");
  return push_bytes(L, ssl);
}

static int collect(lua_State *L) {
  SSL_free(check_client(L));
  return 0;
}

/* io.tls_client() -> a client */
static int create(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"shake", shake}, {"record", record}, {"key_update", key_update}, {NULL, NULL}};
  SSL_CTX *context = SSL_CTX_new(TLS_client_method());
  SSL *ssl = context ? SSL_new(context) : NULL;
  SSL_CTX_free(context); /* ssl has a reference. */
  if (!ssl) return luaL_error(L, "not enough memory");
  SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  SSL_set_connect_state(ssl);
  *(SSL **)lua_newuserdatauv(L, sizeof ssl, 0) = ssl;
  if (luaL_newmetatable(L, CLIENT)) {
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, collect);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return 1;
}

void spec_add_tls(lua_State *L) {
  lua_pushcfunction(L, create);
  lua_setfield(L, -2, "tls_client");
}
