/* disk.h: functions for files that Lua's io library lacks. */
#ifndef SIMULATOR_DISK_H
#define SIMULATOR_DISK_H

#include <lua.h>
#include <stddef.h>

/* Pushes a table with
 *
 *   exists(path)           whether a file, folder or link has this path
 *   make_folder(path)      returns true if it made the folder, false if there is one already
 *   make_file(path, text)  makes a new file and returns true; never changes an existing file
 *
 * The last two return nil and a message when they fail. */
void disk_push(lua_State *L);

/* list(folder): returns the sorted names of the entries; or nil, why not, and whether the folder
 * does not exist. */
int disk_list(lua_State *L);

/* Writes all bytes. Returns 0, or errno. */
int disk_write(int fd, const char *text, size_t length);

#endif
