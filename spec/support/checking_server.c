/* checking_server.c: a server whose services are checked before they are reloaded, for
 * spec/server/checks_spec.lua. It has all of the server room, and no script.
 *
 * Each file argument makes a service, and is the shell script that checks it. SIGHUP starts all
 * checks. The result of a check is logged as `judged`; a check that prints "later" is started
 * again. If the content of a file changes during its check, the check is stale.
 *
 * It accepts the options of the real server that the specs use, ignores some of them, and adds:
 *   *   --program PATH     the program that checks the services that follow, instead of the shell
 *   --check-time MS    the time limit of all checks; default: 10 s */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "server/server.h"
#include "session/session.h"
#include "session/steps.h"

enum { SERVICES_MAX = 8, CONTENT_MAX = 1024 };

struct checked {
  const char *path;
  char *arguments[3];
  struct child_command plan;
  struct script_provider provider;
  char content[CONTENT_MAX]; /* The content when the check began; empty: no check is running. */
};

static const struct framing line = {.kind = FRAMING_LINE, .max = SIZE_MAX};
static struct checked services[SERVICES_MAX];
static size_t service_count;
static struct server *server;

static void release(struct handler *handler, struct session *session, int reference) {
  (void)handler;
  (void)session;
  (void)reference;
}

static void run(struct handler *handler, struct session *session) {
  (void)handler;
  while (session_next(session) == SESSION_ANSWER) {
    if (session_send(session, "here\n", 5) != STATUS_OK) abort();
    session_answered(session, false);
  }
}

static void read_content(const struct checked *checked, char content[static CONTENT_MAX]) {
  FILE *file = fopen(checked->path, "rbe");
  if (!file) abort();
  content[fread(content, 1, CONTENT_MAX - 1, file)] = '\0';
  fclose(file);
}

static enum reload_outcome find_changes(void *context, bool is_forced, int64_t now) {
  struct checked *checked = context;
  char content[CONTENT_MAX];
  (void)is_forced;
  (void)now;
  read_content(checked, content);
  if (strcmp(content, checked->content) == 0) return RELOAD_CHECKING;
  memcpy(checked->content, content, sizeof content);
  return strstr(content, "unchanged") ? RELOAD_UNCHANGED : RELOAD_UNCHECKED;
}

static enum reload_outcome reload_checked(void *context, bool is_forced,
                                          const struct check_end *end, int64_t now) {
  struct checked *checked = context;
  struct log_line logged;
  (void)now;
  checked->content[0] = '\0';
  if (!log_begin(&logged, LOG_INFO, "judged")) return RELOAD_UNCHANGED;
  log_text(&logged, "path", checked->path);
  log_integer(&logged, "forced", is_forced);
  if (end->why)
    log_text(&logged, "why", end->why);
  else {
    log_integer(&logged, "status", end->status);
    log_bytes(&logged, "text", end->text.data, end->text.length);
  }
  log_end(&logged);
  bool is_later = end->text.length == 6 && memcmp(end->text.data, "later\n", 6) == 0;
  return is_later ? RELOAD_LATER : RELOAD_REFUSED;
}

static size_t count_files(void *context) {
  (void)context;
  return 1;
}

static void each_file(void *context, void (*visit)(void *visitor, const char *path),
                      void *visitor) {
  visit(visitor, ((const struct checked *)context)->path);
}

static bool add_service(char *path, char *program, int64_t check_time) {
  static struct handler handler = {
      .framing = &line, .limits = {.max_request = 100}, .run = run, .release = release};
  struct address address;
  const struct address *failed;
  const char *why;
  if (service_count == SERVICES_MAX) return false;
  struct checked *checked = &services[service_count++];
  *checked = (struct checked){.path = path, .arguments = {program, path, NULL}};
  checked->plan = (struct child_command){program, checked->arguments, &checked->arguments[2]};
  checked->provider = (struct script_provider){.context = checked,
                                               .find_changes = find_changes,
                                               .check = &checked->plan,
                                               .check_time = check_time,
                                               .reload_checked = reload_checked,
                                               .count_files = count_files,
                                               .each_file = each_file};
  struct service_options options = {.name = "checked",
                                    .handler = &handler,
                                    .provider = &checked->provider,
                                    .addresses = &address,
                                    .address_count = 1};
  return address_parse("127.0.0.1:0", &address, &why) == STATUS_OK &&
         server_add_service(server, &options, &failed, &why) == STATUS_OK;
}

static const char *value_of(int argc, char **argv, const char *name, const char *otherwise) {
  for (int i = 1; i + 1 < argc; i++)
    if (strcmp(argv[i], name) == 0) return argv[i + 1];
  return otherwise;
}

int main(int argc, char **argv) {
  static char shell[] = "/bin/sh";
  char *program = shell;
  const char *why;
  struct world world;
  world_init(&world);
  struct server_options options = {.world = &world,
                                   .poller = value_of(argc, argv, "--poller", "epoll"),
                                   .max_connections = 1000};
  int64_t check_time = atoi(value_of(argc, argv, "--check-time", "10000"));
  log_configure(LOG_INFO, LOG_TEXT);
  if (server_create(&options, &server, &why) != STATUS_OK) return 1;
  bool is_well = true;
  for (int i = 1; is_well && i < argc; i++) {
    if (strncmp(argv[i], "--", 2) != 0)
      is_well = add_service(argv[i], program, check_time);
    else if (strcmp(argv[i++], "--program") == 0)
      program = argv[i];
  }
  is_well = is_well && server_run(server) == STATUS_OK;
  server_destroy(server);
  world_deinit(&world);
  return is_well ? 0 : 1;
}
