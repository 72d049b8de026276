/* file_value.h: a file that a script has opened beneath a root (module_files.h).
 *
 * It is a descriptor and nothing more, and stands at its beginning, until the script first uses it:
 * then it becomes a stream of the io library. Most are only sent. */
#ifndef SCRIPT_FILE_VALUE_H
#define SCRIPT_FILE_VALUE_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

/* Its metatable is that of streams once it is one. */
struct file_value {
  luaL_Stream stream; /* at the beginning, as the io library has it */
  int fd;             /* -1 if there is none */
  uint64_t serial;    /* of the response that it was last met in; 0: none */
  int64_t size;       /* when it was opened */
};

/* Prepares the state, once: the io library comes to know such files. The library must be there. */
void file_value_open(lua_State *state);

/* Pushes a file without a descriptor, which the caller gives it, with the size: it is Lua's from
 * then on. (So that no error on the way can lose one that is open.) */
struct file_value *file_value_push(lua_State *state);

/* False if the value at index is anything but an open file that is still no stream. Otherwise gives
 * its descriptor and the bytes that it had when it was opened. It is a regular file. */
bool file_value_look(lua_State *state, int index, int *fd, int64_t *size);

/* Notes that such a file stands in the response of this number; false if that was noted before. */
bool file_value_mark(lua_State *state, int index, uint64_t serial);

/* Gives the descriptor of such a file to the caller; for the script it is closed from here on.
 * Raises nothing. */
void file_value_take(lua_State *state, int index);

/* Closes such a file, for the script as well. Raises nothing. */
void file_value_close(lua_State *state, int index);

/* Makes a stream of such a file; leaves anything else alone. May raise. */
void file_value_make_stream(lua_State *state, int index);

/* Notes that the script is going to open such files. May raise. */
void file_value_note_use(lua_State *state);

/* Whether that was noted in this state. */
bool file_value_is_used(lua_State *state);

#endif
