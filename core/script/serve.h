/* serve.h: does in Lua what a session asks of its handler.
 *
 * One entry through the gate serves every step that a session has ready: all the requests of a
 * pipelined batch, say. */
#ifndef SCRIPT_SERVE_H
#define SCRIPT_SERVE_H

#include "session/handler.h"

struct generation;

/* The functions of every generation's handler: each handler that it is given to is a struct
 * generation. */
extern const struct handler serve_handler;

/* Frees the tasks of a generation that rest. It has no session. Cannot raise. */
void serve_end(struct generation *generation);

#endif
