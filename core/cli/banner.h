/* banner.h: the first lines for a person who starts the server in a terminal. */
#ifndef CLI_BANNER_H
#define CLI_BANNER_H

#include <stdio.h>

#include "base/span.h"
#include "io/address.h"

/* Prints on standard error what is served, the address, and a command to try it with. `port` is the
 * port that the server listens on; `example` is the script's example of a request, or empty. */
void banner_print(const char *service, const char *path, const struct address *address,
                  unsigned port, struct span example);

/* Prints bytes as an argument of printf(1) that stands between single quotes. */
void banner_print_escaped(FILE *file, struct span bytes);

#endif
