/* places.h: where what comes with the server lies on this machine, found from where the binary is.
 */
#ifndef CLI_PLACES_H
#define CLI_PLACES_H

/* The folder of the Lua modules: where it was installed beside the binary's folder, or two above it
 * in a build tree. NULL: neither is there. */
const char *places_modules(void);

/* The folder of the C modules, for spec runners; NULL likewise. */
const char *places_c_modules(void);

#endif
