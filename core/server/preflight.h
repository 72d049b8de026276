/* preflight.h: a new version of a service is checked by a program before it takes over. Private to
 * the server room.
 *
 * The program runs beside the loop, which never waits for it. Each service has one check at a time,
 * and at most two checks run in the whole server. When the files of a service change during its
 * check, the program is killed and another check begins. */
#ifndef SERVER_PREFLIGHT_H
#define SERVER_PREFLIGHT_H

#include <stdbool.h>
#include <stdint.h>

#include "io/child.h"
#include "io/event_handler.h"

struct server;
struct service;

enum preflight_phase {
  PREFLIGHT_IDLE,    /* Nothing has to be checked. */
  PREFLIGHT_WAITING, /* From the deadline on, the provider of the service is asked once more. */
  PREFLIGHT_WANTED,  /* From the deadline on, a check begins as soon as fewer than two run. */
  PREFLIGHT_RUNNING, /* The program runs. It may do so until the deadline. */
  PREFLIGHT_OVERDUE, /* The program took too long and was killed. Its end is awaited. */
  PREFLIGHT_ENDED    /* The program ended at the deadline, and its finding has to be judged. */
};

struct preflight {
  enum preflight_phase phase;
  int64_t deadline; /* In ms; CLOCK_NEVER when idle. What it means depends on the phase. */

  /* NULL, or the program. In the first three phases it was killed because the files have changed,
   * and only its end is awaited. */
  struct child *child;
  struct event_handler output; /* Is ready when the program has printed something. */
  struct event_handler life;   /* Is ready when the program has ended. */
  bool polls_output;           /* The program has not closed its output. */

  unsigned extensions; /* How often the running program was given more time. */
  int64_t used;        /* The processor time that it had used at the last extension, in ms. */

  bool is_forced;   /* The server was told to reload (SIGHUP), changed or not. */
  unsigned retries; /* Failed attempts since somebody last asked for a check. */
};

void preflight_init(struct service *service);

/* The files of the service may have changed. */
void preflight_ask(struct service *service, bool is_forced, int64_t now);

/* Returns when preflight_step() has to be called, or CLOCK_NEVER. */
int64_t preflight_deadline(const struct server *server);

/* Takes the next step of every check. To be called once a turn. True: the files of a service were
 * read, so that there may be other files to watch. */
bool preflight_step(struct server *server);

/* Ends all checks, for good. */
void preflight_end(struct server *server);

#endif
