/* file_value.h: a file that a script has opened beneath a root (modules/module_files.h).
 *
 * Most such files are only sent, so a file is nothing but a descriptor until the script uses it. */
#ifndef SCRIPT_FILE_VALUE_H
#define SCRIPT_FILE_VALUE_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

/* A userdata with a metatable of its own, as long as it is a descriptor. At the first use by the
 * script (a method, a function of the io library) `stream` is set up, the descriptor is the
 * stream's from then on, and the metatable becomes that of the io library's files:
 * file_value_make_stream() does that, and nothing else changes the class. A file without a
 * descriptor is a closed one. */
struct file_value {
  luaL_Stream stream; /* Must be the first field, for the io library. */
  int fd;             /* -1: it is closed, or has become a stream. */
  int64_t size;       /* Bytes when it was opened. */
};

/* Prepares the state, once: the io library learns of such files. The library must be loaded. */
void file_value_open(lua_State *state);

/* Pushes a closed file. The caller sets its descriptor and size; from then on Lua owns the
 * descriptor. (The userdata exists before the descriptor, so that no error can leak one.) */
struct file_value *file_value_push(lua_State *state);

/* Gives the open file at index that has not become a stream; NULL if the value is anything else.
 * The file is a regular one. Allocates nothing in Lua. */
struct file_value *file_value_test(lua_State *state, int index);

/* Takes the descriptor: the caller owns it, and for the script the file is closed. */
int file_value_take(struct file_value *file);

/* Makes a stream of the value at index if it is such a file, open or closed. May raise. */
void file_value_make_stream(lua_State *state, int index);

/* The closef of such a stream: it needs nothing but fclose(). */
int file_value_close_stream(lua_State *state);

/* Notes that the script is going to open such files. May raise. */
void file_value_note_use(lua_State *state);

/* Whether that was noted in this state. */
bool file_value_is_used(lua_State *state);

#endif
