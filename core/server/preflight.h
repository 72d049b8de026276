/* preflight.h: what is new for a service is checked before it takes over, by a program that runs
 * beside the loop. Private to the server room.
 *
 * The loop never waits for it. One runs for each service, and two at most for all; one whose files
 * have changed meanwhile is ended, and begun anew. */
#ifndef SERVER_PREFLIGHT_H
#define SERVER_PREFLIGHT_H

#include <stdbool.h>
#include <stdint.h>

#include "io/child.h"
#include "io/source.h"

struct server;
struct service;

struct preflight {
  struct io_source output; /* what the program prints, */
  struct io_source life;   /* and that it has ended */
  struct child *child;     /* NULL: none runs */
  int64_t due;             /* when its source is asked what there is; CLOCK_NEVER */
  int64_t deadline;        /* when the program is ended */
  int64_t not_before;      /* when a check that is wanted may begin */
  unsigned retries;        /* since it was last asked for */
  bool is_retry;           /* nobody has asked for it */
  int64_t rest_by;         /* when files need be at rest no more; CLOCK_NEVER: they are, or were */
  bool is_asked_to_force;  /* the next look is a forced one */
  bool is_wanted;          /* a check is to begin as soon as one may */
  bool is_forced;          /* the check that is wanted, or runs, is a forced one */
  bool is_stale;           /* what the program finds does not count */
  bool is_late;            /* it was ended because it took too long */
  bool prints;             /* its output is being polled, */
  bool lives;              /* and its life */
  bool has_ended;
  struct child_exit end;
};

void preflight_init(struct service *service);

/* There may be something new. */
void preflight_ask(struct service *service, bool is_forced, int64_t now);

/* When preflight_look() should next be called; CLOCK_NEVER. */
int64_t preflight_deadline(const struct server *server);

/* Once a turn. Whether something new was looked at, so that there may be other files to be watched.
 */
bool preflight_look(struct server *server);

/* Ends all of them, for good. */
void preflight_end(struct server *server);

#endif
