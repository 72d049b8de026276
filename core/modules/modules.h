/* modules.h: opens the modules of a script's Lua state besides Lua's own libraries. */
#ifndef MODULES_MODULES_H
#define MODULES_MODULES_H

#include "script/script.h"

/* A script_opener. Opens parlance, parlance.framing, parlance.files, parlance.datagrams,
 * parlance.net, parlance.process and the C part of parlance.http, and has require "socket" give
 * parlance.socket. In a simulated script it also replaces the standard functions that read the
 * time, print, or have effects on the machine. */
void modules_open(struct lua_State *state, const struct script_options *options,
                  const char *service);

/* To be called when a play of a simulated script begins: math.random() gives the same numbers
 * again. */
void modules_begin_play(struct script *script);

#endif
