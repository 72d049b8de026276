/* generation.h: one version of a protocol, loaded and validated.
 *
 * Loading looks up once what the core needs of the version at every request. */
#ifndef SCRIPT_GENERATION_H
#define SCRIPT_GENERATION_H

#include <lua.h>
#include <stdbool.h>

#include "script/framing_value.h"
#include "session/handler.h"

struct script;
struct sources;
struct task;
struct task_handle;

/* The functions of a protocol, in the order of generation_function_name(). */
enum function {
  FUNCTION_REQUEST_COMPLETE,
  FUNCTION_MAKE_RESPONSE,
  FUNCTION_DATAGRAM,
  FUNCTION_HANDLE_CONNECT,
  FUNCTION_HANDLE_EXPECT,
  FUNCTION_HANDLE_ERROR,
  FUNCTION_HANDLE_CLOSE,
  FUNCTION_SAVE,
  FUNCTION_RESTORE,
  FUNCTION_ENCODE,
  FUNCTION_COUNT
};

/* Longest `listen` and `example` of a script, in bytes. */
enum { LISTEN_MAX = 256, EXAMPLE_MAX = 4096 };

/* The most that one read of a file response may take, in bytes. */
enum { BLOCKSIZE_MAX = 16 * 1024 * 1024 };

/* The most tasks of a script if nothing else was said. */
enum { GENERATION_MAX_TASKS = 10000 };

/* The indices of the list `roots`. */
enum root { ROOT_PROTOCOL = 1, ROOT_GLOBALS, ROOT_SOURCES };

struct generation {
  struct handler handler; /* The first member: its address is the generation's. */
  struct script *script;
  struct generation *next; /* The next older one that still has sessions or tasks. */
  unsigned number;         /* The first generation has the number 1. */
  int64_t since;           /* When the generation began to serve, in ms. */
  uint64_t fingerprint;    /* The fingerprint of the sources at the end of loading. */
  struct sources *sources; /* In `roots`, owned by Lua; NULL before the generation is prepared. */
  struct framing framing;  /* What handler.framing points to, unless that is NULL. */
  framing_push_request *push_request;   /* Pushes the requests of this framing. */
  const struct framing_value *datagram; /* The framing of datagrams; NULL: there is none. */
  struct task *resting;                 /* Tasks that serve, and wait for a session. */
  unsigned resting_count;
  struct task_handle *first_task; /* Those that have not ended, in the order of their making. */
  struct task_handle *last_task;
  size_t task_count;             /* How many these are. */
  size_t max_tasks;              /* The most tasks of the script while this version serves. */
  int functions[FUNCTION_COUNT]; /* References; LUA_NOREF: the protocol lacks the function. */
  int input_key;        /* The reference of "request" with a framing, else of "incoming". */
  int request_key;      /* The reference of "request". */
  int close_key;        /* The reference of "close_when_done". */
  int metatable;        /* The reference of the metatable of every `self`. */
  int roots;            /* The reference of a list with the indices of enum root. */
  bool is_connect_only; /* No request of a connection is answered: there is no request_complete. */
  bool close_when_done;
  lua_Integer blocksize;
  char listen[LISTEN_MAX];
  size_t example_length;
  char example[EXAMPLE_MAX];
};

/* Makes an empty generation with the functions of `handler`. generation_unload() may be called
 * already. */
void generation_init(struct generation *generation, struct script *script,
                     const struct handler *handler);

/* Frees the references. Cannot raise. */
void generation_unload(lua_State *state, struct generation *generation);

/* Returns the name of a function, such as "make_response". The text is static. */
const char *generation_function_name(enum function function);

/* Pushes the place and name of a function for a message: "echo.lua:9: make_response". May raise. */
const char *generation_push_place(lua_State *state, const struct generation *generation,
                                  enum function function);

#endif
