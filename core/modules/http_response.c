#include "modules/http_response.h"

#include <lauxlib.h>
#include <lualib.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "framing/http.h"
#include "modules/http_request.h"

/* The stack of make(): the arguments, a userdata for lines beyond the first FEW, and the iterator
 * of headers that are no plain table. All names and values stay on the stack from ANCHORS on, so
 * that they stay alive. */
enum { REQUEST = 1, STATUS, HEADERS, BODY, LENGTH, ROOM, ITERATOR, ITERATED, ANCHORS };

/* The upvalues of make(). */
enum {
  CLOCK = 1,
  REASONS,   /* The table of reason phrases. */
  DATE,      /* The function that formats a time. */
  SECOND,    /* The time of DATE_TEXT. */
  DATE_TEXT, /* The date that was formatted last. */
  FORMAT,    /* string.format, for errors. */
  PAIRS,
  REQUESTS, /* The metatable of requests that framing.http has made. */
  METHOD,   /* The string "method". */
  HEAD,     /* The string "HEAD". */
  VERSION,  /* The string "version". */
  OLD,      /* The string "1.0". */
  KEEP_ALIVE,
  HANDLER, /* The handler that is named in errors. */
  UPVALUES = HANDLER
};

struct line {
  struct span name, value;
  size_t place; /* The number of the line before sorting. */
};

/* How many lines need no allocation. */
enum { FEW = 16 };

/* What a head is made of. */
struct head {
  int status;
  struct span reason, date;
  struct span body;   /* The body, if it is a string. */
  lua_Integer length; /* The length of the body, unless is_unknown. */
  bool is_unknown;    /* The length of the body is not known. */
  bool has_length;    /* The head has Content-Length. */
  bool is_for_head;   /* The method of the request is HEAD. */
  bool is_old;        /* The version of the request is HTTP/1.0. */
  bool closes;
  bool has_connection; /* The script has set the header Connection. */
  size_t count;        /* How many lines there are. */
  size_t room;         /* How many lines there is room for. */
  struct line *lines;  /* On the C stack of make(), or the userdata at ROOM. */
};

/* Raises the text on the top, after the place of the handler if that is a Lua function. */
static int raise_of(lua_State *L, int handler) {
  lua_Debug about;
  if (!lua_isfunction(L, handler) || lua_iscfunction(L, handler)) return lua_error(L);
  lua_pushvalue(L, handler);
  lua_getinfo(L, ">S", &about);
  lua_pushfstring(L, "%s:%d: handler: ", about.short_src, about.linedefined);
  lua_insert(L, -2);
  lua_concat(L, 2);
  return lua_error(L);
}

static int complain(lua_State *L, const char *format, int first, int second) {
  lua_pushvalue(L, lua_upvalueindex(FORMAT));
  lua_pushstring(L, format);
  luaL_tolstring(L, first, NULL);
  luaL_tolstring(L, second, NULL);
  lua_call(L, 3, 1);
  return raise_of(L, lua_upvalueindex(HANDLER));
}

static struct span span_at(lua_State *L, int index) {
  struct span span;
  span.data = lua_tolstring(L, index, &span.length);
  return span;
}

/* ---- the request --------------------------------------------------------------------------- */

static bool is_plain_request(lua_State *L) {
  if (!lua_istable(L, REQUEST) || !lua_getmetatable(L, REQUEST)) return false;
  bool is = lua_topointer(L, -1) == lua_topointer(L, lua_upvalueindex(REQUESTS));
  lua_pop(L, 1);
  return is;
}

/* Pushes a field of the request. False: it is not there. A request of framing.http does not store
 * the usual values (http_request.h). */
static bool push_of_request(lua_State *L, bool is_plain, int name) {
  lua_pushvalue(L, lua_upvalueindex(name));
  return (is_plain ? lua_rawget(L, REQUEST) : lua_gettable(L, REQUEST)) != LUA_TNIL;
}

static void read_request(lua_State *L, struct head *head) {
  bool is_plain = is_plain_request(L);
  if (push_of_request(L, is_plain, METHOD))
    head->is_for_head = lua_rawequal(L, -1, lua_upvalueindex(HEAD));
  if (push_of_request(L, is_plain, VERSION))
    head->is_old = lua_rawequal(L, -1, lua_upvalueindex(OLD));
  bool is_said = push_of_request(L, is_plain, KEEP_ALIVE);
  head->closes = is_said ? !lua_toboolean(L, -1) : !is_plain;
  lua_pop(L, 3);
}

/* ---- the headers --------------------------------------------------------------------------- */

/* Headers that say how the bytes are framed. A script may not set them. */
static bool is_ours(struct span name) {
  switch (name.length) {
  case 4: return http_is_word(name, "date");
  case 14: return http_is_word(name, "content-length");
  case 17: return http_is_word(name, "transfer-encoding");
  default: return false;
  }
}

static const char *const too_many = "too many headers";

static struct span check_name(lua_State *L, int index) {
  struct span name = {"", 0};
  if (lua_type(L, index) == LUA_TSTRING) name = span_at(L, index);
  if (!http_is_name(name)) complain(L, "%q is no name of a header", index, index);
  if (is_ours(name)) complain(L, "the header %s is made by parlance.http", index, index);
  return name;
}

static bool says_close(struct span value) {
  struct span option;
  while (http_next_element(&value, &option))
    if (http_is_word(option, "close")) return true;
  return false;
}

static void make_room(lua_State *L, struct head *head) {
  size_t room = 2 * head->room;
  struct line *lines = lua_newuserdatauv(L, room * sizeof *lines, 0);
  memcpy(lines, head->lines, head->count * sizeof *lines);
  lua_replace(L, ROOM);
  head->lines = lines;
  head->room = room;
}

/* Adds a line with the value on the top, which becomes a string and stays on the stack. A line
 * ending in a value would begin another header, so it is an error. */
static void add_line(lua_State *L, struct head *head, struct span name, int name_index) {
  struct span value = span_at(L, -1); /* The value may be a number. */
  if (value.data == NULL || !http_is_value(value))
    complain(L, "the header %s cannot have the value %q", name_index, lua_gettop(L));
  if (name.length == 10 && http_is_word(name, "connection")) {
    head->has_connection = true;
    if (says_close(value)) head->closes = true;
  }
  if (head->count == head->room) make_room(L, head);
  head->lines[head->count] = (struct line){name, value, head->count};
  head->count++;
}

/* Raises an error if the list has a nil or other keys, since these values would be left out
 * silently. A list with a metatable is not checked. */
static void check_list(lua_State *L, int list, int name_index) {
  lua_Unsigned count = 0;
  if (lua_getmetatable(L, list)) {
    lua_pop(L, 1);
    return;
  }
  for (lua_pushnil(L); lua_next(L, list) != 0; lua_pop(L, 1)) count++;
  lua_Unsigned length = lua_rawlen(L, list);
  for (lua_Unsigned i = 1; i <= length && count == length; i++) {
    if (lua_rawgeti(L, list, (lua_Integer)i) == LUA_TNIL) count = 0;
    lua_pop(L, 1);
  }
  if (count != length)
    complain(L, "the list of the header %s has a nil in it, or other fields than its items",
             name_index, name_index);
}

/* Adds a line for each item of the list on the top. All strings stay on the stack, so that a
 * metamethod or a finalizer of the script cannot free them. */
static void add_list(lua_State *L, struct head *head, struct span name, int name_index) {
  int list = lua_gettop(L);
  check_list(L, list, name_index);
  for (lua_Integer i = 1; lua_geti(L, list, i) != LUA_TNIL; i++) {
    add_line(L, head, name, name_index);
    luaL_checkstack(L, LUA_MINSTACK, too_many);
  }
}

/* Pops a name and pushes the next name and its value. False: there is none, and nothing is pushed.
 */
static bool next_header(lua_State *L, bool is_plain) {
  if (is_plain) return lua_next(L, HEADERS) != 0;
  lua_pushvalue(L, ITERATOR);
  lua_pushvalue(L, ITERATED);
  lua_rotate(L, -3, 2);
  lua_call(L, 2, 2);
  if (!lua_isnil(L, -2)) return true;
  lua_pop(L, 2);
  return false;
}

/* Adds the headers that pairs() gives. For a table without a metatable lua_next() gives the same.
 */
static void add_headers(lua_State *L, struct head *head) {
  bool is_plain = lua_istable(L, HEADERS) && !lua_getmetatable(L, HEADERS);
  if (is_plain) {
    lua_pushnil(L);
  } else {
    lua_settop(L, ROOM);
    if (!lua_istable(L, HEADERS) && luaL_getmetafield(L, HEADERS, "__pairs") == LUA_TNIL) {
      lua_pushstring(L, luaL_typename(L, HEADERS));
      complain(L, "headers must be a table, not a %s; the body is the third value", lua_gettop(L),
               lua_gettop(L));
    }
    lua_settop(L, ROOM);
    lua_pushvalue(L, lua_upvalueindex(PAIRS));
    lua_pushvalue(L, HEADERS);
    lua_call(L, 1, 3);
  }
  while (next_header(L, is_plain)) {
    int name_index = lua_gettop(L) - 1;
    struct span name = check_name(L, name_index);
    luaL_checkstack(L, LUA_MINSTACK, too_many);
    if (lua_istable(L, -1))
      add_list(L, head, name, name_index);
    else
      add_line(L, head, name, name_index);
    lua_pushvalue(L, name_index);
  }
}

static int compare(const void *left, const void *right) {
  const struct line *one = left, *other = right;
  size_t shorter = one->name.length < other->name.length ? one->name.length : other->name.length;
  int difference = memcmp(one->name.data, other->name.data, shorter);
  if (difference != 0) return difference;
  if (one->name.length != other->name.length) return one->name.length < other->name.length ? -1 : 1;
  return one->place < other->place ? -1 : 1;
}

/* ---- the head ------------------------------------------------------------------------------ */

static void read_status(lua_State *L, struct head *head) {
  lua_Integer status = lua_isinteger(L, STATUS) ? lua_tointeger(L, STATUS) : 0;
  if (status < 200 || status > 599)
    complain(L, "the status must be a whole number from 200 to 599, not %s", STATUS, STATUS);
  head->status = (int)status;
  lua_geti(L, lua_upvalueindex(REASONS), status);
  if (lua_toboolean(L, -1)) {
    head->reason = span_at(L, -1);
    if (head->reason.data == NULL || !http_is_value(head->reason))
      complain(L, "the status %s cannot have the name %q", STATUS, lua_gettop(L));
  }
  lua_replace(L, STATUS);
}

/* Reads the length of the body. False: the length is needed, but was not given. */
static bool read_length(lua_State *L, struct head *head) {
  bool is_told = !lua_isnil(L, LENGTH);
  if (lua_type(L, BODY) == LUA_TSTRING) {
    head->body = span_at(L, BODY);
    head->length = (lua_Integer)head->body.length;
    return true;
  }
  if (is_told && !lua_toboolean(L, LENGTH)) head->is_unknown = true;
  if (is_told && !head->is_unknown) head->length = luaL_checkinteger(L, LENGTH);
  if (head->length < 0) complain(L, "a body cannot have %s bytes", LENGTH, LENGTH);
  return is_told || lua_isnil(L, BODY);
}

/* Decides what the head says of the body: RFC 9110, 6.4.1, and RFC 9112, 6.3. */
static void judge_body(lua_State *L, struct head *head) {
  bool is_none = lua_isnil(L, BODY), has_no_body = head->status == 204 || head->status == 304;
  if (has_no_body && (head->is_unknown || head->length > 0)) {
    lua_pushinteger(L, head->status);
    complain(L, "a response with status %s has no body", lua_gettop(L), lua_gettop(L));
  }
  head->has_length = !head->is_unknown && !has_no_body && !(head->is_for_head && is_none);
  if (head->is_for_head) head->body.length = 0;
  /* In HTTP/1.0 a body of unknown length ends with the connection. */
  if (head->is_unknown && head->is_old && !head->is_for_head) head->closes = true;
}

/* Reads the date, which is formatted once a second. The string stays on the stack: a finalizer may
 * make a response meanwhile, and replace the date in the upvalue. */
static void read_date(lua_State *L, struct head *head) {
  const struct script_clock *clock = lua_touserdata(L, lua_upvalueindex(CLOCK));
  lua_Integer second =
      clock ? (lua_Integer)floor(clock->real) : clock_coarse_real_milliseconds() / 1000;
  if (lua_isnil(L, lua_upvalueindex(DATE_TEXT)) ||
      second != lua_tointeger(L, lua_upvalueindex(SECOND))) {
    lua_pushvalue(L, lua_upvalueindex(DATE));
    lua_pushinteger(L, second);
    lua_call(L, 1, 1);
    luaL_checkstring(L, -1);
    lua_replace(L, lua_upvalueindex(DATE_TEXT));
    lua_pushinteger(L, second);
    lua_replace(L, lua_upvalueindex(SECOND));
  }
  lua_pushvalue(L, lua_upvalueindex(DATE_TEXT));
  head->date = span_at(L, -1);
}

static char *put(char *at, struct span bytes) {
  if (bytes.length > 0) memcpy(at, bytes.data, bytes.length);
  return at + bytes.length;
}

static char *put_text(char *at, const char *text) {
  return put(at, (struct span){text, strlen(text)});
}

/* The most bytes of a head without the reason, the date and the script's lines. */
enum { REST_MAX = 128, DIGITS_MAX = 20 };

static char *put_number(char *at, lua_Integer number) {
  char digits[DIGITS_MAX];
  size_t left = DIGITS_MAX;
  do {
    digits[--left] = (char)('0' + number % 10);
    number /= 10;
  } while (number > 0);
  return put(at, (struct span){digits + left, DIGITS_MAX - left});
}

static char *put_line(char *at, const struct line *line) {
  at = put(at, line->name);
  at = put_text(at, ": ");
  at = put(at, line->value);
  return put_text(at, "\r\n");
}

static char *put_head(char *at, const struct head *head) {
  at = put_text(at, "HTTP/1.1 ");
  at = put_number(at, head->status);
  at = put_text(at, " ");
  at = put(at, head->reason);
  at = put_text(at, "\r\nDate: ");
  at = put(at, head->date);
  at = put_text(at, "\r\n");
  for (size_t i = 0; i < head->count; i++) at = put_line(at, &head->lines[i]);
  if (head->has_length) {
    at = put_text(at, "Content-Length: ");
    at = put_number(at, head->length);
    at = put_text(at, "\r\n");
  } else if (head->is_unknown && !head->is_old) {
    at = put_text(at, "Transfer-Encoding: chunked\r\n");
  }
  if (head->closes != head->is_old && !head->has_connection)
    at = head->closes ? put_text(at, "Connection: close\r\n")
                      : put_text(at, "Connection: keep-alive\r\n");
  return put_text(at, "\r\n");
}

/* Pushes the response. A long body is copied only once. */
static void push_response(lua_State *L, const struct head *head) {
  enum { SHORT = LUAL_BUFFERSIZE / 2 };
  luaL_Buffer buffer;
  bool is_short = head->body.length <= SHORT;
  size_t most = REST_MAX + head->reason.length + head->date.length;
  for (size_t i = 0; i < head->count; i++)
    most += head->lines[i].name.length + head->lines[i].value.length + sizeof ": \r\n" - 1;
  if (is_short) most += head->body.length;
  char *start = luaL_buffinitsize(L, &buffer, most);
  char *end = put_head(start, head);
  if (is_short) end = put(end, head->body);
  luaL_pushresultsize(&buffer, (size_t)(end - start));
  if (is_short) return;
  lua_pushvalue(L, BODY);
  lua_concat(L, 2);
}

/* make(request, status, headers, body, length) */
static int make(lua_State *L) {
  struct line few[FEW];
  struct head head = {.room = FEW, .lines = few};
  lua_settop(L, ITERATED);
  if (!read_length(L, &head)) return 0;
  read_status(L, &head);
  read_request(L, &head);
  if (lua_toboolean(L, HEADERS)) add_headers(L, &head);
  if (head.count > 1) qsort(head.lines, head.count, sizeof *head.lines, compare);
  judge_body(L, &head);
  read_date(L, &head);
  push_response(L, &head);
  lua_pushboolean(L, head.closes);
  return 2;
}

/* complain(text): the upvalue is the handler. */
static int complain_of_text(lua_State *L) {
  luaL_checkstring(L, 1);
  lua_settop(L, 1);
  return raise_of(L, lua_upvalueindex(1));
}

/* new(reasons, date, handler) */
static int new_maker(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 3);
  lua_pushvalue(L, 3);
  lua_pushcclosure(L, complain_of_text, 1);
  lua_rotate(L, 1, 2); /* The handler and complain() come first. */
  lua_pushvalue(L, lua_upvalueindex(CLOCK));
  lua_insert(L, 3);
  lua_pushinteger(L, 0);
  lua_pushnil(L);
  lua_getglobal(L, LUA_STRLIBNAME);
  lua_getfield(L, -1, "format");
  lua_remove(L, -2);
  lua_getglobal(L, "pairs");
  http_request_push_metatable(L);
  lua_pushliteral(L, "method");
  lua_pushliteral(L, "HEAD");
  lua_pushliteral(L, "version");
  lua_pushliteral(L, "1.0");
  lua_pushliteral(L, "keep_alive");
  lua_pushvalue(L, 1);
  lua_pushcclosure(L, make, UPVALUES);
  lua_pushvalue(L, 2);
  return 2;
}

void http_response_push(lua_State *L, const struct script_clock *clock) {
  lua_createtable(L, 0, 2);
  lua_pushcfunction(L, http_request_goes_on);
  lua_setfield(L, -2, "goes_on");
  lua_pushlightuserdata(L, (void *)clock);
  lua_pushcclosure(L, new_maker, CLOCK);
  lua_setfield(L, -2, "new");
}
