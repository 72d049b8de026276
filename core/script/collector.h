/* collector.h: collects Lua's garbage in small steps while no request waits. */
#ifndef SCRIPT_COLLECTOR_H
#define SCRIPT_COLLECTOR_H

#include <stdbool.h>
#include <stddef.h>

struct collector {
  bool is_dirty;     /* The script was called after the last collection began. */
  unsigned cycles;   /* Cycles of Lua's collector left in this collection; 0: none is running. */
  size_t steps_left; /* The collection is given up when no step is left. */
  size_t used;       /* Bytes in use when the collection began. */
  size_t kept;       /* Bytes in use when memory was last returned to the system. */
};

#endif
