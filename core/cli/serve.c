#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli/banner.h"
#include "cli/checker.h"
#include "cli/commands.h"
#include "cli/systemd.h"
#include "io/signals.h"
#include "reload/reload.h"
#include "server/server.h"

/* Descriptors that connections leave for everything else: listeners, logs, files of responses. */
enum { RESERVED_DESCRIPTORS = 64 };

/* Bytes; see default_buffered(). */
enum { DEFAULT_BUFFERED = 1024 * 1024 * 1024 };

/* A script that is loaded, and its service. */
struct served {
  const struct script_entry *entry;
  struct script *script;
  struct address own; /* The address of its `listen`, or the default. */
  const struct address *addresses;
  size_t address_count;
  struct address *found; /* `addresses` with the sockets of systemd among them. */
  struct certificates certificates;
  struct server *server; /* The script is the nth service of this server. */
  size_t nth;
  struct script_provider provider;
  struct checker checker; /* All zeros without --preflight. */
};

/* As many descriptors as the system lets us have. */
static size_t connection_capacity(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 256;
  if (limit.rlim_cur < limit.rlim_max) {
    rlim_t soft = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = soft;
  }
  if (limit.rlim_cur > INT32_MAX) return INT32_MAX;
  size_t all = (size_t)limit.rlim_cur;
  return all > 2 * RESERVED_DESCRIPTORS ? all - RESERVED_DESCRIPTORS : all / 2 + 1;
}

/* The memory of the machine, or of the container that it is cut down to. */
static uint64_t machine_memory(void) {
  long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  uint64_t memory = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : UINT64_MAX;
  char text[32], *end;
  FILE *file = fopen("/sys/fs/cgroup/memory.max", "re"); /* "max" where there is no limit */
  if (!file) return memory;
  if (fgets(text, sizeof text, file)) {
    unsigned long long limit = strtoull(text, &end, 10);
    if (end != text && limit < memory) memory = limit;
  }
  fclose(file);
  return memory;
}

static size_t default_buffered(void) {
  uint64_t half = machine_memory() / 2;
  return half < DEFAULT_BUFFERED ? (size_t)half : DEFAULT_BUFFERED;
}

/* Where the script wants to listen: its own word, else the default. False: its word is no address,
 * which was reported. */
static bool own_address(const struct script_options *options, const struct script *script,
                        struct address *address) {
  const char *why, *listen = script_listen(script);
  if (listen[0] == '\0') listen = "localhost:8888";
  if (address_parse_listener(listen, address, &why) == STATUS_OK) return true;
  fprintf(stderr, "parlance: %s: listen is \"%s\": %s%s\n", options->path, listen, why,
          address_hint(listen));
  return false;
}

/* A mode that holds for nothing would let its author believe that the socket is protected. */
static bool check_access(const struct served *served) {
  const struct socket_access *access = &served->entry->access;
  if (!access->has_mode && !access->has_group) return true;
  for (size_t i = 0; i < served->address_count; i++)
    if (served->addresses[i].kind == ADDRESS_UNIX && !served->addresses[i].passed_fd) return true;
  fprintf(stderr, "parlance: --%s is for Unix sockets, and %s opens none\n",
          access->has_mode ? "socket-mode" : "socket-group", served->entry->script.path);
  return false;
}

static bool choose_addresses(struct served *served, struct systemd *systemd) {
  served->addresses = served->entry->addresses;
  served->address_count = served->entry->address_count;
  if (!own_address(&served->entry->script, served->script, &served->own)) return false;
  if (served->address_count == 0) {
    served->addresses = &served->own;
    served->address_count = 1;
  }
  if (!systemd_find_sockets(systemd, served->addresses, served->address_count, &served->found,
                            &served->address_count))
    return false;
  served->addresses = served->found;
  return check_access(served);
}

static bool load_certificates(struct served *served, struct world *world) {
  bool has_tls = false;
  for (size_t i = 0; i < served->address_count; i++)
    has_tls = has_tls || served->addresses[i].is_tls;
  return certificates_load(&served->certificates, &served->entry->certificates,
                           served->entry->script.path, script_name(served->script), has_tls, world);
}

/* A mistyped command is taken for a script. */
static const char *hint(const char *path) {
  bool may_be_command = !strpbrk(path, "./") && access(path, F_OK) != 0;
  return may_be_command ? " (the commands are check, fuzz and new; see parlance --help)" : "";
}

static int load(struct served *served, const struct options *options, struct world *world,
                struct systemd *systemd) {
  const char *error;
  struct script_options script_options = served->entry->script;
  script_options.world = world;
  if (options->preflights && checker_init(&served->checker, &served->entry->script,
                                          options->allows_effects, environ) != STATUS_OK) {
    fprintf(stderr, "parlance: %s: not enough memory\n", served->entry->script.path);
    return EXIT_FAILED;
  }
  if (script_create(&script_options, &served->script) != STATUS_OK) {
    fprintf(stderr, "parlance: %s: not enough memory\n", served->entry->script.path);
    return EXIT_FAILED;
  }
  if (!reload_load_first(served->script, &error)) {
    fprintf(stderr, "parlance: %s%s\n", error, hint(served->entry->script.path));
    return EXIT_REFUSED;
  }
  return choose_addresses(served, systemd) && load_certificates(served, world) ? EXIT_STOPPED
                                                                               : EXIT_REFUSED;
}

/* What to do about it. */
static const char *advice(int error) {
  switch (error) {
  case EADDRINUSE: return "; another program listens there: choose another place with --listen";
  case EACCES: return "; ports below 1024 are for root: choose another with --listen";
  default: return "";
  }
}

static void complain_of_address(const struct address *address, const char *why) {
  char text[ADDRESS_TEXT_MAX * 3];
  int error = errno;
  if (!address) {
    fprintf(stderr, "parlance: %s: %s\n", why, strerror(error));
    return;
  }
  if (address->kind == ADDRESS_UNIX)
    snprintf(text, sizeof text, "unix:%s", address->host);
  else
    address_format(address->host, address->port, text);
  const char *scheme = address->kind == ADDRESS_UDP ? "udp:" : "";
  if (error != 0)
    fprintf(stderr, "parlance: cannot listen on %s%s: %s: %s%s\n", scheme, text, why,
            strerror(error), address->kind == ADDRESS_UNIX ? "" : advice(error));
  else
    fprintf(stderr, "parlance: cannot listen on %s: %s\n", text, why);
}

/* ---- reloads ------------------------------------------------------------------------------- */

/* If a new version serves, the server gets its handler. */
static enum reload_outcome update_handler(const struct served *served,
                                          enum reload_outcome outcome) {
  if (outcome == RELOAD_DONE)
    server_set_handler(served->server, served->nth, script_handler(served->script));
  return outcome;
}

static void refresh_certificates(struct served *served, bool is_forced) {
  if (certificates_refresh(&served->certificates, is_forced))
    server_set_tls(served->server, served->nth, served->certificates.tls);
}

static enum reload_outcome reload_script(void *context, bool is_forced, int64_t now) {
  struct served *served = context;
  refresh_certificates(served, is_forced);
  return update_handler(served, reload_try(served->script, is_forced, now));
}

static enum reload_outcome find_script_changes(void *context, bool is_forced, int64_t now) {
  struct served *served = context;
  refresh_certificates(served, is_forced);
  return checker_find_changes(&served->checker, served->script, is_forced, now);
}

static enum reload_outcome reload_checked_script(void *context, bool is_forced,
                                                 const struct check_end *end, int64_t now) {
  const struct served *served = context;
  return update_handler(served,
                        checker_reload(&served->checker, served->script, is_forced, end, now));
}

static enum idle_work collect_garbage(void *context) {
  return script_collect_garbage(((const struct served *)context)->script);
}

static void wake(void *context) { server_wake(context); }

static size_t count_script_files(void *context) {
  const struct served *served = context;
  return reload_count_files(served->script) + certificates_count_files(&served->certificates);
}

static void each_script_file(void *context, void (*visit)(void *visitor, const char *path),
                             void *visitor) {
  const struct served *served = context;
  reload_each_file(served->script, visit, visitor);
  certificates_each_file(&served->certificates, visit, visitor);
}

/* Of two with one name only the later one counts. */
static bool is_overruled(const struct script_options *script, size_t nth) {
  struct span name = script->settings[nth].name;
  for (size_t i = nth + 1; i < script->setting_count; i++) {
    struct span later = script->settings[i].name;
    if (later.length == name.length && memcmp(later.data, name.data, name.length) == 0) return true;
  }
  return false;
}

static void each_setting(void *context,
                         void (*visit)(void *visitor, struct span name, struct span value),
                         void *visitor) {
  const struct script_options *script = &((const struct served *)context)->entry->script;
  for (size_t i = 0; i < script->setting_count; i++)
    if (!is_overruled(script, i))
      visit(visitor, script->settings[i].name, script->settings[i].value);
}

/* -------------------------------------------------------------------------------------------- */

static bool listen_all(struct server *server, struct served *served, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const struct address *failed;
    const char *why;
    served[i].server = server;
    served[i].nth = i;
    served[i].provider = (struct script_provider){
        .context = &served[i],
        .reload = reload_script,
        .find_changes = find_script_changes,
        .check = served[i].checker.plan.program ? &served[i].checker.plan : NULL,
        .check_time = CHECKER_TIME,
        .reload_checked = reload_checked_script,
        .work_when_idle = collect_garbage,
        .count_files = count_script_files,
        .each_file = each_script_file,
        .each_setting = each_setting};
    struct service_options service = {.name = script_name(served[i].script),
                                      .handler = script_handler(served[i].script),
                                      .provider = &served[i].provider,
                                      .addresses = served[i].addresses,
                                      .address_count = served[i].address_count,
                                      .access = served[i].entry->access,
                                      .tls = served[i].certificates.tls,
                                      .max_connections = served[i].entry->max_connections,
                                      .max_connections_per_peer =
                                          served[i].entry->max_connections_per_peer,
                                      .accept_proxy = &served[i].entry->accept_proxy};
    errno = 0;
    if (server_add_service(server, &service, &failed, &why) != STATUS_OK) {
      complain_of_address(failed, why);
      return false;
    }
    reload_set_wake(served[i].script, wake, server);
    certificates_watch_dates(&served[i].certificates);
  }
  return true;
}

/* One address of a script is enough to try it with. */
static void greet_person(const struct options *options, const struct server *server,
                         const struct served *served) {
  for (size_t i = 0; i < options->script_count; i++)
    banner_print(script_name(served[i].script), served[i].entry->script.path,
                 &served[i].addresses[0], server_port(server, i), script_example(served[i].script));
  if (options->server.watches) fputs("Save a script, and it is reloaded. ", stderr);
  if (options->server.record)
    fprintf(stderr, "All that is said is recorded in %s. ", options->server.record);
  fputs("Ctrl-C stops the server.\n", stderr);
}

static int run(const struct options *options, struct served *served, struct world *world,
               const struct systemd *systemd) {
  struct server *server;
  const char *why;
  struct server_options server_options = options->server;
  server_options.world = world;
  server_options.environment = environ;
  server_options.notify_socket = systemd->notify_socket;
  server_options.watchdog = systemd->watchdog;
  server_options.max_connections = connection_capacity();
  if (server_options.max_buffered == BUFFERED_NOT_GIVEN)
    server_options.max_buffered = default_buffered();
  if (server_create(&server_options, &server, &why) != STATUS_OK) {
    complain_of_address(NULL, why);
    return EXIT_FAILED;
  }
  /* In a terminal the banner says where, and in plainer words. */
  bool is_person = isatty(STDERR_FILENO) && options->log_level >= LOG_INFO;
  bool is_told_twice = is_person && !options->log_file;
  log_configure(is_told_twice ? LOG_WARN : options->log_level, options->log_format);
  int status = EXIT_FAILED;
  if (listen_all(server, served, options->script_count)) {
    if (is_person) greet_person(options, server, served);
    log_configure(options->log_level, options->log_format);
    if (options->server.record && !is_told_twice)
      log_event(LOG_INFO, "recording", "folder", options->server.record);
    if (server_run(server) == STATUS_OK) status = EXIT_STOPPED;
  }
  for (size_t i = 0; i < options->script_count; i++) {
    reload_set_wake(served[i].script, NULL, NULL);
    script_end_tasks(served[i].script);
  }
  server_destroy(server);
  return status;
}

static bool check_record(const char *folder) {
  if (!folder || server_can_record(folder)) return true;
  fprintf(stderr, "parlance: --record %s: nothing can be written there: %s\n", folder,
          strerror(errno));
  return false;
}

static bool open_log(const char *file) {
  if (!file || log_open_file(file)) return true;
  fprintf(stderr, "parlance: --log-file %s: it cannot be opened: %s\n", file, strerror(errno));
  return false;
}

static void free_served(struct served *served) {
  if (served->script) script_destroy(served->script);
  checker_deinit(&served->checker);
  free(served->found);
  certificates_deinit(&served->certificates);
}

int command_serve(const struct options *options) {
  if (!check_record(options->server.record) || !open_log(options->log_file)) return EXIT_REFUSED;
  struct served *served = calloc(options->script_count, sizeof *served);
  if (!served) {
    fputs("parlance: not enough memory\n", stderr);
    return EXIT_FAILED;
  }
  struct systemd systemd;
  if (!systemd_init(&systemd)) {
    free(served);
    return EXIT_REFUSED;
  }
  struct world world;
  world_init(&world);
  log_configure(options->log_level, options->log_format);
  log_set_shown_bytes(options->log_bytes);
  if (!options->log_file) log_set_nonblocking();
  setvbuf(stdout, NULL, _IOLBF, BUFSIZ); /* what scripts write is seen line by line */
  (void)signals_catch_reload();          /* loading may take long */
  int status = EXIT_STOPPED;
  for (size_t i = 0; i < options->script_count && status == EXIT_STOPPED; i++) {
    served[i].entry = &options->scripts[i];
    status = load(&served[i], options, &world, &systemd);
  }
  if (status == EXIT_STOPPED) {
    systemd_close_rest(&systemd);
    status = run(options, served, &world, &systemd);
  }
  for (size_t i = 0; i < options->script_count; i++) free_served(&served[i]);
  world_deinit(&world);
  systemd_deinit(&systemd);
  free(served);
  return status;
}
