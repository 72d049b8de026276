#include "reload/precompile.h"

#include <lauxlib.h>
#include <locale.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/background.h"
#include "script/memory.h"

enum {
  STACK = 4 * 1024 * 1024, /* Lua's parser calls itself up to 200 levels deep. */
  NICENESS = 5             /* The processor is for the clients first. */
};

struct precompile {
  struct sources refused;
  struct memory memory;
  bool is_forced;
  void (*wake)(void *context);
  void *context;
  size_t loaded;                   /* The index of the next file whose bytecode is to be loaded. */
  struct precompile_result result; /* The thread's until has_finished is set. */
  atomic_bool has_finished;        /* Is set before the thread calls wake(). */
  pthread_mutex_t lock;            /* Is held during wake(), and guards the two fields below. */
  bool has_left;                   /* The thread uses nothing of this any more. */
  bool is_abandoned;               /* The thread has to free. */
};

/* ---- compiling ------------------------------------------------------------------------------ */

/* Skips a byte order mark and a first line that begins with "#", as luaL_loadfilex() does. The end
 * of that line stays, so that the lines keep their numbers. */
static void skip_first_line(const char **bytes, size_t *length) {
  const char *start = *bytes, *end = start + *length;
  if (*length >= 3 && memcmp(start, "\xEF\xBB\xBF", 3) == 0) start += 3;
  if (start < end && *start == '#') {
    const char *feed = memchr(start, '\n', (size_t)(end - start));
    start = feed ? feed : end;
  }
  *bytes = start;
  *length = (size_t)(end - start);
}

int precompile_text(lua_State *state, const char *name, const char *bytes, size_t length,
                    const char *mode) {
  bool is_collecting = lua_gc(state, LUA_GCISRUNNING);
  skip_first_line(&bytes, &length);
  lua_gc(state, LUA_GCSTOP);
  int result = luaL_loadbufferx(state, bytes, length, name, mode);
  if (is_collecting) lua_gc(state, LUA_GCRESTART);
  return result;
}

/* ---- the thread ----------------------------------------------------------------------------- */

struct output {
  struct memory *memory;
  char *bytes;
  size_t length;
  size_t capacity;
};

/* A lua_Writer. */
static int write_output(lua_State *state, const void *bytes, size_t length, void *context) {
  struct output *output = context;
  (void)state;
  if (length > output->capacity - output->length) {
    size_t capacity = 2 * (output->capacity + length);
    char *grown = memory_allocate(output->memory, output->bytes, output->capacity, capacity);
    if (!grown) return 1;
    output->bytes = grown;
    output->capacity = capacity;
  }
  memcpy(output->bytes + output->length, bytes, length);
  output->length += length;
  return 0;
}

/* The file owns the bytes now. */
static void set_content(struct source *file, enum source_content content, char *bytes,
                        size_t byte_count) {
  free(file->bytes);
  file->content = content;
  file->bytes = bytes;
  file->byte_count = byte_count;
}

/* precompile->memory never stops counting the bytecode that is kept, although the file frees it. So
 * the memory limit holds for the bytecode of all files together. */
static void keep_bytecode(struct precompile *precompile, lua_State *state, struct source *file) {
  struct output output = {.memory = &precompile->memory};
  if (lua_dump(state, write_output, &output, false) == 0)
    set_content(file, SOURCE_BYTECODE, output.bytes, output.length);
  else
    memory_allocate(&precompile->memory, output.bytes, output.capacity, 0);
}

static void keep_error(lua_State *state, struct source *file) {
  size_t length;
  const char *text = lua_tolstring(state, -1, &length);
  char *copy = malloc(length + 1);
  if (!copy) return;
  memcpy(copy, text, length + 1);
  set_content(file, SOURCE_ERROR, copy, length);
}

/* Returns the name of the chunk for Lua, which the caller frees; NULL: no memory. */
static char *name_of(const struct source *file) {
  size_t size = strlen(file->path) + 1;
  char *name = malloc(size + 1);
  if (!name) return NULL;
  name[0] = '@';
  memcpy(name + 1, file->path, size);
  return name;
}

static bool is_binary(const struct source *file) {
  const char *bytes = file->bytes;
  size_t length = file->byte_count;
  skip_first_line(&bytes, &length);
  return length > 0 && *bytes == *LUA_SIGNATURE;
}

/* If there is no memory, the text stays, and the script's own state compiles it. */
static void compile(struct precompile *precompile, struct source *file) {
  lua_State *state = lua_newstate(memory_allocate, &precompile->memory);
  char *name = name_of(file);
  if (state && name) {
    int status = precompile_text(state, name, file->bytes, file->byte_count, "t");
    if (status == LUA_OK)
      keep_bytecode(precompile, state, file);
    else if (status == LUA_ERRSYNTAX)
      keep_error(state, file);
  }
  free(name);
  if (state) lua_close(state);
}

static void drop_contents(struct sources *files) {
  for (size_t i = 0; i < files->count; i++) set_content(&files->items[i], SOURCE_NOTHING, NULL, 0);
}

/* A file that is missing may be written again at any moment. So nothing is kept then, and the files
 * are read when the version is made. */
static void read_and_compile(struct precompile *precompile) {
  struct precompile_result *result = &precompile->result;
  result->is_refused = !precompile->is_forced && precompile->refused.count > 0 &&
                       !sources_changed(&precompile->refused);
  if (result->is_refused) return;
  result->changed = sources_refresh(&result->files);
  if (result->files.has_lost_file || (result->changed == 0 && !precompile->is_forced)) {
    drop_contents(&result->files);
    return;
  }
  for (size_t i = 0; i < result->files.count; i++) {
    struct source *file = &result->files.items[i];
    if (file->content == SOURCE_TEXT && !is_binary(file)) compile(precompile, file);
  }
}

static void free_all(struct precompile *precompile) {
  pthread_mutex_destroy(&precompile->lock);
  sources_deinit(&precompile->refused);
  sources_deinit(&precompile->result.files);
  free(precompile);
}

/* Numbers are read by the locale, and a script may change that of the process at any time. */
static void *run_thread(void *context) {
  struct precompile *precompile = context;
  (void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICENESS);
  locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  if (plain) uselocale(plain);
  read_and_compile(precompile);
  if (plain) {
    uselocale(LC_GLOBAL_LOCALE);
    freelocale(plain);
  }
  precompile->has_finished = true;
  pthread_mutex_lock(&precompile->lock);
  precompile->has_left = true;
  bool is_abandoned = precompile->is_abandoned;
  if (!is_abandoned) precompile->wake(precompile->context);
  pthread_mutex_unlock(&precompile->lock);
  if (is_abandoned) free_all(precompile);
  return NULL;
}

/* ---- the owner ------------------------------------------------------------------------------ */

struct precompile *precompile_start(const struct precompile_plan *plan) {
  struct precompile *precompile = calloc(1, sizeof *precompile);
  if (!precompile) return NULL;
  pthread_mutex_init(&precompile->lock, NULL);
  memory_init(&precompile->memory, plan->memory_limit);
  precompile->is_forced = plan->is_forced;
  precompile->wake = plan->wake;
  precompile->context = plan->context;
  if (sources_copy(plan->serving, &precompile->result.files) != STATUS_OK ||
      sources_copy(plan->refused, &precompile->refused) != STATUS_OK) {
    free_all(precompile);
    return NULL;
  }
  if (plan->wake && background_start(run_thread, precompile, STACK)) return precompile;
  read_and_compile(precompile);
  precompile->has_finished = precompile->has_left = true;
  if (plan->wake) plan->wake(plan->context);
  return precompile;
}

bool precompile_has_finished(struct precompile *precompile) { return precompile->has_finished; }

const struct precompile_result *precompile_result(const struct precompile *precompile) {
  return &precompile->result;
}

/* The key in the registry of the table of loaded functions, by their paths. */
static const char loaded_key;

static int load_bytecode(lua_State *state) {
  const struct source *file = lua_touserdata(state, 1);
  if (lua_rawgetp(state, LUA_REGISTRYINDEX, &loaded_key) == LUA_TNIL) {
    lua_newtable(state);
    lua_pushvalue(state, -1);
    lua_rawsetp(state, LUA_REGISTRYINDEX, &loaded_key);
  }
  const char *name = lua_pushfstring(state, "@%s", file->path);
  lua_pushstring(state, file->path);
  if (precompile_text(state, name, file->bytes, file->byte_count, "b") != LUA_OK)
    return lua_error(state);
  lua_rawset(state, -4);
  return 0;
}

/* Tells whether more than half of the script's memory is left when all files are loaded. The old
 * version and the new one need it, and the new one may not need all of the files. */
static bool has_room(const struct memory *memory, const struct sources *files) {
  enum { IN_MEMORY = 4 }; /* So many times its bytecode takes a function in memory, at most. */
  size_t bytes = 0;
  for (size_t i = 0; i < files->count; i++) bytes += files->items[i].byte_count;
  return memory->nominal == SIZE_MAX || memory->used + IN_MEMORY * bytes <= memory->nominal / 2;
}

bool precompile_load(struct gate *gate, struct precompile *precompile) {
  struct sources *files = &precompile->result.files;
  size_t *next = &precompile->loaded;
  while (*next < files->count && files->items[*next].content != SOURCE_BYTECODE) ++*next;
  if (*next == files->count || !has_room(gate->memory, files)) return false;
  return gate_run(gate, load_bytecode, &files->items[(*next)++]) == GATE_OK;
}

void precompile_forget(lua_State *state) {
  if (lua_rawgetp(state, LUA_REGISTRYINDEX, &loaded_key) != LUA_TNIL) {
    lua_pushnil(state);
    lua_rawsetp(state, LUA_REGISTRYINDEX, &loaded_key);
  }
  lua_pop(state, 1);
}

/* Pushes the function of a file that is loaded already. It is taken only once, because the version
 * sets its globals. */
static bool take_loaded(lua_State *state, const char *path) {
  int top = lua_gettop(state);
  if (lua_rawgetp(state, LUA_REGISTRYINDEX, &loaded_key) == LUA_TTABLE &&
      lua_getfield(state, -1, path) == LUA_TFUNCTION) {
    lua_pushnil(state);
    lua_setfield(state, -3, path);
    lua_remove(state, -2);
    return true;
  }
  lua_settop(state, top);
  return false;
}

/* The thread keeps the text of a binary module, and of a file that it had no memory to compile:
 * these are compiled here, with `mode`. */
bool precompile_take(lua_State *state, struct sources *sources, const char *path,
                     const char *mode) {
  const struct source *file = sources->as_read ? sources_find(sources->as_read, path) : NULL;
  if (!file || file->content == SOURCE_NOTHING) return false;
  if (sources_take(sources, file) != STATUS_OK) gate_raise_no_memory(state);
  if (file->content == SOURCE_ERROR) {
    lua_pushlstring(state, file->bytes, file->byte_count);
    return true;
  }
  if (file->content == SOURCE_BYTECODE && take_loaded(state, path)) return true;
  const char *name = lua_pushfstring(state, "@%s", path);
  if (file->content == SOURCE_BYTECODE) mode = "b";
  precompile_text(state, name, file->bytes, file->byte_count, mode);
  lua_remove(state, -2);
  return true;
}

void precompile_destroy(struct precompile *precompile) {
  if (!precompile) return;
  pthread_mutex_lock(&precompile->lock);
  precompile->is_abandoned = true;
  bool has_left = precompile->has_left;
  pthread_mutex_unlock(&precompile->lock);
  if (has_left) free_all(precompile);
}
