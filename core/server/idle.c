#include "server/idle.h"

#include "base/clock.h"

enum {
  DELAY = 100,     /* The ms from the work of a handler to the next idle work. */
  REST_MIN = 1000, /* The least ms from the end of idle work to the next. */
  REST_MAX = 5000, /* A rest is not doubled beyond so many ms. */
  REST_SHARE = 20, /* A rest is so many times as long as the idle work before it took. */
  DOUBLED_MAX = 10 /* A rest is doubled for each useless idle work in a row, but not more often. */
};

static void begin(struct timer *timer) {
  struct server *server = (struct server *)((char *)timer - offsetof(struct server, idle.timer));
  struct idle *idle = &server->idle;
  idle->phase = IDLE_RUNNING;
  idle->has_worked = false;
  idle->spent = 0;
  idle->is_useful = false;
}

void idle_init(struct server *server) { server->idle.timer.expire = begin; }

/* If the timer cannot be set for lack of memory, the next work of a handler tries again. */
void idle_schedule(struct server *server) {
  struct idle *idle = &server->idle;
  int64_t when = server->now + DELAY;
  if (when < idle->rest_until) when = idle->rest_until;
  bool is_set = timer_set(&server->world->timers, &idle->timer, when) == STATUS_OK;
  idle->phase = is_set ? IDLE_SCHEDULED : IDLE_OFF;
}

static void end(struct server *server) {
  struct idle *idle = &server->idle;
  int64_t share = (int64_t)(idle->spent * 1000 * REST_SHARE);
  int64_t rest = share << idle->useless_count;
  if (rest > REST_MAX) rest = share > REST_MAX ? share : REST_MAX;
  if (rest < REST_MIN) rest = REST_MIN;
  if (idle->is_useful)
    idle->useless_count = 0;
  else if (idle->useless_count < DOUBLED_MAX)
    idle->useless_count++;
  idle->rest_until = server->now + rest;
  idle->phase = IDLE_OFF;
  if (idle->has_worked) idle_schedule(server);
}

void idle_step(struct server *server) {
  struct idle *idle = &server->idle;
  if (idle->phase != IDLE_RUNNING) return;
  double began = clock_seconds();
  bool is_work_left = false;
  for (struct service *service = server->services; service && !is_work_left;
       service = service->next) {
    const struct script_provider *provider = service->provider;
    if (!provider || !provider->work_when_idle) continue;
    enum idle_work result = provider->work_when_idle(provider->context);
    is_work_left = result == IDLE_WORK_LEFT;
    idle->is_useful = idle->is_useful || result == IDLE_WORK_USEFUL;
  }
  idle->spent += clock_seconds() - began;
  server_update_clock(server);
  if (!is_work_left) end(server);
}
