#include "server/idle.h"

#include "base/clock.h"

enum {
  DELAY = 100,     /* ms after the work of a handler; more is probably coming */
  REST_MIN = 1000, /* ms from the end of it to the next time, at least; */
  REST_SHARE =
      20, /* so many times as long as it took, and twice as long each time that it was in */
  REST_MAX = 5000, /* vain, but for that no longer than this */
  DOUBLED_MAX = 10 /* so often */
};

static void begin(struct timer *timer) {
  struct server *server = (struct server *)((char *)timer - offsetof(struct server, idle.timer));
  struct idle *idle = &server->idle;
  idle->is_on = true;
  idle->has_worked = false;
  idle->spent = 0;
  idle->is_fruitful = false;
}

void idle_init(struct server *server) { server->idle.timer.expire = begin; }

/* If it cannot be set for want of memory, the next work of a handler tries again. */
void idle_schedule(struct server *server) {
  struct idle *idle = &server->idle;
  int64_t when = server->now + DELAY;
  if (when < idle->rest_until) when = idle->rest_until;
  idle->is_expected = timer_set(&server->timers, &idle->timer, when) == STATUS_OK;
}

static void end(struct server *server) {
  struct idle *idle = &server->idle;
  int64_t share = (int64_t)(idle->spent * 1000 * REST_SHARE);
  int64_t rest = share << idle->in_vain;
  if (rest > REST_MAX) rest = share > REST_MAX ? share : REST_MAX;
  if (rest < REST_MIN) rest = REST_MIN;
  if (idle->is_fruitful)
    idle->in_vain = 0;
  else if (idle->in_vain < DOUBLED_MAX)
    idle->in_vain++;
  idle->rest_until = server->now + rest;
  idle->is_on = idle->is_expected = false;
  if (idle->has_worked) idle_schedule(server);
}

void idle_step(struct server *server) {
  struct idle *idle = &server->idle;
  if (!idle->is_on) return;
  double began = clock_seconds();
  bool goes_on = false;
  for (struct service *service = server->services; service && !goes_on; service = service->next) {
    const struct script_provider *provider = service->provider;
    if (!provider || !provider->work_when_idle) continue;
    enum service_idle_work tidying = provider->work_when_idle(provider->context);
    goes_on = tidying == IDLE_WORK_LEFT;
    idle->is_fruitful = idle->is_fruitful || tidying == IDLE_WORK_USEFUL;
  }
  idle->spent += clock_seconds() - began;
  server_update_clock(server);
  if (!goes_on) end(server);
}
