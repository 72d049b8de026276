/* disk.h: what Lua's io library lacks for a program that lists folders, and that makes files and
 * must destroy none. */
#ifndef SIMULATOR_DISK_H
#define SIMULATOR_DISK_H

#include <lua.h>
#include <stddef.h>

/* Pushes a table with
 *
 *   is_there(path)         whether there is anything of that name, if only a link to nowhere
 *   make_folder(path)      true: it was made; false: there is one already
 *   make_file(path, text)  true: it was made, and was not there before
 *
 * The last two give nil and a message where they fail. */
void disk_push(lua_State *L);

/* list(folder): the sorted names of what is in it; nil, why not, and whether it is absent. */
int disk_list(lua_State *L);

/* Writes all of it: 0, or errno. */
int disk_write(int fd, const char *text, size_t length);

#endif
