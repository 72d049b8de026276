/* temp.h: the folders that simulated scripts may write to. Each loaded script has one. */
#ifndef SIMULATOR_TEMP_H
#define SIMULATOR_TEMP_H

#include <lua.h>
#include <stddef.h>

/* A list of paths in a folder. All zeros: an empty list. */
struct temp_contents {
  char **paths;
  size_t count;
};

/* From now on all folders are made in one parent folder. A second process removes it when this
 * process ends, also when it is killed. */
void temp_keep_clean(void);

/* Removes the parent folder at once. */
void temp_end(void);

/* make_temp(folder): makes a folder in this one and returns its absolute path without symbolic
 * links; or nil and why not. */
int temp_make(lua_State *L);

/* Adds the paths of all that is in the folder to the list, as far as there is memory for it. */
void temp_note(const char *path, struct temp_contents *contents);

/* Frees the list. */
void temp_forget(struct temp_contents *contents);

/* Removes all that is in the folder except the paths in the list. */
void temp_empty(const char *path, const struct temp_contents *contents);

/* Removes the folder and all that is in it. */
void temp_remove(const char *path);

#endif
