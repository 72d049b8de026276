/* temp.h: folders that simulated scripts may write to: one for each script that is loaded. */
#ifndef SIMULATOR_TEMP_H
#define SIMULATOR_TEMP_H

#include <lua.h>
#include <stddef.h>

/* What the folder held when it was last noted: it stays when the folder is emptied. All zeros:
 * nothing. */
struct temp_contents {
  char **paths;
  size_t count;
};

/* From now on all folders lie in one, which a process beside this one removes when this one has
 * ended, however that was. temp_end() removes it at once. */
void temp_keep_clean(void);
void temp_end(void);

/* make_temp(folder): makes one in this folder, and gives its path: as realpath() does. Nil and why
 * not. */
int temp_make(lua_State *L);

/* Notes what is in the folder. What there is no memory for is not noted. */
void temp_note(const char *path, struct temp_contents *contents);
void temp_forget(struct temp_contents *contents);

/* Removes all that is in the folder, but not what was noted; it may be NULL. */
void temp_empty(const char *path, const struct temp_contents *contents);

/* Removes the folder and all that is in it. */
void temp_remove(const char *path);

#endif
