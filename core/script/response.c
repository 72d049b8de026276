#include "script/response.h"

#include <lauxlib.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "script/discard.h"
#include "script/file_value.h"
#include "script/gate.h"
#include "script/sent_file.h"
#include "script/stream.h"
#include "script/stream_pull.h"

static void check_status(lua_State *state, enum status status) {
  if (status == STATUS_NO_MEMORY) gate_raise_no_memory(state);
}

/* The function of the script that returned the response, for complaints. */
struct returned {
  const struct generation *generation;
  enum function function;
};

/* The items of a response. */
struct items {
  bool are_list;     /* The script returned a list, and not a single item. */
  bool is_only;      /* The value at index is the only item, and not a list of items. */
  int index;         /* The place of the item or the list on the stack. */
  lua_Integer count; /* How many items there are. */
  lua_Integer slots; /* The files may be in the slots from 1 to this one (sent_file.h). */
};

static void push_item(lua_State *state, const struct items *items, lua_Integer i) {
  if (items->is_only)
    lua_pushvalue(state, items->index);
  else
    lua_rawgeti(state, items->index, i);
}

static bool is_plain(int type) { return type == LUA_TSTRING || type == LUA_TFUNCTION; }

/* ---- complaints ---------------------------------------------------------------------------- */

/* Pushes the beginning of a complaint. `item` is a place in a list, or 0. */
static const char *push_subject(lua_State *state, const struct returned *returned,
                                lua_Integer item) {
  const char *place = generation_push_place(state, returned->generation, returned->function);
  if (item == 0) return lua_pushfstring(state, "%s returned", place);
  return lua_pushfstring(state, "%s returned a list whose item %I is", place, (LUAI_UACINT)item);
}

/* Raises that the value on the top cannot be sent. `item` is its place in a list, or 0. */
static int complain(lua_State *state, const struct returned *returned, lua_Integer item) {
  const char *type = luaL_typename(state, -1);
  file_value_make_stream(state, -1);
  if (luaL_testudata(state, -1, LUA_FILEHANDLE))
    type = sent_file_is_open(state, -1) ? "file" : "closed file";
  const char *value = luaL_tolstring(state, -1, NULL);
  const char *wanted = item > 0 ? "string, file, function or { file, length }"
                                : "string, file, function, { file, length }, list or nil";
  return luaL_error(state, "%s a %s (%s), not a %s", push_subject(state, returned, item), type,
                    value, wanted);
}

/* ---- looking ------------------------------------------------------------------------------- */

/* Pushes the file of the item at index, and gives how many bytes of it are to be sent. False, with
 * nothing pushed: the item is neither a userdata nor { file = f, length = n } without other fields.
 * Allocates nothing in Lua. */
static bool push_file(lua_State *state, int item, lua_Integer *length) {
  *length = SENT_FILE_WHOLE;
  if (lua_type(state, item) == LUA_TUSERDATA) lua_pushvalue(state, item);
  if (lua_type(state, item) != LUA_TTABLE) return lua_type(state, item) == LUA_TUSERDATA;
  int file = lua_gettop(state) + 1, fields = 0;
  lua_pushnil(state);
  lua_pushnil(state);
  while (lua_next(state, item) != 0 && ++fields <= 2) {
    const char *name = lua_type(state, -2) == LUA_TSTRING ? lua_tostring(state, -2) : "";
    if (strcmp(name, "file") == 0)
      lua_copy(state, -1, file);
    else if (strcmp(name, "length") == 0 && lua_isinteger(state, -1))
      *length = lua_tointeger(state, -1);
    lua_pop(state, 1);
  }
  lua_settop(state, file);
  if (fields == 2 && *length >= 0 && lua_type(state, file) == LUA_TUSERDATA) return true;
  lua_pop(state, 1);
  return false;
}

/* Whether the item on the top has an open file. */
static bool has_open_file(lua_State *state) {
  lua_Integer length;
  if (!push_file(state, lua_gettop(state), &length)) return false;
  bool is_open = sent_file_is_open(state, -1);
  lua_pop(state, 1);
  return is_open;
}

/* Counts the slots that the items need. *has_files: there are items besides strings and functions,
 * which may be files. */
static lua_Integer count_slots(lua_State *state, const struct items *items, bool *has_files) {
  lua_Integer count = 0;
  *has_files = false;
  for (lua_Integer i = 1; i <= items->count; i++) {
    push_item(state, items, i);
    if (!is_plain(lua_type(state, -1))) {
      *has_files = true;
      if (has_open_file(state)) count++;
    }
    lua_pop(state, 1);
  }
  return count;
}

/* ---- making slots -------------------------------------------------------------------------- */

/* Replaces the items by a list that no script can reach, and makes the slots for their files. A
 * finalizer may change the items themselves meanwhile, so the slots are counted again at the end.
 */
static void make_slots(lua_State *state, struct items *items, lua_Integer slots) {
  bool has_files;
  if (!items->is_only) items->count = (lua_Integer)lua_rawlen(state, items->index);
  lua_createtable(state, items->count < INT_MAX ? (int)items->count : INT_MAX, 0);
  if (!items->is_only) items->count = (lua_Integer)lua_rawlen(state, items->index);
  for (lua_Integer i = 1; i <= items->count; i++) {
    push_item(state, items, i);
    lua_rawseti(state, -2, i);
  }
  lua_replace(state, items->index);
  items->is_only = false;
  for (; !sent_file_has_slots(state, slots); slots = count_slots(state, items, &has_files)) {
    items->slots = slots;
    sent_file_make_slots(state, slots);
  }
  items->slots = slots;
}

/* ---- taking -------------------------------------------------------------------------------- */

static int complain_of_same(lua_State *state, const struct returned *returned, lua_Integer one,
                            lua_Integer other) {
  return luaL_error(state, "%s returned a list whose items %I and %I are the same file",
                    generation_push_place(state, returned->generation, returned->function),
                    (LUAI_UACINT)one, (LUAI_UACINT)other);
}

/* Raises that the file on the top is closed, or that an earlier item is the same file. */
static int complain_of_closed(lua_State *state, const struct returned *returned,
                              const struct items *items, lua_Integer item, lua_Integer place) {
  lua_Integer length;
  int file = lua_gettop(state);
  for (lua_Integer i = 1; i < item; i++) {
    push_item(state, items, i);
    if (push_file(state, file + 1, &length) && lua_rawequal(state, -1, file))
      return complain_of_same(state, returned, i, item);
    lua_settop(state, file);
  }
  push_item(state, items, item);
  return complain(state, returned, place);
}

/* Fails the session: the response has the right form, but a file of it cannot be read. */
static void refuse_file(lua_State *state, struct session *session, lua_Integer place,
                        const char *why) {
  char name[PATH_MAX], detail[PATH_MAX + 128], which[32] = "";
  sent_file_name(state, -1, name, sizeof name);
  if (place > 0) snprintf(which, sizeof which, "item %lld of ", (long long)place);
  snprintf(detail, sizeof detail, "%sthe response is a file that %s: %s", which, why, name);
  session_fail(session, REASON_FILE_ERROR, detail);
}

/* Takes the file on the top into the slot. If it is there and cannot be read, fails the session and
 * returns false; if it cannot stand in a response, raises. */
static bool take_file(lua_State *state, struct session *session, const struct returned *returned,
                      const struct items *items, lua_Integer item, lua_Integer place,
                      lua_Integer length, lua_Integer slot) {
  int64_t left = 0;
  int file = lua_gettop(state);
  sent_file_push_slot(state, slot);
  enum sent_file_fault fault = sent_file_take(state, file, file + 1, length, &left);
  lua_pop(state, 1);
  switch (fault) {
  case SENT_FILE_OK: return true;
  case SENT_FILE_CLOSED: return complain_of_closed(state, returned, items, item, place);
  case SENT_FILE_SHORT:
    return luaL_error(state, "%s %I bytes of a file that has %I left",
                      push_subject(state, returned, place), (LUAI_UACINT)length, (LUAI_UACINT)left);
  case SENT_FILE_NOT_REGULAR:
    return luaL_error(state, "%s a part of a file that is no regular one",
                      push_subject(state, returned, place));
  case SENT_FILE_FOLDER: refuse_file(state, session, place, "is a folder"); break;
  case SENT_FILE_WRITE_ONLY:
    refuse_file(state, session, place, "was not opened for reading");
    break;
  }
  return false;
}

/* Takes every file of the items, the nth into the nth slot; or raises, or fails the session and
 * returns false. */
static bool take_files(lua_State *state, struct session *session, const struct returned *returned,
                       const struct items *items) {
  int top = lua_gettop(state);
  lua_Integer slot = 0, length;
  for (lua_Integer i = 1; i <= items->count; i++) {
    lua_Integer place = items->are_list ? i : 0;
    push_item(state, items, i);
    if (!is_plain(lua_type(state, -1))) {
      if (!push_file(state, top + 1, &length)) complain(state, returned, place);
      if (!sent_file_is_open(state, -1)) complain_of_closed(state, returned, items, i, place);
      if (!take_file(state, session, returned, items, i, place, length, ++slot)) return false;
    }
    lua_settop(state, top);
  }
  return true;
}

/* ---- sending ------------------------------------------------------------------------------- */

/* Not inlined, so that the compiler inlines send_string(). */
__attribute__((noinline)) static void hold_string(lua_State *state, struct session *session) {
  size_t length;
  const char *bytes = lua_tolstring(state, -1, &length);
  int reference = luaL_ref(state, LUA_REGISTRYINDEX);
  enum status status = session_send_held(session, bytes, length, reference);
  if (status != STATUS_OK) luaL_unref(state, LUA_REGISTRYINDEX, reference);
  check_status(state, status);
}

static void send_string(lua_State *state, struct session *session) {
  size_t length;
  const char *bytes = lua_tolstring(state, -1, &length);
  if (length < SESSION_HOLD_FROM)
    check_status(state, session_send(session, bytes, length));
  else
    hold_string(state, session);
}

static void send_function(lua_State *state, struct session *session) {
  struct stream *stream = stream_pull_of(state, -1);
  int reference = luaL_ref(state, LUA_REGISTRYINDEX);
  enum status status = session_send_stream(session, reference);
  if (status != STATUS_OK) luaL_unref(state, LUA_REGISTRYINDEX, reference);
  if (status == STATUS_OK && stream) stream_give(stream);
  check_status(state, status);
}

/* The session's reference for a descriptor is negative, unlike those of luaL_ref(). */
static int reference_of(int fd) { return -1 - fd; }

bool response_close_descriptor(int reference) {
  if (reference >= 0) return false;
  close(-1 - reference);
  return true;
}

/* Sends a descriptor. Nothing in Lua goes with it, and the slot stays. */
static void send_descriptor(lua_State *state, struct session *session, struct sent_file *file) {
  int fd = file->fd;
  check_status(state, session_send_file(session, fd, file->offset, file->length, reference_of(fd)));
  file->fd = -1;
}

/* Sends a file that is a FILE *, and gives its slot away with it. Only a file that is pulled is a
 * stream of the session. */
static void send_stdio_file(lua_State *state, struct session *session, const struct sent_file *file,
                            lua_Integer slot) {
  int fd = fileno(file->stream.f);
  int reference = luaL_ref(state, LUA_REGISTRYINDEX);
  enum status status = file->is_pulled
                           ? session_send_stream(session, reference)
                           : session_send_file(session, fd, file->offset, file->length, reference);
  if (status != STATUS_OK) luaL_unref(state, LUA_REGISTRYINDEX, reference);
  check_status(state, status);
  sent_file_give_slot(state, slot);
}

/* Sends the file in the slot. A file without bytes stays there. */
static void send_file(lua_State *state, struct session *session, lua_Integer slot) {
  sent_file_push_slot(state, slot);
  struct sent_file *file = lua_touserdata(state, -1);
  if (!file->is_pulled && file->length == 0) return;
  if (file->fd >= 0)
    send_descriptor(state, session, file);
  else
    send_stdio_file(state, session, file, slot);
}

static void send_items(lua_State *state, struct session *session, const struct items *items) {
  int top = lua_gettop(state);
  lua_Integer slot = 0;
  for (lua_Integer i = 1; i <= items->count; i++) {
    push_item(state, items, i);
    switch (lua_type(state, -1)) {
    case LUA_TSTRING: send_string(state, session); break;
    case LUA_TFUNCTION: send_function(state, session); break;
    default: send_file(state, session, ++slot);
    }
    lua_settop(state, top);
  }
}

/* Closes the files without bytes, which are still in their slots. */
static void close_slots(lua_State *state, lua_Integer slots) {
  for (lua_Integer i = 1; i <= slots; i++) {
    sent_file_push_slot(state, i);
    if (!lua_isnil(state, -1)) sent_file_close(state);
    lua_pop(state, 1);
  }
  sent_file_drop_slots(state, slots);
  sent_file_fill_stock(state);
}

/* Takes all files before the first item is sent, so that all of the response is sent or nothing.
 * Nothing is allocated in Lua in between, so no finalizer can change what was checked. False: the
 * session has failed. */
static bool queue_items(lua_State *state, struct session *session, struct items *items,
                        const struct returned *returned) {
  bool has_files;
  lua_Integer slots = items->slots = count_slots(state, items, &has_files);
  if (!sent_file_has_slots(state, slots)) make_slots(state, items, slots);
  if (!take_files(state, session, returned, items)) return false;
  send_items(state, session, items);
  if (items->slots > 0) close_slots(state, items->slots);
  return true;
}

static bool queue_table(lua_State *state, struct session *session, struct items *items,
                        const struct returned *returned) {
  lua_Integer length;
  int table = items->index;
  *items = (struct items){.are_list = true, .index = table};
  items->count = (lua_Integer)lua_rawlen(state, table);
  if (items->count > 0) {
    stream_pull_wrap_items(state, table);
    return queue_items(state, session, items, returned);
  }
  if (push_file(state, table, &length)) {
    lua_pop(state, 1);
    *items = (struct items){.is_only = true, .index = table, .count = 1};
    return queue_items(state, session, items, returned);
  }
  lua_pushnil(state);
  if (lua_next(state, table) == 0) return true;
  lua_settop(state, table);
  lua_pushliteral(state, "file");
  if (lua_rawget(state, table) == LUA_TNIL)
    luaL_error(state, "%s a table without list items", push_subject(state, returned, 0));
  lua_settop(state, table);
  return complain(state, returned, 0);
}

/* The arguments of queue_files(), and what it returns. */
struct queueing {
  struct session *session;
  const struct returned *returned;
  struct items items;
  bool is_queued;
};

static int queue_files(lua_State *state) {
  struct queueing *queueing = lua_touserdata(state, 1);
  struct session *session = queueing->session;
  struct items *items = &queueing->items;
  queueing->is_queued = lua_istable(state, items->index)
                            ? queue_table(state, session, items, queueing->returned)
                            : queue_items(state, session, items, queueing->returned);
  return 0;
}

/* The server owns the files from here on: if anything goes wrong, it closes those that it does not
 * send. */
static bool queue_protected(lua_State *state, struct session *session,
                            const struct returned *returned) {
  struct queueing queueing = {session, returned, {.is_only = true, .index = 2, .count = 1}, false};
  int value = lua_gettop(state);
  lua_pushcfunction(state, gate_keep_trace);
  lua_pushcfunction(state, queue_files);
  lua_pushlightuserdata(state, &queueing);
  lua_pushvalue(state, value);
  bool is_raised = lua_pcall(state, 2, 0, value + 1) != LUA_OK;
  if (!is_raised && queueing.is_queued) return true;
  discard_response(state, value, queueing.items.slots);
  if (is_raised) lua_error(state);
  return false;
}

/* Most lists have strings and functions only, and nothing that must be closed. */
static bool queue_list(lua_State *state, struct session *session, const struct returned *returned) {
  bool has_files;
  struct items items = {.are_list = true, .index = lua_gettop(state)};
  items.count = (lua_Integer)lua_rawlen(state, items.index);
  (void)count_slots(state, &items, &has_files);
  if (has_files || items.count == 0) return queue_protected(state, session, returned);
  send_items(state, session, &items);
  return true;
}

/* Not inlined, so that the compiler inlines response_queue(). */
__attribute__((noinline)) static bool queue_other(lua_State *state, struct session *session,
                                                  const struct generation *generation,
                                                  enum function function) {
  struct returned returned = {generation, function};
  switch (lua_type(state, -1)) {
  case LUA_TNIL: return true;
  case LUA_TFUNCTION: send_function(state, session); return true;
  case LUA_TTABLE: return queue_list(state, session, &returned);
  case LUA_TUSERDATA:
    if (!stream_pull_wrap(state)) return queue_protected(state, session, &returned);
    send_function(state, session);
    return true;
  default: return complain(state, &returned, 0);
  }
}

/* Most responses are a string. */
bool response_queue(lua_State *state, struct session *session, const struct generation *generation,
                    enum function function) {
  if (lua_type(state, -1) != LUA_TSTRING) return queue_other(state, session, generation, function);
  send_string(state, session);
  return true;
}
