#include "script/memory.h"

#include <stdlib.h>

void *memory_allocate(void *context, void *block, size_t old_size, size_t new_size) {
  struct memory *memory = context;
  if (!block) old_size = 0; /* Lua tells the kind of object here instead */
  if (new_size == 0) {
    free(block);
    memory->used -= old_size;
    return NULL;
  }
  if (new_size > old_size && new_size - old_size > memory->limit - memory->used) return NULL;
  void *moved = block ? realloc(block, new_size) : malloc(new_size);
  if (!moved) {
    if (new_size > old_size) return NULL;
    moved = block; /* Lua takes for granted that a block can always shrink */
  }
  memory->used += new_size;
  memory->used -= old_size;
  return moved;
}
