/* paths.h: the paths of what is installed with the server, relative to the binary. */
#ifndef CLI_PATHS_H
#define CLI_PATHS_H

/* Returns the folder of the Lua modules, installed or in a build tree. NULL: there is none. */
const char *paths_modules(void);

/* Returns the folder of the C modules for spec runners, or NULL. */
const char *paths_c_modules(void);

#endif
