#include "modules/http_url.h"

#include <ctype.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

#include "base/span.h"

static struct span check_text(lua_State *L) {
  struct span text;
  text.data = luaL_checklstring(L, 1, &text.length);
  lua_settop(L, 1);
  return text;
}

/* ---- percent-encoding ---------------------------------------------------------------------- */

static int value_of_digit(char digit) {
  return isdigit((unsigned char)digit) ? digit - '0' : (digit | 0x20) - 'a' + 10;
}

/* Copies the text without its percent-encoding. Returns the length; SIZE_MAX: there is a "%"
 * without two digits. */
static size_t decode_into(char *copy, struct span text) {
  size_t length = 0;
  for (size_t i = 0; i < text.length; i++) {
    char byte = text.data[i];
    if (byte == '%') {
      if (text.length - i < 3 || !isxdigit((unsigned char)text.data[i + 1]) ||
          !isxdigit((unsigned char)text.data[i + 2]))
        return SIZE_MAX;
      byte = (char)(value_of_digit(text.data[i + 1]) * 16 + value_of_digit(text.data[i + 2]));
      i += 2;
    }
    copy[length++] = byte;
  }
  return length;
}

/* decode(text). Most texts have nothing to decode. */
static int decode(lua_State *L) {
  luaL_Buffer buffer;
  struct span text = check_text(L);
  if (memchr(text.data, '%', text.length) == NULL) return 1;
  size_t length = decode_into(luaL_buffinitsize(L, &buffer, text.length), text);
  if (length == SIZE_MAX)
    lua_pushnil(L);
  else
    luaL_pushresultsize(&buffer, length);
  return 1;
}

/* ---- targets ------------------------------------------------------------------------------- */

/* The target may be a whole URL (RFC 9112, 3.2.2): its path begins behind the host. */
static struct span skip_host(struct span target) {
  const char *at = target.data, *end = at + target.length;
  if (at < end && isalpha((unsigned char)*at))
    while (at < end && (isalnum((unsigned char)*at) || *at == '+' || *at == '.' || *at == '-'))
      at++;
  if (at == target.data || end - at < 3 || memcmp(at, "://", 3) != 0) return target;
  at += 3;
  while (at < end && *at != '/') at++;
  return (struct span){at, (size_t)(end - at)};
}

/* split(target) */
static int split(lua_State *L) {
  struct span target = check_text(L), path = target;
  const char *mark = memchr(target.data, '?', target.length);
  if (mark) path.length = (size_t)(mark - target.data);
  if (path.length == 0 || *path.data != '/') path = skip_host(path);
  if (path.length == 0)
    lua_pushliteral(L, "/");
  else if (path.length == target.length)
    lua_pushvalue(L, 1);
  else
    lua_pushlstring(L, path.data, path.length);
  if (mark)
    lua_pushlstring(L, mark + 1, (size_t)(target.data + target.length - mark - 1));
  else
    lua_pushnil(L);
  return 2;
}

int http_url_open(lua_State *L) {
  static const luaL_Reg functions[] = {{"decode", decode}, {"split", split}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}
