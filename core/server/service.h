/* service.h: what a service is made of: where it listens, and where its handlers come from. */
#ifndef SERVER_SERVICE_H
#define SERVER_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "base/status.h"
#include "io/address.h"
#include "io/child.h"
#include "session/handler.h"

enum service_reload {
  RELOAD_NONE,     /* There is no new version. */
  RELOAD_REFUSED,  /* There is a new version, and it is no good. */
  RELOAD_DONE,     /* server_set_handler() was called. */
  RELOAD_LATER,    /* There is no new version yet, but there may be one soon. */
  RELOAD_CHECK,    /* There is a new version, which has to be checked first. */
  RELOAD_CHECKING, /* The version is the one for which RELOAD_CHECK was answered last. */
  RELOAD_COMPILING /* A new version is compiled on a thread, which calls server_wake(). */
};

/* What the program has come to that checks what is new. */
struct service_finding {
  const char *why;  /* it came to no end, and this is why; NULL: */
  int status;       /* it returned this, */
  struct span text; /* and printed this */
};

/* The result of a step of idle work. */
enum service_idle_work {
  IDLE_WORK_LEFT,   /* There is more to do. */
  IDLE_WORK_USEFUL, /* All is done, and it was worth its time. */
  IDLE_WORK_USELESS /* All is done, and it was hardly worth its time. */
};

/* Where the handlers of a service come from. */
struct script_provider {
  void *context;

  /* Makes a new version if the files have changed, or in any case if it is forced. Called between
   * two turns of the loop. After RELOAD_COMPILING it is called again, when server_wake() was
   * called, until it answers something else. The same holds for judge(), which is called again with
   * the same finding. */
  enum service_reload (*reload)(void *context, bool is_forced, int64_t now);

  /* NULL, or the program that checks what is new, in a process of its own. Then reload() does not
   * call server_set_handler() but answers RELOAD_CHECK, and judge() is called when the program has
   * ended and what it has looked at is still what there is, as far as is known. */
  const struct child_command *check;
  int64_t check_time; /* The ms after which a check is killed; more on a busy machine. */
  enum service_reload (*judge)(void *context, bool is_forced, const struct service_finding *finding,
                               int64_t now);

  /* NULL, or runs what the handlers have to do at the time that server_set_due() was told of.
   * Called within a turn, and not from within a call of a session. */
  void (*run_due)(void *context, int64_t now);

  /* NULL, or does idle work for less than a ms. Called after the handlers have worked, in turns
   * that have nothing else to do, and never from within a call of a session. */
  enum service_idle_work (*work_when_idle)(void *context);

  /* The files to be watched: how many there are, and each of them. */
  size_t (*count_files)(void *context);
  void (*each_file)(void *context, void (*visit)(void *visitor, const char *path), void *visitor);
};

struct service_options {
  const char *name;                       /* for the log */
  struct handler *handler;                /* must outlive the server, unless it gets a successor */
  const struct script_provider *provider; /* NULL: the handler stays. Must outlive the server */
  const struct address *addresses;        /* where to listen */
  size_t address_count;
  size_t max_connections; /* 0: no limit of its own */
};

#endif
