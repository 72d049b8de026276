/* banner.h: the first lines for a person who starts the server in a terminal. */
#ifndef CLI_BANNER_H
#define CLI_BANNER_H

#include <stdio.h>

#include "base/span.h"
#include "io/address.h"

/* Says on standard error what is served, where, and one command to try it with. `port` is the real
 * one; `example` is what the script says that a client may send, or empty. */
void banner_print(const char *service, const char *path, const struct address *address,
                  unsigned port, struct span example);

/* Prints bytes as an argument of printf(1), to stand between single quotes. */
void banner_print_escaped(FILE *file, struct span bytes);

#endif
