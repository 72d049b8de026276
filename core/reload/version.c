#include "reload/version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "reload/environment.h"
#include "reload/protocol.h"
#include "script/script_internal.h"
#include "script/serve.h"

struct loading {
  struct script *script;
  struct generation *generation;
};

static int prepare_load(lua_State *state) {
  struct loading *loading = lua_touserdata(state, 1);
  const struct script_options *options = &loading->script->options;
  if (loading->generation->number == 1) environment_prepare(state, options);
  protocol_prepare(state, loading->generation, options->path);
  return 0;
}

static int load(lua_State *state) {
  struct loading *loading = lua_touserdata(state, 1);
  protocol_load(state, loading->generation, &loading->script->options);
  return 0;
}

/* Its sources survive it, so that it can be told when they have changed. */
static void discard(struct script *script, struct generation *generation, struct sources *sources) {
  if (generation->sources) {
    *sources = *generation->sources;
    *generation->sources = (struct sources){0};
  }
  script_free_generation(script, generation);
}

/* The run is one step: nobody goes on from its beginning to where the version takes over. */
static bool prepare_and_load(struct script *script, struct generation *generation,
                             struct ahead *ahead) {
  struct loading loading = {script, generation};
  if (ahead->pause) ahead->pause(ahead->context);
  if (gate_run(&script->gate, prepare_load, &loading) != GATE_OK) return false;
  ahead_prepare(&script->gate, ahead, script->options.path);
  if (ahead->pause) ahead->pause(ahead->context);
  generation->sources->ahead = ahead;
  script->running = generation;
  bool is_loaded = gate_run(&script->gate, load, &loading) == GATE_OK;
  script->running = NULL;
  generation->sources->ahead = NULL;
  generation->sources->at_load = generation->sources->count;
  return is_loaded;
}

struct generation *version_make(struct script *script, struct ahead *ahead,
                                struct sources *sources) {
  struct generation *generation = malloc(sizeof *generation);
  *sources = (struct sources){0};
  if (!generation) {
    snprintf(script->gate.error, sizeof script->gate.error, "not enough memory");
    return NULL;
  }
  generation_init(generation, script, &script->gate, &serve_handler);
  generation->number = script->generation ? script->generation->number + 1 : 1;
  if (prepare_and_load(script, generation, ahead)) {
    generation->fingerprint = sources_fingerprint(generation->sources);
    return generation;
  }
  discard(script, generation, sources);
  return NULL;
}

/* A text that does not name the script itself is given its name; the traceback is for calls. */
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
