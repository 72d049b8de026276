/* reloading_server.c: a server whose first service gets a new handler when its second service
 * receives a command, for spec/server. It has all of the server room, and no script.
 *
 * * The first service answers a line with the number of its handler's generation and the line. The
 * second service has these commands, one in a line:
 *   reload [MS]   makes the next generation, with an idle timeout; answers its number
 *   count        answers "GENERATION=CONVERSATIONS ..." for all generations that exist
 *   most         answers the most conversations that were moved in one turn of the loop
 *   waits        answers how often the loop waited while a handler had a successor
 *
 * It accepts the options of the real server that the specs use, and ignores some of them. Its
 * coarse clock is as late as that of a kernel with slow ticks. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>

#include "base/log.h"
#include "server/server.h"
#include "session/session.h"
#include "session/steps.h"

enum { GENERATIONS_MAX = 16, ANSWER_MAX = 256 };

struct generation {
  struct handler handler; /* first, so that a handler is its generation */
  unsigned number;
};

static const struct framing line = {.kind = FRAMING_LINE, .max = SIZE_MAX};
static struct generation *generations[GENERATIONS_MAX]; /* NULL: not made yet, or freed. */
static unsigned newest;
static struct server *server;
static unsigned moved, most_moved; /* in a turn */
static unsigned waits;

static void end_turn(bool is_waiting) {
  for (unsigned i = 1; i < newest; i++)
    if (generations[i] && is_waiting) waits++;
  if (moved > most_moved) most_moved = moved;
  moved = 0;
}

/* Replace epoll_wait() and select() (--wrap), which each turn of the loop calls once. */
int __real_epoll_wait(int epoll, struct epoll_event *events, int capacity, int timeout_ms);
int __wrap_epoll_wait(int epoll, struct epoll_event *events, int capacity, int timeout_ms);
int __real_select(int limit, fd_set *reads, fd_set *writes, fd_set *fails, struct timeval *timeout);
int __wrap_select(int limit, fd_set *reads, fd_set *writes, fd_set *fails, struct timeval *timeout);

int __wrap_epoll_wait(int epoll, struct epoll_event *events, int capacity, int timeout_ms) {
  end_turn(timeout_ms != 0);
  return __real_epoll_wait(epoll, events, capacity, timeout_ms);
}

int __wrap_select(int limit, fd_set *reads, fd_set *writes, fd_set *fails,
                  struct timeval *timeout) {
  end_turn(!timeout || timeout->tv_sec > 0 || timeout->tv_usec > 0);
  return __real_select(limit, reads, writes, fails, timeout);
}

int __real_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time);

int __wrap_clock_gettime(clockid_t clock, struct timespec *time) {
  const long lag = 20 * 1000000L, second = 1000000000L;
  int result = __real_clock_gettime(clock, time);
  if (result < 0 || clock != CLOCK_MONOTONIC_COARSE) return result;
  time->tv_nsec -= lag;
  if (time->tv_nsec < 0) {
    time->tv_nsec += second;
    time->tv_sec--;
  }
  return result;
}

static void migrate(struct handler *handler, struct session *session, struct handler *successor) {
  (void)handler;
  (void)session;
  (void)successor;
  moved++;
}

static void on_unused(struct handler *handler) {
  struct generation *generation = (struct generation *)handler;
  generations[generation->number] = NULL;
  free(generation);
}

static void release(struct handler *handler, struct session *session, int reference) {
  (void)handler;
  (void)session;
  (void)reference;
}

static void reply(struct session *session, const char *text) {
  if (session_send(session, text, strlen(text)) != STATUS_OK) abort();
  session_answered(session, false);
}

static void run(struct handler *handler, struct session *session) {
  const struct generation *generation = (const struct generation *)handler;
  enum session_step step;
  while ((step = session_next(session)) != SESSION_WAIT) {
    if (step != SESSION_ANSWER) abort();
    struct span request = session_framed(session)->payload;
    char text[ANSWER_MAX];
    snprintf(text, sizeof text, "%u%.*s\n", generation->number, (int)request.length, request.data);
    reply(session, text);
  }
}

static struct handler *begin_generation(int64_t idle_timeout) {
  struct generation *generation = calloc(1, sizeof *generation);
  if (!generation || newest + 1 == GENERATIONS_MAX) abort();
  generation->number = ++newest;
  generation->handler =
      (struct handler){.framing = &line,
                       .limits = {.max_request = 100, .idle_timeout = idle_timeout},
                       .run = run,
                       .release = release,
                       .migrate = migrate,
                       .on_unused = on_unused};
  generations[newest] = generation;
  return &generation->handler;
}

static void reload(int64_t idle_timeout) {
  struct handler *handler = begin_generation(idle_timeout);
  for (unsigned i = 1; i < newest; i++) {
    struct generation *old = generations[i];
    if (!old) continue;
    old->handler.successor = handler;
    if (old->handler.sessions == 0) on_unused(&old->handler);
  }
  server_set_handler(server, 0, handler);
}

/* The second service has a handler of its own, so that no handler of the first one is running. */
static void command(struct handler *handler, struct session *session) {
  (void)handler;
  while (session_next(session) == SESSION_ANSWER) {
    struct span request = session_framed(session)->payload;
    char text[ANSWER_MAX] = "";
    int length = 0;
    if (request.data[0] == 'r') {
      reload(request.length > 7 ? atoi(request.data + 7) : 0);
      length = snprintf(text, sizeof text, "%u", newest);
    } else if (request.data[0] == 'm')
      length = snprintf(text, sizeof text, "%u", most_moved);
    else if (request.data[0] == 'w')
      length = snprintf(text, sizeof text, "%u", waits);
    else
      for (unsigned i = 1; i <= newest; i++)
        if (generations[i])
          length += snprintf(text + length, sizeof text - (size_t)length, "%s%u=%zu",
                             length > 0 ? " " : "", i, generations[i]->handler.sessions);
    text[length] = '\n';
    reply(session, text);
  }
}

static bool add_service(const char *name, struct handler *handler) {
  struct address address;
  const struct address *failed;
  const char *why;
  if (address_parse("127.0.0.1:0", &address, &why) != STATUS_OK) return false;
  struct service_options options = {
      .name = name, .handler = handler, .addresses = &address, .address_count = 1};
  return server_add_service(server, &options, &failed, &why) == STATUS_OK;
}

int main(int argc, char **argv) {
  static struct handler commands = {
      .framing = &line, .limits = {.max_request = 100}, .run = command, .release = release};
  struct world world;
  world_init(&world);
  struct server_options options = {
      .world = &world, .poller = "epoll", .max_connections = 1000, .drain_timeout = 10000};
  const char *why;
  for (int i = 1; i + 1 < argc; i++)
    if (strcmp(argv[i], "--poller") == 0) options.poller = argv[i + 1];
  log_configure(LOG_INFO, LOG_TEXT);
  if (server_create(&options, &server, &why) != STATUS_OK) return 1;
  bool is_well = add_service("served", begin_generation(0)) && add_service("commands", &commands) &&
                 server_run(server) == STATUS_OK;
  server_destroy(server);
  world_deinit(&world);
  for (int i = 0; i < GENERATIONS_MAX; i++) free(generations[i]);
  return is_well ? 0 : 1;
}
