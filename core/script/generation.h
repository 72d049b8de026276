/* generation.h: one version of a protocol, loaded and validated.
 *
 * What the core needs of it at every request is looked up here once, at load. */
#ifndef SCRIPT_GENERATION_H
#define SCRIPT_GENERATION_H

#include <lua.h>
#include <stdbool.h>

#include "script/framing_value.h"
#include "session/handler.h"

struct script;
struct sources;
struct task;

/* The functions of a protocol, in the order of generation_function_name(). */
enum function {
  FUNCTION_REQUEST_COMPLETE,
  FUNCTION_MAKE_RESPONSE,
  FUNCTION_HANDLE_CONNECT,
  FUNCTION_HANDLE_EXPECT,
  FUNCTION_HANDLE_ERROR,
  FUNCTION_HANDLE_CLOSE,
  FUNCTION_SAVE,
  FUNCTION_RESTORE,
  FUNCTION_COUNT
};

/* Longest `listen` and `example` of a script, in bytes. */
enum { LISTEN_MAX = 256, EXAMPLE_MAX = 4096 };

/* The most that one read of a file response may take, in bytes. */
enum { BLOCKSIZE_MAX = 16 * 1024 * 1024 };

/* What `roots` holds, by number. */
enum root { ROOT_PROTOCOL = 1, ROOT_GLOBALS, ROOT_SOURCES };

struct generation {
  struct handler handler; /* first, so that a handler is its generation */
  struct script *script;
  struct generation *next; /* of those that have a successor and still have conversations */
  unsigned number;         /* from 1 on */
  int64_t since;           /* when it began to serve, in ms */
  uint64_t fingerprint;    /* of its sources when it had been loaded */
  struct sources *sources; /* Lua's, behind `roots`; NULL before it is prepared */
  struct framing framing;  /* what handler.framing points to, if anything */
  framing_push_request *push_request; /* Of that framing. */
  struct task *first_task; /* The tasks that have not ended, in the order of their making. */
  struct task *last_task;
  int functions[FUNCTION_COUNT]; /* references; LUA_NOREF where there is none */
  int input_key;        /* The reference of "request" with a framing, else of "incoming". */
  int close_key;        /* The reference of "close_when_done". */
  int metatable;        /* of every `self` */
  int roots;            /* a list: what it consists of, see enum root */
  bool is_connect_only; /* has handle_connect and takes no requests */
  bool close_when_done;
  lua_Integer blocksize;
  char listen[LISTEN_MAX];
  size_t example_length;
  char example[EXAMPLE_MAX];
};

/* An empty generation with the functions of `handler`: nothing is loaded, and generation_unload()
 * may be called. */
void generation_init(struct generation *generation, struct script *script,
                     const struct handler *handler);

/* Gives up the references. Cannot raise. */
void generation_unload(lua_State *state, struct generation *generation);

/* "make_response" and the like; static. */
const char *generation_function_name(enum function function);

/* Pushes where and what a function is, for a message: "echo.lua:9: make_response". May raise. */
const char *generation_push_place(lua_State *state, const struct generation *generation,
                                  enum function function);

#endif
