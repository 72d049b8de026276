/* service.h: what a service is made of: where it listens, and where its handlers come from. */
#ifndef SERVER_SERVICE_H
#define SERVER_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/outcome.h"
#include "base/span.h"
#include "base/status.h"
#include "io/address.h"
#include "io/child.h"
#include "session/handler.h"

/* What the program has come to that checks what is new. */
struct service_finding {
  const char *why;  /* it came to no end, and this is why; NULL: */
  int status;       /* it returned this, */
  struct span text; /* and printed this */
};

/* Where the handlers of a service come from. */
struct script_provider {
  void *context;

  /* Makes a new version if the files have changed, or in any case if it is forced. Called between
   * two turns of the loop. After RELOAD_COMPILING it is called again, when server_wake() was
   * called, until it answers something else. The same holds for judge(), which is called again with
   * the same finding. */
  enum reload_outcome (*reload)(void *context, bool is_forced, int64_t now);

  /* NULL, or the program that checks what is new, in a process of its own. Then reload() does not
   * call server_set_handler() but answers RELOAD_UNCHECKED, and judge() is called when the program
   * has ended and what it has looked at is still what there is, as far as is known. */
  const struct child_command *check;
  int64_t check_time; /* The ms after which a check is killed; more on a busy machine. */
  enum reload_outcome (*judge)(void *context, bool is_forced, const struct service_finding *finding,
                               int64_t now);

  /* NULL, or runs what the handlers have to do at the time that server_set_due() was told of.
   * Called within a turn, and not from within a call of a session. */
  void (*run_due)(void *context, int64_t now);

  /* NULL, or does idle work for less than a ms. Called after the handlers have worked, in turns
   * that have nothing else to do, and never from within a call of a session. */
  enum idle_work (*work_when_idle)(void *context);

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
