/* searcher.h: modules in a folder that package.path cannot name, because it has a ";" or "?" in its
 * name. */
#ifndef RELOAD_SEARCHER_H
#define RELOAD_SEARCHER_H

#include <lua.h>
#include <stdbool.h>

/* Whether package.path can name the folder. */
bool searcher_is_path(const char *folder);

/* Puts FOLDER/?.lua and FOLDER/?/init.lua before package.path at index, or, where that cannot name
 * the folder, makes Lua's require look there before it looks along package.path. `package` is
 * the index of that table. May raise. */
void searcher_add(lua_State *state, int package, const char *folder);

/* Pushes "FOLDER/a/b.lua" (nth is 0) or "FOLDER/a/b/init.lua" (1) for the module "a.b". May raise.
 */
const char *searcher_push_file(lua_State *state, const char *folder, const char *module, int nth);
enum { SEARCHER_FILES = 2 };

#endif
