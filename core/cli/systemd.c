#include "cli/systemd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

static const char *const variables[] = {"LISTEN_PID",     "LISTEN_FDS",    "LISTEN_FDNAMES",
                                        "LISTEN_PIDFDID", "NOTIFY_SOCKET", "WATCHDOG_PID",
                                        "WATCHDOG_USEC"};

/* Copies the value of a variable. NULL: it is not set. */
static bool copy_variable(const char *name, char **copy) {
  const char *value = getenv(name);
  *copy = value ? strdup(value) : NULL;
  return !value || *copy;
}

/* The ms of WATCHDOG_USEC, if that is for this process. */
static int64_t watchdog_of(const char *pid, const char *microseconds) {
  long long period = microseconds ? strtoll(microseconds, NULL, 10) : 0;
  bool is_ours = !pid || strtoll(pid, NULL, 10) == getpid();
  return is_ours && period > 0 ? (period + 999) / 1000 : 0;
}

/* False: systemd wants to hear of the service, and cannot. */
static bool open_notify_socket(struct systemd *systemd) {
  const char *address = getenv("NOTIFY_SOCKET");
  if (!address || *address == '\0') return true;
  systemd->watchdog = watchdog_of(getenv("WATCHDOG_PID"), getenv("WATCHDOG_USEC"));
  if (notify_socket_open(address, &systemd->notify_socket) == STATUS_OK) return true;
  fprintf(stderr, "parlance: NOTIFY_SOCKET is %s: %s\n", address, strerror(errno));
  return false;
}

static bool receive_sockets(struct systemd *systemd) {
  enum status status = STATUS_ERROR;
  if (copy_variable("LISTEN_FDNAMES", &systemd->socket_names))
    status = passed_sockets_init(&systemd->sockets, getenv("LISTEN_PID"), getenv("LISTEN_FDS"),
                                 systemd->socket_names);
  if (status == STATUS_OK) return true;
  fprintf(stderr, "parlance: the sockets that LISTEN_FDS tells of cannot be had: %s\n",
          strerror(errno));
  return false;
}

bool systemd_init(struct systemd *systemd) {
  *systemd = (struct systemd){0};
  bool ok = receive_sockets(systemd) && open_notify_socket(systemd);
  for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) unsetenv(variables[i]);
  if (!ok) systemd_deinit(systemd);
  return ok;
}

static bool add(const struct address *address, struct address **list, size_t *count) {
  struct address *grown = realloc(*list, (*count + 1) * sizeof **list);
  if (!grown) {
    fputs("parlance: not enough memory\n", stderr);
    return false;
  }
  grown[(*count)++] = *address;
  *list = grown;
  return true;
}

static bool complain(const struct systemd *systemd, const char *name, const char *why) {
  const char *names =
      systemd->socket_names && systemd->sockets.count > 0 ? systemd->socket_names : "";
  fprintf(stderr, "parlance: cannot listen on systemd:%s: %s%s%s%s\n", name, why,
          *names ? " (it has passed " : "", names, *names ? ")" : "");
  return false;
}

/* Adds the sockets of one name. */
static bool add_sockets(struct systemd *systemd, const struct address *wanted,
                        struct address **list, size_t *count) {
  const char *why = "systemd has passed no socket of this name that is left";
  if (systemd->sockets.count == 0) why = "systemd has passed no socket to this process";
  for (bool is_first = true;; is_first = false) {
    struct address found = *wanted;
    switch (passed_sockets_take(&systemd->sockets, wanted->host, &found, &why)) {
    case STATUS_OK: break;
    case STATUS_CLOSED: return !is_first || complain(systemd, wanted->host, why);
    default: return complain(systemd, wanted->host, why);
    }
    if (!add(&found, list, count)) return false;
  }
}

bool systemd_find_sockets(struct systemd *systemd, const struct address *addresses, size_t count,
                          struct address **list, size_t *list_count) {
  *list = NULL;
  *list_count = 0;
  bool ok = true;
  for (size_t i = 0; i < count && ok; i++)
    ok = addresses[i].kind == ADDRESS_SYSTEMD
             ? add_sockets(systemd, &addresses[i], list, list_count)
             : add(&addresses[i], list, list_count);
  return ok;
}

void systemd_close_rest(struct systemd *systemd) {
  struct log_line line;
  size_t unused = passed_sockets_deinit(&systemd->sockets);
  if (unused == 0 || !log_begin(&line, LOG_WARN, "sockets_not_used")) return;
  log_integer(&line, "count", (int64_t)unused);
  log_text(&line, "detail", "systemd has passed sockets that no --listen names");
  log_end(&line);
}

void systemd_deinit(struct systemd *systemd) {
  (void)passed_sockets_deinit(&systemd->sockets);
  notify_socket_close(systemd->notify_socket);
  free(systemd->socket_names);
}
