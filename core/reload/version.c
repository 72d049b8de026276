#include "reload/version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reload/environment.h"
#include "reload/protocol.h"
#include "script/ban.h"
#include "script/script_internal.h"
#include "script/serve.h"

struct loading {
  struct script *script;
  struct generation *generation;
  const struct sources *as_read;
};

static int run_in_gate(lua_State *state) {
  struct loading *loading = lua_touserdata(state, 1);
  const struct script_options *options = &loading->script->options;
  loading->script->gate.no_wait = ban_while_loading;
  if (loading->generation->number == 1) environment_prepare(state, options);
  protocol_prepare(state, loading->generation, options->path);
  loading->generation->sources->as_read = loading->as_read;
  protocol_load(state, loading->generation, options);
  return 0;
}

/* The sources are kept, because they tell later whether the files have changed again. */
static void discard_failed(struct script *script, struct generation *generation,
                           struct sources *sources) {
  if (generation->sources) {
    *sources = *generation->sources;
    *generation->sources = (struct sources){0};
  }
  script_free_generation(script, generation);
}

static bool run_version(struct script *script, struct generation *generation,
                        const struct sources *as_read) {
  struct loading loading = {script, generation, as_read};
  script->running = generation;
  script_rest_collector(script);
  bool is_loaded = gate_run(&script->gate, run_in_gate, &loading) == GATE_OK;
  script->running = NULL;
  struct sources *sources = generation->sources;
  if (!sources) return false;
  sources->as_read = NULL;
  sources->at_load = sources->count;
  return is_loaded;
}

struct generation *version_make(struct script *script, const struct sources *as_read,
                                struct sources *sources) {
  struct generation *generation = malloc(sizeof *generation);
  *sources = (struct sources){0};
  if (!generation) {
    snprintf(script->gate.error, sizeof script->gate.error, "not enough memory");
    return NULL;
  }
  generation_init(generation, script, &serve_handler);
  generation->handler.list = &script->sessions;
  if (script->options.max_tasks != LIMIT_NOT_GIVEN)
    generation->max_tasks = (size_t)script->options.max_tasks;
  generation->number = script->generation ? script->generation->number + 1 : 1;
  if (run_version(script, generation, as_read)) {
    generation->handler.limits.max_datagrams = generation->max_tasks;
    generation->fingerprint = sources_fingerprint(generation->sources);
    return generation;
  }
  discard_failed(script, generation, sources);
  return NULL;
}

/* The path of the script is put before a text that does not contain it. */
const char *version_error(struct script *script) {
  char *error = script->gate.error;
  char *end = strstr(error, "\nstack traceback:");
  if (end) *end = '\0';
  end = error + strcspn(error, "\n");
  if (strstr(error, "error loading module") && end > error && strncmp(end - 1, ":\n\t", 3) == 0) {
    *end = ' ';
    memmove(end + 1, end + 2, strlen(end + 2) + 1);
  }
  if (strstr(error, script->options.path)) return error;
  size_t prefix = strlen(script->options.path) + 2;
  if (prefix + 1 >= sizeof script->gate.error) return error;
  size_t kept = strnlen(error, sizeof script->gate.error - prefix - 1);
  memmove(error + prefix, error, kept);
  error[prefix + kept] = '\0';
  memcpy(error, script->options.path, prefix - 2);
  memcpy(error + prefix - 2, ": ", 2);
  return error;
}
