/* connections.h: the simulated connections of one script. Private to this room. */
#ifndef SIMULATOR_CONNECTIONS_H
#define SIMULATOR_CONNECTIONS_H

#include <lua.h>
#include <stdint.h>

#include "script/script.h"
#include "simulator/temp.h"
#include "simulator/upstreams.h"

struct simulated_connection;

/* One script with its simulated time and its connections. Lua has it as a userdata, whose user
 * values hold the strings of the options. */
struct simulation {
  struct script *script; /* NULL: it was closed. */
  struct script_clock clock;
  struct world world;                       /* The timers and the run queue of the script. */
  struct upstreams upstreams;               /* The network of that world. */
  double loaded_at;                         /* The value of clock.real when it was loaded. */
  int64_t now;                              /* Time since it was loaded, in ms. */
  struct simulated_connection *connections; /* Those that are open, in their order. */
  lua_Integer answers;                      /* How many datagrams the script has sent. */
  struct script_sandbox sandbox;
  bool allows_effects;         /* The script does not run in the sandbox. */
  struct temp_contents loaded; /* The files in the script's folder after loading. */
};

/* script:open(options). The script stands at index 1. */
int connections_open(lua_State *L, struct simulation *simulation);

/* script:datagram(bytes, options). The script stands at index 1. */
int connections_datagram(lua_State *L, struct simulation *simulation);

/* Expires the timers that are due at simulation->now, in the order of their times, and runs the run
 * queue, until nothing is left to do at this instant. False: there is no end of it, which is logged
 * as an error. */
bool connections_settle(struct simulation *simulation);

/* Returns when the next event is due that a task waits for, or CLOCK_NEVER. */
int64_t connections_task_deadline(const struct simulation *simulation);

/* Migrates connections that are between two requests to the newest version of the script. */
void connections_migrate(struct simulation *simulation);

/* Closes all connections. */
void connections_close(struct simulation *simulation);

/* Registers the class. */
void connections_register(lua_State *L);

#endif
