#include "modules/module_framing.h"

#include <lauxlib.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "framing/resp.h"
#include "modules/framing_call.h"
#include "modules/http_incoming.h"
#include "modules/http_request.h"
#include "modules/reply_value.h"
#include "modules/resp_request.h"
#include "script/framing_value.h"

/* The largest offset of a length field. offset + width cannot overflow. */
enum { OFFSET_MAX = INT_MAX };

static const char *const type_name = "parlance.framing";

/* ---- options: each constructor has its table of options at index 1, if it has one ---------- */

static const char *const plain_options[] = {"max", NULL};
static const char *const delimited_options[] = {"delimiter", "max", NULL};
static const char *const fixed_options[] = {"size", NULL};
static const char *const http_options[] = {"max",       "max_head",    "max_headers", "method",
                                           "responses", "stream_body", NULL};
static const char *const prefixed_options[] = {"adjust", "format", "max", "offset", "strip", NULL};
static const char *const resp_options[] = {"max", "max_arguments", "replies", "reuse", NULL};

static bool is_among(const char *const *names, const char *name) {
  while (*names != NULL && strcmp(*names, name) != 0) names++;
  return *names != NULL;
}

/* Returns a value as an error message shows it. Pushes the text. */
static const char *show(lua_State *L, int index) {
  index = lua_absindex(L, index);
  const char *text = luaL_tolstring(L, index, NULL);
  return lua_type(L, index) == LUA_TSTRING ? lua_pushfstring(L, "\"%s\"", text) : text;
}

/* Makes index 1 a table that holds no option but those named. */
static void check_options(lua_State *L, enum framing_kind kind, const char *const *names) {
  if (lua_isnoneornil(L, 1)) {
    lua_settop(L, 0);
    lua_newtable(L);
  }
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_pushnil(L);
  while (lua_next(L, 1) != 0) {
    if (lua_type(L, 2) != LUA_TSTRING || !is_among(names, lua_tostring(L, 2)))
      luaL_error(L, "framing.%s has no option %s", framing_name(kind), show(L, 2));
    lua_settop(L, 2);
  }
}

/* Pushes the option; false, with nothing pushed, if the script leaves it out. */
static bool push_option(lua_State *L, const char *name) {
  if (lua_getfield(L, 1, name) != LUA_TNIL) return true;
  lua_pop(L, 1);
  return false;
}

/* Raises an error for an option that is required. */
static int raise_missing(lua_State *L, enum framing_kind kind, const char *name) {
  return luaL_error(L, "framing.%s needs the option %s", framing_name(kind), name);
}

/* Pops an option that push_option() has pushed. Raises an error unless it is in this range. */
static lua_Integer pop_integer(lua_State *L, enum framing_kind kind, const char *name,
                               lua_Integer low, lua_Integer high) {
  int is_integer;
  lua_Integer value = lua_tointegerx(L, -1, &is_integer);
  if (!is_integer || lua_type(L, -1) != LUA_TNUMBER)
    luaL_error(L, "framing.%s: %s must be an integer, not %s", framing_name(kind), name,
               show(L, -1));
  if (value < low)
    luaL_error(L, "framing.%s: %s must be at least %I, not %I", framing_name(kind), name,
               (LUAI_UACINT)low, (LUAI_UACINT)value);
  if (value > high)
    luaL_error(L, "framing.%s: %s must be at most %I, not %I", framing_name(kind), name,
               (LUAI_UACINT)high, (LUAI_UACINT)value);
  lua_pop(L, 1);
  return value;
}

/* An option that is `otherwise` where it is left out. */
static size_t read_size(lua_State *L, enum framing_kind kind, const char *name, lua_Integer low,
                        lua_Integer high, size_t otherwise) {
  return push_option(L, name) ? (size_t)pop_integer(L, kind, name, low, high) : otherwise;
}

/* Reads a boolean option, whose default is false. */
static bool read_flag(lua_State *L, enum framing_kind kind, const char *name) {
  if (!push_option(L, name)) return false;
  if (!lua_isboolean(L, -1))
    luaL_error(L, "framing.%s: %s must be true or false, not %s", framing_name(kind), name,
               show(L, -1));
  bool flag = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return flag;
}

static size_t read_max(lua_State *L, enum framing_kind kind) {
  return read_size(L, kind, "max", 0, PTRDIFF_MAX, SIZE_MAX);
}

/* Declares four functions, which stand below. */
static framing_push_request push_resp, push_reply, push_response, push_payload;

static framing_push_request *find_push(const struct framing *framing) {
  switch (framing->kind) {
  case FRAMING_HTTP:
    return framing->option.http.stream_body ? http_request_push_streamed : http_request_push;
  case FRAMING_RESP: return push_resp;
  case FRAMING_HTTP_RESPONSE: return push_response;
  case FRAMING_RESP_REPLY: return push_reply;
  default: return push_payload;
  }
}

static int push_framing(lua_State *L, const struct framing *framing) {
  bool is_http = framing->kind == FRAMING_HTTP;
  struct framing_value *value = framing_value_push(L, is_http ? HTTP_REQUEST_VALUES : 0);
  value->framing = *framing;
  value->push_request = find_push(framing);
  if (is_http) http_request_prepare(L, -1, framing->option.http.stream_body);
  return 1;
}

/* Creates a framing whose only option is `max`. */
static int create_plain(lua_State *L, enum framing_kind kind) {
  check_options(L, kind, plain_options);
  struct framing framing = {.kind = kind, .max = read_max(L, kind)};
  return push_framing(L, &framing);
}

static int create_line(lua_State *L) { return create_plain(L, FRAMING_LINE); }

static int create_length_line(lua_State *L) { return create_plain(L, FRAMING_LENGTH_LINE); }

static int create_netstring(lua_State *L) { return create_plain(L, FRAMING_NETSTRING); }

static int create_delimited(lua_State *L) {
  static const enum framing_kind kind = FRAMING_DELIMITED;
  check_options(L, kind, delimited_options);
  struct framing framing = {.kind = kind, .max = read_max(L, kind)};
  if (!push_option(L, "delimiter")) return raise_missing(L, kind, "delimiter");
  if (lua_type(L, -1) != LUA_TSTRING)
    return luaL_error(L, "framing.delimited: delimiter must be a string, not %s", show(L, -1));
  size_t length;
  const char *bytes = lua_tolstring(L, -1, &length);
  if (length < 1 || length > FRAMING_DELIMITER_MAX)
    return luaL_error(L, "framing.delimited: delimiter must have 1 to %d bytes, not %I: %s",
                      FRAMING_DELIMITER_MAX, (LUAI_UACINT)length, show(L, -1));
  framing.option.delimited.length = length;
  memcpy(framing.option.delimited.bytes, bytes, length);
  return push_framing(L, &framing);
}

static int create_fixed(lua_State *L) {
  static const enum framing_kind kind = FRAMING_FIXED;
  check_options(L, kind, fixed_options);
  if (!push_option(L, "size")) return raise_missing(L, kind, "size");
  struct framing framing = {.kind = kind, .max = SIZE_MAX};
  framing.option.fixed.size = (size_t)pop_integer(L, kind, "size", 1, PTRDIFF_MAX);
  return push_framing(L, &framing);
}

static bool is_big_endian(char order) {
  static const uint16_t one = 1;
  return order == '>' || (order != '<' && *(const unsigned char *)&one == 0);
}

/* Returns how many bytes string.pack writes for an integer option; 0: it is no integer option. */
static size_t option_width(char option) {
  switch (option) {
  case 'b':
  case 'B': return 1;
  case 'h':
  case 'H': return sizeof(short);
  case 'i':
  case 'I': return sizeof(int);
  case 'l':
  case 'L': return sizeof(long);
  case 'j':
  case 'J': return sizeof(lua_Integer);
  case 'T': return sizeof(size_t);
  default: return 0;
  }
}

/* Reads a string.pack format of one integer. False: it is something else. */
static bool read_format(const char *format, size_t length, struct framing *framing) {
  const char *at = format;
  const char *end = format + length;
  char order = at < end && memchr("<>=", *at, 3) != NULL ? *at++ : '=';
  char option = at < end ? *at++ : 0;
  size_t width = option_width(option);
  if (at < end && (option == 'i' || option == 'I')) {
    width = 0;
    while (at < end && *at >= '0' && *at <= '9' && width <= 16)
      width = width * 10 + (size_t)(*at++ - '0');
  }
  framing->option.prefixed.width = width;
  framing->option.prefixed.big_endian = is_big_endian(order);
  framing->option.prefixed.is_signed = memchr("bhilj", option, 5) != NULL;
  return at == end && width >= 1 && width <= 16;
}

/* Warns if the format leaves the byte order to the machine. A protocol has one byte order on all
 * machines, so that this is most likely a mistake. "=" says that it is intended. */
static void warn_of_order(lua_State *L, const char *format, size_t width) {
  if (width == 1 || memchr("<>=", format[0], 3) != NULL) return;
  luaL_where(L, 1);
  log_event(LOG_WARN, "byte_order", "detail",
            lua_pushfstring(L,
                            "%sframing.prefixed: format \"%s\" has the byte order of this machine; "
                            "write \">%s\" or \"<%s\"",
                            lua_tostring(L, -1), format, format, format));
  lua_pop(L, 2);
}

static int create_prefixed(lua_State *L) {
  static const enum framing_kind kind = FRAMING_PREFIXED;
  check_options(L, kind, prefixed_options);
  struct framing framing = {.kind = kind, .max = read_max(L, kind)};
  if (!push_option(L, "format")) lua_pushliteral(L, ">I4");
  size_t length = 0;
  const char *format = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &length) : "";
  if (!read_format(format, length, &framing))
    return luaL_error(L,
                      "framing.prefixed: format must be one integer option of string.pack, "
                      "such as \">I4\", not %s",
                      show(L, -1));
  warn_of_order(L, format, framing.option.prefixed.width);
  size_t offset = read_size(L, kind, "offset", 0, OFFSET_MAX, 0);
  framing.option.prefixed.offset = offset;
  if (push_option(L, "adjust"))
    framing.option.prefixed.adjust = pop_integer(L, kind, "adjust", LUA_MININTEGER, LUA_MAXINTEGER);
  framing.option.prefixed.strip =
      read_size(L, kind, "strip", 0, PTRDIFF_MAX, offset + framing.option.prefixed.width);
  return push_framing(L, &framing);
}

/* The limits are similar to those of common servers. */
enum { DEFAULT_MAX_HEAD = 16 * 1024, DEFAULT_MAX_HEADERS = 100 };

/* Reads the option `method`: what a response answers. */
static enum http_answered read_method(lua_State *L, const struct framing *framing) {
  if (!push_option(L, "method")) return HTTP_TO_OTHER;
  if (lua_type(L, -1) != LUA_TSTRING)
    luaL_error(L, "framing.http: method must be a string such as \"HEAD\", not %s", show(L, -1));
  if (framing->kind != FRAMING_HTTP_RESPONSE)
    luaL_error(L, "framing.http: method is for responses = true: it says what they answer");
  const char *method = lua_tostring(L, -1);
  enum http_answered answered = strcmp(method, "HEAD") == 0      ? HTTP_TO_HEAD
                                : strcmp(method, "CONNECT") == 0 ? HTTP_TO_CONNECT
                                                                 : HTTP_TO_OTHER;
  lua_pop(L, 1);
  return answered;
}

static int create_http(lua_State *L) {
  static const enum framing_kind kind = FRAMING_HTTP;
  check_options(L, kind, http_options);
  struct framing framing = {.kind = kind, .max = read_max(L, kind)};
  framing.option.http.max_head =
      read_size(L, kind, "max_head", 1, FRAMING_HEAD_MAX, DEFAULT_MAX_HEAD);
  framing.option.http.max_headers =
      read_size(L, kind, "max_headers", 0, INT_MAX, DEFAULT_MAX_HEADERS);
  if (read_flag(L, kind, "responses")) framing.kind = FRAMING_HTTP_RESPONSE;
  framing.option.http.answered = read_method(L, &framing);
  framing.option.http.stream_body = read_flag(L, kind, "stream_body");
  if (framing.option.http.stream_body && framing.kind == FRAMING_HTTP_RESPONSE)
    return luaL_error(
        L, "framing.http: stream_body is for requests: it cannot stand with responses = true");
  return push_framing(L, &framing);
}

static int create_resp(lua_State *L) {
  static const enum framing_kind kind = FRAMING_RESP;
  check_options(L, kind, resp_options);
  struct framing framing = {.kind = kind, .max = read_max(L, kind)};
  framing.option.resp.max_arguments =
      read_size(L, kind, "max_arguments", 1, (lua_Integer)RESP_ARGUMENTS_MAX, RESP_ARGUMENTS_MAX);
  framing.option.resp.reuse = read_flag(L, kind, "reuse");
  if (read_flag(L, kind, "replies")) framing.kind = FRAMING_RESP_REPLY;
  if (framing.kind == FRAMING_RESP_REPLY && framing.option.resp.reuse)
    return luaL_error(L,
                      "framing.resp: reuse is for requests: it cannot stand with replies = true");
  return push_framing(L, &framing);
}

/* ---- values -------------------------------------------------------------------------------- */

static const struct framing_value *check_framing(lua_State *L) {
  const struct framing_value *value = framing_value_test(L, 1);
  if (value == NULL) luaL_typeerror(L, 1, type_name);
  return value;
}

static void push_resp(lua_State *L, int index, const struct framing *framing,
                      const struct framing_answer *answer) {
  (void)index;
  resp_request_push(L, framing, answer);
}

static void push_reply(lua_State *L, int index, const struct framing *framing,
                       const struct framing_answer *answer) {
  (void)index;
  (void)framing;
  reply_value_push(L, answer);
}

static void push_response(lua_State *L, int index, const struct framing *framing,
                          const struct framing_answer *answer) {
  (void)index;
  (void)framing;
  http_incoming_push(L, answer);
}

static void push_payload(lua_State *L, int index, const struct framing *framing,
                         const struct framing_answer *answer) {
  (void)index;
  (void)framing;
  lua_pushlstring(L, answer->payload.data, answer->payload.length);
}

static int call(lua_State *L) {
  const struct framing_value *value = check_framing(L);
  if (framing_streams_body(&value->framing))
    return luaL_error(L, "framing.http with stream_body cannot be called: it must be the "
                         "request_complete of the protocol");
  return framing_call(L, value);
}

/* Pushes the bytes as a Lua literal, for __tostring. */
static const char *push_quoted(lua_State *L, const char *bytes, size_t length) {
  luaL_Buffer buffer;
  luaL_buffinit(L, &buffer);
  luaL_addchar(&buffer, '"');
  for (size_t i = 0; i < length; i++) {
    char escaped[sizeof "\\255"];
    unsigned char byte = (unsigned char)bytes[i];
    bool is_plain = byte >= ' ' && byte <= '~' && byte != '"' && byte != '\\';
    snprintf(escaped, sizeof escaped, is_plain ? "%c" : "\\%03d", byte);
    luaL_addstring(&buffer, escaped);
  }
  luaL_addchar(&buffer, '"');
  luaL_pushresult(&buffer);
  return lua_tostring(L, -1);
}

/* What __tostring shows of framing.http behind the other options. */
static const char *describe_responses(const struct framing *framing) {
  static const char *const texts[] = {[HTTP_TO_OTHER] = ", responses = true",
                                      [HTTP_TO_HEAD] = ", responses = true, method = \"HEAD\"",
                                      [HTTP_TO_CONNECT] =
                                          ", responses = true, method = \"CONNECT\""};
  if (framing->kind == FRAMING_HTTP_RESPONSE) return texts[framing->option.http.answered];
  return framing->option.http.stream_body ? ", stream_body = true" : "";
}

/* The same of framing.resp. */
static const char *describe_replies(const struct framing *framing) {
  if (framing->kind == FRAMING_RESP_REPLY) return ", replies = true";
  return framing->option.resp.reuse ? ", reuse = true" : "";
}

/* Returns the text of all options but max. Pushes it. */
static const char *describe_options(lua_State *L, const struct framing *framing) {
  switch (framing->kind) {
  case FRAMING_DELIMITED:
    push_quoted(L, framing->option.delimited.bytes, framing->option.delimited.length);
    return lua_pushfstring(L, "delimiter = %s", lua_tostring(L, -1));
  case FRAMING_FIXED:
    return lua_pushfstring(L, "size = %I", (LUAI_UACINT)framing->option.fixed.size);
  case FRAMING_PREFIXED:
    return lua_pushfstring(
        L, "format = \"%c%c%d\", offset = %I, adjust = %I, strip = %I",
        framing->option.prefixed.big_endian ? '>' : '<',
        framing->option.prefixed.is_signed ? 'i' : 'I', (int)framing->option.prefixed.width,
        (LUAI_UACINT)framing->option.prefixed.offset, (LUAI_UACINT)framing->option.prefixed.adjust,
        (LUAI_UACINT)framing->option.prefixed.strip);
  case FRAMING_HTTP:
  case FRAMING_HTTP_RESPONSE:
    return lua_pushfstring(
        L, "max_head = %I, max_headers = %I%s", (LUAI_UACINT)framing->option.http.max_head,
        (LUAI_UACINT)framing->option.http.max_headers, describe_responses(framing));
  case FRAMING_RESP:
  case FRAMING_RESP_REPLY:
    return lua_pushfstring(L, "max_arguments = %I%s",
                           (LUAI_UACINT)framing->option.resp.max_arguments,
                           describe_replies(framing));
  default: return lua_pushliteral(L, "");
  }
}

/* __tostring: shows the call that makes the same value. */
static int describe(lua_State *L) {
  const struct framing *framing = &check_framing(L)->framing;
  const char *name = framing_name(framing->kind);
  const char *options = describe_options(L, framing);
  if (framing->max == SIZE_MAX)
    lua_pushfstring(L, *options != 0 ? "framing.%s { %s }" : "framing.%s {%s}", name, options);
  else
    lua_pushfstring(L, "framing.%s { %s%smax = %I }", name, options, *options != 0 ? ", " : "",
                    (LUAI_UACINT)framing->max);
  return 1;
}

/* ---- the module ---------------------------------------------------------------------------- */

static void prepare_values(lua_State *L) {
  static const luaL_Reg methods[] = {{"__call", call}, {"__tostring", describe}, {NULL, NULL}};
  luaL_newmetatable(L, type_name);
  luaL_setfuncs(L, methods, 0);
  framing_value_open(L);
}

static const luaL_Reg constructors[] = {{"line", create_line},
                                        {"delimited", create_delimited},
                                        {"fixed", create_fixed},
                                        {"length_line", create_length_line},
                                        {"prefixed", create_prefixed},
                                        {"netstring", create_netstring},
                                        {"http", create_http},
                                        {"resp", create_resp},
                                        {NULL, NULL}};

int module_framing_open(lua_State *L) {
  http_request_open(L);
  reply_value_open(L);
  prepare_values(L);
  luaL_newlib(L, constructors);
  return 1;
}
