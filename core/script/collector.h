/* collector.h: Lua's garbage, collected in small steps while nobody waits. */
#ifndef SCRIPT_COLLECTOR_H
#define SCRIPT_COLLECTOR_H

#include <stdbool.h>
#include <stddef.h>

struct collector {
  bool is_dirty;     /* something was done since the collection at hand, or the last one, began */
  unsigned cycles;   /* of Lua's collector that are left of the one at hand; 0: none is under way */
  size_t steps_left; /* then it is given up */
  size_t used;       /* bytes, when it began, */
  size_t kept;       /* and when memory was last given back to the system */
};

#endif
