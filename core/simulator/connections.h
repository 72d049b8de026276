/* connections.h: the conversations with a script in the simulator. Private to the simulator room.
 */
#ifndef SIMULATOR_CONNECTIONS_H
#define SIMULATOR_CONNECTIONS_H

#include <lua.h>
#include <stdint.h>

#include "script/script.h"
#include "simulator/temp.h"

struct simulated_connection;

/* A script as Lua has it: a userdata whose user values keep its options' texts. */
struct simulation {
  struct script *script; /* NULL once it is closed */
  struct script_clock clock;
  double began;                             /* what clock.real was when it was loaded */
  int64_t now;                              /* ms since it was loaded, what its sessions go by */
  struct simulated_connection *connections; /* those that live */
  struct script_sandbox sandbox;
  bool is_free;                /* it is not in the sandbox, which still knows its folder */
  struct temp_contents loaded; /* what was in that when it had been loaded */
};

/* script:open(options), with the script, which was checked, at index 1. */
int connections_open(lua_State *L, struct simulation *simulation);

/* Lets the limits of time run out that end at simulation->now or before. */
void connections_expire(struct simulation *simulation);

/* When the next of them ends; CLOCK_NEVER: none does. */
int64_t connections_next_deadline(const struct simulation *simulation);

/* Those that are between two requests get the newest version of the script. */
void connections_move(struct simulation *simulation);

/* Ends them all, so that the script can be closed. */
void connections_close(struct simulation *simulation);

/* Adds the class to the registry. */
void connections_register(lua_State *L);

#endif
