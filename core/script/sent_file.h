/* sent_file.h: a file of a response, from when the script has returned it.
 *
 * The core owns it then, and closes it; for the script it is closed. A finalizer of the script may
 * run whenever Lua allocates, and close or change anything. So a file is taken in two steps: first
 * the room for it is made, then it is looked at and taken without an allocation in between. Some
 * rooms are kept in stock, so that nothing at all runs between the return of a few files and their
 * being taken. */
#ifndef SCRIPT_SENT_FILE_H
#define SCRIPT_SENT_FILE_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "session/steps.h"

/* For sent_file_take(): all that is left of the file. */
enum { SENT_FILE_WHOLE = -1 };

struct sent_file {
  luaL_Stream stream; /* at the beginning, as the io library has it */
  bool is_pulled;     /* it is read piece by piece; otherwise it is sent from its descriptor: */
  int64_t offset;     /* from here */
  size_t length;      /* so many bytes */
};

enum sent_file_fault {
  SENT_FILE_OK,
  SENT_FILE_CLOSED,      /* there is no open file at the index */
  SENT_FILE_WRITE_ONLY,  /* it was not opened for reading */
  SENT_FILE_FOLDER,      /* it is a folder, which cannot be read */
  SENT_FILE_NOT_REGULAR, /* a part is wanted, of a file that is no regular one */
  SENT_FILE_SHORT        /* *left bytes are left of it, which is less than what is wanted */
};

/* The open stream of the io library at index; NULL if something else is there, or if it has been
 * closed. Allocates nothing in Lua. */
luaL_Stream *sent_file_stream(lua_State *state, int index);

/* Prepares the state, once: there is a stock of rooms from then on. May raise. */
void sent_file_open(lua_State *state);

/* Whether there are the rooms from 1 to `count`. Allocates nothing in Lua. */
bool sent_file_has_rooms(lua_State *state, lua_Integer count);

/* Sees to it that there are. May raise. */
void sent_file_make_rooms(lua_State *state, lua_Integer count);

/* Pushes the room of this number, which holds no file at first, and is closed as long as it does
 * not; nil if it was given away. Allocates nothing in Lua. */
void sent_file_push_room(lua_State *state, lua_Integer room);

/* The room of this number belongs to somebody else from here on. Allocates nothing in Lua. */
void sent_file_give_room(lua_State *state, lua_Integer room);

/* Of the first `count` rooms, forgets those that are more than the stock has. Allocates nothing in
 * Lua. */
void sent_file_drop_rooms(lua_State *state, lua_Integer count);

/* Makes the stock full again. May raise. */
void sent_file_fill_stock(lua_State *state);

/* Moves the file at `theirs` into the room at `ours` if `length` bytes of it can be sent, from
 * where it stands; otherwise it stays where it is. Allocates nothing in Lua. */
enum sent_file_fault sent_file_take(lua_State *state, int theirs, int ours, lua_Integer length,
                                    int64_t *left);

/* Writes the name of what is open as the descriptor, or "" if it has none. */
void sent_file_name(int fd, char *name, size_t size);

/* Queues the next piece, at most `blocksize` bytes, of the file on the top of the stack. */
void sent_file_pull(lua_State *state, struct session *session, size_t blocksize);

/* Closes the open stream if it is one of io.open or io.popen, with nothing of Lua: it cannot fail,
 * needs no memory, and does not wait for the end of a program. False: it is something else. */
bool sent_file_close_plain(luaL_Stream *stream);

/* Closes the file on the top of the stack, if there is one; the value stays there. As its own
 * `close` does, which a script may have replaced. May raise. */
void sent_file_close(lua_State *state);

#endif
