/* sent_file.h: takes the files of a response from the script.
 *
 * From then on the server owns a file and closes it; for the script it is closed. A file is taken
 * into a slot, which must exist before: a finalizer of the script may run at any allocation in Lua,
 * and close or change anything, so nothing is allocated between the look at a file and the taking
 * of it. Slots have numbers from 1. The first few are always in stock, so that a response with few
 * files allocates nothing at all. */
#ifndef SCRIPT_SENT_FILE_H
#define SCRIPT_SENT_FILE_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "session/steps.h"

/* The length for sent_file_take() that means all that is left of the file. */
enum { SENT_FILE_WHOLE = -1 };

/* A slot, and the file in it. Here a stream is a luaL_Stream, the FILE * of Lua's io library, and
 * not a stream of the session. A file that is one of the io library's keeps its stream, because
 * only the function that belongs to the stream can close it, and takes a userdata with it. So a
 * slot is a userdata of the io library's class (which allows further fields behind a luaL_Stream):
 * closed, but for the time that it has a stream. */
struct sent_file {
  luaL_Stream stream; /* Must be the first field, for the io library. */
  int fd;             /* The descriptor of a file that is no stream; -1: none. */
  bool is_pulled;     /* The stream is read piece by piece: its length is not known. */
  int64_t offset;     /* If it is not pulled, the first byte to be sent ... */
  size_t length;      /* ... and the number of bytes. */
};

enum sent_file_fault {
  SENT_FILE_OK,
  SENT_FILE_CLOSED,      /* There is no open file at the index. */
  SENT_FILE_WRITE_ONLY,  /* The file was not opened for reading. */
  SENT_FILE_FOLDER,      /* The file is a folder, which cannot be read. */
  SENT_FILE_NOT_REGULAR, /* A part is wanted, and the file is no regular one. */
  SENT_FILE_SHORT        /* Fewer bytes are left, *left, than are wanted. */
};

/* Prepares the state, once: makes the stock of slots. May raise. */
void sent_file_open(lua_State *state);

/* Whether the value at index is an open file. Allocates nothing in Lua. */
bool sent_file_is_open(lua_State *state, int index);

/* Whether the slots from 1 to `count` exist. Allocates nothing in Lua. */
bool sent_file_has_slots(lua_State *state, lua_Integer count);

/* Makes those of the slots from 1 to `count` that are missing. May raise. */
void sent_file_make_slots(lua_State *state, lua_Integer count);

/* Pushes the slot of this number, or nil if it was given away. Allocates nothing in Lua. */
void sent_file_push_slot(lua_State *state, lua_Integer slot);

/* Gives the slot of this number away: the caller has pushed it, and owns what is in it. Allocates
 * nothing in Lua. */
void sent_file_give_slot(lua_State *state, lua_Integer slot);

/* Closes the descriptors in the first `count` slots, and drops the slots that exceed the stock.
 * Allocates nothing in Lua. */
void sent_file_drop_slots(lua_State *state, lua_Integer count);

/* Makes the stock full again. May raise. */
void sent_file_fill_stock(lua_State *state);

/* Takes the file at index `theirs` into the slot at index `ours`, if `length` bytes of it can be
 * sent from its position on; otherwise the script keeps it. Raises if a stream cannot be made of
 * it. Allocates nothing in Lua before. */
enum sent_file_fault sent_file_take(lua_State *state, int theirs, int ours, lua_Integer length,
                                    int64_t *left);

/* Writes the name of the file that the value at index has open, or "" if it has no name. */
void sent_file_name(lua_State *state, int index, char *name, size_t size);

/* Queues the next piece of the pulled file on the top, at most `blocksize` bytes. May raise. */
void sent_file_pull(lua_State *state, struct session *session, size_t blocksize);

/* Closes the file at index if that needs no Lua function: a file of io.open, io.popen or
 * parlance.files (which may have become a stream), or a closed one. It cannot fail, needs no
 * memory, and does not wait for the end of a program. False: the file is of another kind, and still
 * open. */
bool sent_file_close_plain(lua_State *state, int index);

/* Closes the file on the top, and leaves it there. Files of other kinds are closed with the
 * function that belongs to the stream. May raise. */
void sent_file_close(lua_State *state);

#endif
