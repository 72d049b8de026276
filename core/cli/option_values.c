#include "cli/option_values.h"

#include <errno.h>
#include <grp.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "io/address.h"
#include "io/cidr.h"
#include "io/socket.h"

/* Lua itself and a small script fit in this memory limit. */
static const int64_t min_memory = 256 * 1024;
static const int64_t max_bytes = INT64_MAX / 4;
static const double max_seconds = 1e9;

bool option_complain(const char *name, const char *value, const char *wanted) {
  fprintf(stderr, "parlance: --%s %s: not %s\n", name, value, wanted);
  return false;
}

static bool parse_whole(const char *name, const char *text, int64_t low, int64_t high,
                        bool with_unit, const char *wanted, int64_t *value) {
  char *end;
  errno = 0;
  if (*text < '0' || *text > '9') return option_complain(name, text, wanted);
  long long number = strtoll(text, &end, 10);
  if (errno != 0) return option_complain(name, text, wanted);
  int shift = 0;
  if (with_unit && *end != '\0') {
    const char *units = "KMG", *unit = strchr(units, *end >= 'a' ? *end - ('a' - 'A') : *end);
    if (!unit || *++end != '\0') return option_complain(name, text, wanted);
    shift = 10 * ((int)(unit - units) + 1);
  }
  if (*end != '\0' || number > (high >> shift) || (number << shift) < low)
    return option_complain(name, text, wanted);
  *value = (int64_t)number << shift;
  return true;
}

/* Converts seconds to milliseconds and rounds up: 0 would mean no limit. */
static bool parse_seconds(const char *name, const char *text, int64_t *value) {
  char *end;
  double seconds = strtod(text, &end);
  bool is_plain = strspn(text, "0123456789.") == strlen(text);
  if (*text == '\0' || *end != '\0' || !is_plain || !(seconds >= 0 && seconds <= max_seconds))
    return option_complain(name, text, "a number of seconds, such as 0.5");
  *value = (int64_t)ceil(seconds * 1000);
  return true;
}

bool option_set_seconds(const char *name, const char *text, void *field) {
  return parse_seconds(name, text, field);
}

bool option_set_bytes(const char *name, const char *text, void *field) {
  return parse_whole(name, text, 1, max_bytes, true, "a number of bytes from 1 up", field);
}

bool option_set_max_tasks(const char *name, const char *text, void *field) {
  return parse_whole(name, text, 1, 1000000000, false, "a whole number from 1 up", field);
}

static bool set_size(const char *name, const char *text, int64_t low, int64_t high, bool with_unit,
                     const char *wanted, size_t *field) {
  int64_t value;
  if (!parse_whole(name, text, low, high, with_unit, wanted, &value)) return false;
  *field = (size_t)value;
  return true;
}

bool option_set_memory_limit(const char *name, const char *text, void *field) {
  return set_size(name, text, min_memory, max_bytes, true, "a number of bytes from 256K up", field);
}

bool option_set_datagrams(const char *name, const char *text, void *field) {
  return set_size(name, text, 1, 1000000000, false, "a whole number from 1 up", field);
}

bool option_set_max_buffered(const char *name, const char *text, void *field) {
  return set_size(name, text, 0, max_bytes, true, "a number of bytes", field);
}

bool option_set_max_connections(const char *name, const char *text, void *field) {
  return set_size(name, text, 1, INT32_MAX, false, "a whole number from 1 up", field);
}

bool option_set_max_per_peer(const char *name, const char *text, void *field) {
  return set_size(name, text, 0, INT32_MAX, false, "a whole number", field);
}

bool option_add_ranges(const char *name, const char *text, void *field) {
  struct span fault;
  const char *why;
  switch (cidr_list_add(field, text, &fault, &why)) {
  case STATUS_OK: return true;
  case STATUS_NO_MEMORY: fputs("parlance: not enough memory\n", stderr); return false;
  default:
    fprintf(stderr, "parlance: --%s %s: \"%.*s\": %s\n", name, text, (int)fault.length, fault.data,
            why);
    return false;
  }
}

bool option_set_log_bytes(const char *name, const char *text, void *field) {
  return set_size(name, text, 0, LOG_SHOWN_MAX, false, "a whole number from 0 to 1024", field);
}

bool option_set_keepalive(const char *name, const char *text, void *field) {
  int64_t number;
  if (!parse_seconds(name, text, &number)) return false;
  number = (number + 999) / 1000; /* The kernel counts whole seconds. */
  *(int *)field = (int)number;
  return number <= SOCKET_KEEPALIVE_MAX ||
         option_complain(name, text, "a number of seconds up to 32767");
}

bool option_set_socket_mode(const char *name, const char *text, void *field) {
  bool is_octal = *text != '\0' && strlen(text) <= 4 && strspn(text, "01234567") == strlen(text);
  long mode = is_octal ? strtol(text, NULL, 8) : -1;
  if (mode < 0 || mode > 0777) return option_complain(name, text, "an octal mode, such as 0660");
  struct socket_access *access = field;
  access->has_mode = true;
  access->mode = (mode_t)mode;
  return true;
}

bool option_set_socket_group(const char *name, const char *text, void *field) {
  const struct group *group = getgrnam(text);
  if (!group) return option_complain(name, text, "a group of this machine");
  struct socket_access *access = field;
  access->has_group = true;
  access->group = group->gr_gid;
  return true;
}

bool option_set_poller(const char *name, const char *text, void *field) {
  *(const char **)field = text;
  return strcmp(text, "epoll") == 0 || strcmp(text, "select") == 0 ||
         option_complain(name, text, "epoll or select");
}

bool option_set_folder(const char *name, const char *text, void *field) {
  *(const char **)field = text;
  return *text != '\0' || option_complain(name, text, "a folder");
}

bool option_set_file(const char *name, const char *text, void *field) {
  *(const char **)field = text;
  return *text != '\0' || option_complain(name, text, "a file");
}

bool option_set_name_server(const char *name, const char *text, void *field) {
  struct address address;
  const char *why;
  *(const char **)field = text;
  if (address_parse(text, &address, &why) == STATUS_OK && address.kind != ADDRESS_UNIX) return true;
  return option_complain(name, text, "a numeric address and a port");
}

bool option_set_log_level(const char *name, const char *text, void *field) {
  return log_parse_level(text, field) || option_complain(name, text, "debug, info, warn or error");
}

bool option_set_log_format(const char *name, const char *text, void *field) {
  return log_parse_format(text, field) || option_complain(name, text, "text or json");
}

/* These functions only check: check and fuzz get the values as they were typed. */

bool option_check_format(const char *name, const char *text, void *field) {
  (void)field;
  return strcmp(text, "text") == 0 || strcmp(text, "tap") == 0 || strcmp(text, "json") == 0 ||
         option_complain(name, text, "text, tap or json");
}

bool option_check_seed(const char *name, const char *text, void *field) {
  int64_t value;
  (void)field;
  return parse_whole(name, text, 0, INT64_MAX, false, "a whole number from 0 up", &value);
}

bool option_check_seconds(const char *name, const char *text, void *field) {
  int64_t value;
  (void)field;
  return parse_seconds(name, text, &value);
}
