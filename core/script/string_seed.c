#include "script/string_seed.h"

#include <time.h>

/* The seed while a state is made, else 0. The process has one time(), so this is global. */
static uint32_t current;

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
time_t time(time_t *place) {
  struct timespec now = {.tv_sec = (time_t)current};
  if (current == 0) clock_gettime(CLOCK_REALTIME_COARSE, &now);
  if (place) *place = now.tv_sec;
  return now.tv_sec;
}

/* The arguments and the environment of the program lie at the top of the stack. The address of a
 * variable depends on their size, but not once the stack is filled up to the next multiple of this
 * number. */
enum { STACK_STEP = 256 * 1024 };

__attribute__((noinline)) static lua_State *new_state_below(lua_Alloc allocate, void *context) {
  char here;
  volatile char filling[((uintptr_t)&here & (STACK_STEP - 1)) + 1];
  filling[0] = 0;
  lua_State *state = lua_newstate(allocate, context);
  return filling[0] == 0 ? state : NULL; /* It is 0; so the call above is no tail call. */
}

lua_State *string_seed_new_state(lua_Alloc allocate, void *context, uint32_t seed) {
  if (seed == 0) return lua_newstate(allocate, context);
  current = seed;
  lua_State *state = new_state_below(allocate, context);
  current = 0;
  return state;
}
