#include "cli/options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/spelling.h"
#include "io/socket.h"
#include "modules/modules.h"

enum answer {
  OPTION_SCRIPT = 1, /* what getopt_long() answers for an argument that is no option */
  OPTION_HELP = 'h',
  OPTION_LISTEN = 'l',
  OPTION_VERSION = 'v',
  OPTION_MAX_CONNECTIONS = 256,
  OPTION_MAX_REQUEST,
  OPTION_REQUEST_TIMEOUT,
  OPTION_IDLE_TIMEOUT,
  OPTION_WRITE_TIMEOUT,
  OPTION_CALL_TIMEOUT,
  OPTION_MEMORY_LIMIT,
  OPTION_SET,
  OPTION_POLLER,
  OPTION_RESOLVE_NAMES,
  OPTION_NAME_SERVER,
  OPTION_NO_WATCH,
  OPTION_PREFLIGHT,
  OPTION_RECORD,
  OPTION_LOG_LEVEL,
  OPTION_LOG_FORMAT,
  OPTION_LOG_BYTES,
  OPTION_TCP_KEEPALIVE,
  OPTION_MAX_BUFFERED,
  OPTION_PATHS,
  OPTION_FORMAT, /* from here on of a tool */
  OPTION_SEED,
  OPTION_SECONDS,
  OPTION_FINGERPRINT,
  OPTION_ALLOW_EFFECTS
};

static const struct option long_options[] = {
    {"listen", required_argument, NULL, OPTION_LISTEN},
    {"max-connections", required_argument, NULL, OPTION_MAX_CONNECTIONS},
    {"max-request", required_argument, NULL, OPTION_MAX_REQUEST},
    {"request-timeout", required_argument, NULL, OPTION_REQUEST_TIMEOUT},
    {"idle-timeout", required_argument, NULL, OPTION_IDLE_TIMEOUT},
    {"write-timeout", required_argument, NULL, OPTION_WRITE_TIMEOUT},
    {"call-timeout", required_argument, NULL, OPTION_CALL_TIMEOUT},
    {"memory-limit", required_argument, NULL, OPTION_MEMORY_LIMIT},
    {"set", required_argument, NULL, OPTION_SET},
    {"poller", required_argument, NULL, OPTION_POLLER},
    {"resolve-names", no_argument, NULL, OPTION_RESOLVE_NAMES},
    {"name-server", required_argument, NULL, OPTION_NAME_SERVER},
    {"no-watch", no_argument, NULL, OPTION_NO_WATCH},
    {"preflight", no_argument, NULL, OPTION_PREFLIGHT},
    {"record", required_argument, NULL, OPTION_RECORD},
    {"log-level", required_argument, NULL, OPTION_LOG_LEVEL},
    {"log-format", required_argument, NULL, OPTION_LOG_FORMAT},
    {"log-bytes", required_argument, NULL, OPTION_LOG_BYTES},
    {"tcp-keepalive", required_argument, NULL, OPTION_TCP_KEEPALIVE},
    {"max-buffered", required_argument, NULL, OPTION_MAX_BUFFERED},
    {"paths", no_argument, NULL, OPTION_PATHS},
    {"version", no_argument, NULL, OPTION_VERSION},
    {"help", no_argument, NULL, OPTION_HELP},
    {"format", required_argument, NULL, OPTION_FORMAT},
    {"seed", required_argument, NULL, OPTION_SEED},
    {"seconds", required_argument, NULL, OPTION_SECONDS},
    {"fingerprint", no_argument, NULL, OPTION_FINGERPRINT},
    {"allow-effects", no_argument, NULL, OPTION_ALLOW_EFFECTS},
    {NULL, 0, NULL, 0},
};

enum { DEFAULT_CALL_TIMEOUT = 1000, DEFAULT_KEEPALIVE = 300 };

/* A memory limit that Lua itself and a script's code fit in. */
static const int64_t min_memory = 256 * 1024;
static const int64_t max_bytes = INT64_MAX / 4;
static const double max_seconds = 1e9;

static bool complain(const char *name, const char *value, const char *wanted) {
  fprintf(stderr, "parlance: --%s %s: not %s\n", name, value, wanted);
  return false;
}

static bool parse_whole(const char *name, const char *text, int64_t low, int64_t high,
                        bool with_unit, const char *wanted, int64_t *value) {
  char *end;
  errno = 0;
  if (*text < '0' || *text > '9') return complain(name, text, wanted);
  long long number = strtoll(text, &end, 10);
  if (errno != 0) return complain(name, text, wanted);
  int shift = 0;
  if (with_unit && *end != '\0') {
    const char *units = "KMG", *unit = strchr(units, *end >= 'a' ? *end - ('a' - 'A') : *end);
    if (!unit || *++end != '\0') return complain(name, text, wanted);
    shift = 10 * ((int)(unit - units) + 1);
  }
  if (*end != '\0' || number > (high >> shift) || (number << shift) < low)
    return complain(name, text, wanted);
  *value = (int64_t)number << shift;
  return true;
}

static bool parse_bytes(const char *name, const char *text, int64_t low, int64_t *value) {
  const char *wanted = low > 1 ? "a number of bytes from 256K up" : "a number of bytes from 1 up";
  return parse_whole(name, text, low, max_bytes, true, wanted, value);
}

/* Seconds to milliseconds, rounded up, so that a small limit does not become none. */
static bool parse_seconds(const char *name, const char *text, int64_t *value) {
  char *end;
  double seconds = strtod(text, &end);
  bool is_plain = strspn(text, "0123456789.") == strlen(text);
  if (*text == '\0' || *end != '\0' || !is_plain || !(seconds >= 0 && seconds <= max_seconds))
    return complain(name, text, "a number of seconds, such as 0.5");
  *value = (int64_t)ceil(seconds * 1000);
  return true;
}

static struct script_entry fresh_entry(void) {
  return (struct script_entry){.script = {.open_modules = modules_open,
                                          .call_timeout = DEFAULT_CALL_TIMEOUT,
                                          .max_request = LIMIT_NOT_GIVEN,
                                          .request_timeout = LIMIT_NOT_GIVEN,
                                          .idle_timeout = LIMIT_NOT_GIVEN,
                                          .write_timeout = LIMIT_NOT_GIVEN}};
}

static bool out_of_memory(void) {
  fputs("parlance: not enough memory\n", stderr);
  return false;
}

static bool add_address(struct script_entry *entry, const char *text) {
  struct address address;
  const char *why;
  if (address_parse(text, &address, &why) != STATUS_OK) {
    fprintf(stderr, "parlance: --listen %s: %s%s\n", text, why, address_hint(text));
    return false;
  }
  struct address *grown =
      realloc(entry->addresses, (entry->address_count + 1) * sizeof *entry->addresses);
  if (!grown) return out_of_memory();
  grown[entry->address_count++] = address;
  entry->addresses = grown;
  return true;
}

/* The texts of the setting stay where they are, in the command line. */
static bool add_setting(struct script_entry *entry, const char *text) {
  struct script_options *script = &entry->script;
  size_t name_length = strcspn(text, "=");
  struct span name = {text, name_length};
  if (text[name_length] != '=') return complain("set", text, "NAME=VALUE");
  if (!script_setting_is_name(name)) {
    fprintf(stderr, "parlance: --set %s: a name must have %s\n", text, script_setting_names);
    return false;
  }
  struct script_setting *grown =
      realloc(entry->settings, (script->setting_count + 1) * sizeof *entry->settings);
  if (!grown) return out_of_memory();
  struct span value = {text + name_length + 1, strlen(text + name_length + 1)};
  grown[script->setting_count++] = (struct script_setting){name, value};
  script->settings = entry->settings = grown;
  return true;
}

/* The script at path; or, where no file is there, PATH.lua. */
static bool choose_path(struct script_entry *entry, const char *path) {
  struct stat about;
  entry->script.path = path;
  if (stat(path, &about) == 0 && !S_ISDIR(about.st_mode)) return true;
  if (asprintf(&entry->longer_path, "%s.lua", path) < 0) {
    entry->longer_path = NULL;
    return out_of_memory();
  }
  if (stat(entry->longer_path, &about) == 0 && !S_ISDIR(about.st_mode))
    entry->script.path = entry->longer_path;
  return true;
}

static bool add_script(struct options *options, struct script_entry *entry, const char *path) {
  if (!choose_path(entry, path)) return false;
  struct script_entry *grown =
      realloc(options->scripts, (options->script_count + 1) * sizeof *options->scripts);
  if (!grown) return out_of_memory();
  grown[options->script_count++] = *entry;
  options->scripts = grown;
  *entry = fresh_entry();
  return true;
}

static bool is_folder(const char *path) {
  struct stat about;
  return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

/* Behind a script that is to be checked. */
static bool is_transcript(const struct options *options, const char *path) {
  const char *ending = strrchr(path, '.');
  if (options->command == COMMAND_SERVE || options->script_count == 0) return false;
  return (ending && strcmp(ending, ".transcript") == 0) || is_folder(path);
}

static bool add_transcript(struct script_entry *entry, const char *path) {
  const char **grown =
      realloc(entry->transcripts, (entry->transcript_count + 1) * sizeof *entry->transcripts);
  if (!grown) return out_of_memory();
  grown[entry->transcript_count++] = path;
  entry->transcripts = grown;
  return true;
}

/* An argument that is no option. */
static bool add_argument(struct options *options, struct script_entry *entry, const char *path) {
  if (is_transcript(options, path))
    return add_transcript(&options->scripts[options->script_count - 1], path);
  return add_script(options, entry, path);
}

/* An option of the script that follows. */
static bool set_for_script(struct script_entry *entry, int option, const char *name) {
  struct script_options *script = &entry->script;
  int64_t value = 0;
  bool ok;
  switch (option) {
  case OPTION_LISTEN: return add_address(entry, optarg);
  case OPTION_SET: return add_setting(entry, optarg);
  case OPTION_MAX_REQUEST: return parse_bytes(name, optarg, 1, &script->max_request);
  case OPTION_REQUEST_TIMEOUT: return parse_seconds(name, optarg, &script->request_timeout);
  case OPTION_IDLE_TIMEOUT: return parse_seconds(name, optarg, &script->idle_timeout);
  case OPTION_WRITE_TIMEOUT: return parse_seconds(name, optarg, &script->write_timeout);
  case OPTION_CALL_TIMEOUT: return parse_seconds(name, optarg, &script->call_timeout);
  case OPTION_MEMORY_LIMIT:
    ok = parse_bytes(name, optarg, min_memory, &value);
    script->memory_limit = (size_t)value;
    return ok;
  default:
    ok = parse_whole(name, optarg, 1, INT32_MAX, false, "a whole number from 1 up", &value);
    entry->max_connections = (size_t)value;
    return ok;
  }
}

/* Whether the command has this option of the tools. */
static bool has_tool_option(const struct options *options, int option) {
  if (options->command == COMMAND_SERVE) return false;
  bool is_of_fuzz = option == OPTION_SEED;
  return option == OPTION_SECONDS || option == OPTION_ALLOW_EFFECTS ||
         is_of_fuzz == (options->command == COMMAND_FUZZ);
}

/* An option of the command; the tools take values as they were typed. */
static bool set_for_tool(struct options *options, int option, const char *name) {
  int64_t value;
  bool ok = true;
  if (option == OPTION_ALLOW_EFFECTS) options->allows_effects = true;
  if (option == OPTION_ALLOW_EFFECTS && options->command == COMMAND_SERVE) return true;
  if (!has_tool_option(options, option)) {
    fprintf(stderr, "parlance: --%s is an option of another command; see parlance --help\n", name);
    return false;
  }
  if (option == OPTION_FORMAT)
    ok = strcmp(optarg, "text") == 0 || strcmp(optarg, "tap") == 0 || strcmp(optarg, "json") == 0 ||
         complain("format", optarg, "text, tap or json");
  else if (option == OPTION_SEED)
    ok = parse_whole(name, optarg, 0, INT64_MAX, false, "a whole number from 0 up", &value);
  else if (option == OPTION_SECONDS)
    ok = parse_seconds(name, optarg, &value);
  const char *text = optarg ? optarg : "";
  if (options->tool_count < TOOL_OPTIONS_MAX)
    options->tool[options->tool_count++] = (struct program_option){name, text};
  return ok;
}

/* An option of the whole server. */
static bool set_for_server(struct options *options, int option) {
  struct address address;
  int64_t number;
  const char *why;
  switch (option) {
  case OPTION_POLLER:
    options->server.poller = optarg;
    return strcmp(optarg, "epoll") == 0 || strcmp(optarg, "select") == 0 ||
           complain("poller", optarg, "epoll or select");
  case OPTION_RESOLVE_NAMES: options->server.resolve_names = true; return true;
  case OPTION_NO_WATCH: options->server.watches = false; return true;
  case OPTION_PREFLIGHT: options->preflights = true; return true;
  case OPTION_RECORD:
    options->server.record = optarg;
    return *optarg != '\0' || complain("record", optarg, "a folder");
  case OPTION_NAME_SERVER:
    options->server.name_server = optarg;
    if (address_parse(optarg, &address, &why) == STATUS_OK && !address.is_unix) return true;
    return complain("name-server", optarg, "a numeric address and a port");
  case OPTION_LOG_LEVEL:
    return log_parse_level(optarg, &options->log_level) ||
           complain("log-level", optarg, "debug, info, warn or error");
  case OPTION_LOG_FORMAT:
    return log_parse_format(optarg, &options->log_format) ||
           complain("log-format", optarg, "text or json");
  case OPTION_LOG_BYTES:
    if (!parse_whole("log-bytes", optarg, 0, LOG_SHOWN_MAX, false, "a whole number from 0 to 1024",
                     &number))
      return false;
    options->log_bytes = (size_t)number;
    return true;
  case OPTION_TCP_KEEPALIVE:
    if (!parse_seconds("tcp-keepalive", optarg, &number)) return false;
    number = (number + 999) / 1000; /* the kernel counts whole seconds */
    options->server.keepalive = (int)number;
    return number <= SOCKET_KEEPALIVE_MAX ||
           complain("tcp-keepalive", optarg, "a number of seconds up to 32767");
  case OPTION_MAX_BUFFERED:
    if (!parse_whole("max-buffered", optarg, 0, max_bytes, true, "a number of bytes", &number))
      return false;
    options->server.max_buffered = (size_t)number;
    return true;
  case OPTION_PATHS: options->paths = true; return true;
  case OPTION_VERSION: options->version = true; return true;
  default: options->help = true; return true;
  }
}

/* The long option whose name is nearest to what was typed; NULL: none is near. */
static const char *nearest_option(const char *typed) {
  const char *names[sizeof long_options / sizeof *long_options];
  char name[64];
  size_t count = 0, length = strcspn(typed, "=");
  for (; long_options[count].name; count++) names[count] = long_options[count].name;
  if (length >= sizeof name) return NULL;
  memcpy(name, typed, length);
  name[length] = '\0';
  return spelling_nearest(name, names, count);
}

static bool refuse_option(char **argv, int answer) {
  const char *text = argv[optind - 1];
  const char *near = strncmp(text, "--", 2) == 0 ? nearest_option(text + 2) : NULL;
  if (answer == ':')
    fprintf(stderr, "parlance: %s needs a value; see parlance --help\n", text);
  else if (optopt > 0 && optopt < OPTION_MAX_CONNECTIONS)
    fprintf(stderr, "parlance: unknown option -%c; see parlance --help\n", optopt);
  else if (near && optopt == 0)
    fprintf(stderr, "parlance: unknown option %s; did you mean --%s? See parlance --help\n", text,
            near);
  else
    fprintf(stderr, "parlance: unknown option %s; see parlance --help\n", text);
  return false;
}

static bool check_rest(const struct options *options, const char *last_option) {
  if (options->help || options->version || options->paths) return true;
  if (options->script_count == 0) {
    fputs("parlance: no script is given; see parlance --help\n", stderr);
    return false;
  }
  if (!last_option) return true;
  fprintf(stderr,
          "parlance: --%s stands behind the last script; it must stand before the one it is for\n",
          last_option);
  return false;
}

static bool parse_all(struct options *options, struct script_entry *entry, int argc, char **argv) {
  const char *last_option = NULL; /* of a script that has not come yet */
  int index = 0, answer;
  while ((answer = getopt_long(argc, argv, "-:hl:v", long_options, &index)) != -1) {
    if (answer == '?' || answer == ':') return refuse_option(argv, answer);
    if (answer == OPTION_SCRIPT) {
      if (!add_argument(options, entry, optarg)) return false;
      last_option = NULL;
    } else if (answer >= OPTION_FORMAT) {
      if (!set_for_tool(options, answer, long_options[index].name)) return false;
    } else if (answer >= OPTION_POLLER || answer == OPTION_HELP || answer == OPTION_VERSION) {
      if (!set_for_server(options, answer)) return false;
    } else {
      last_option = answer == OPTION_LISTEN ? "listen" : long_options[index].name;
      if (!set_for_script(entry, answer, last_option)) return false;
    }
  }
  for (; optind < argc; optind++) { /* behind "--" */
    if (!add_argument(options, entry, argv[optind])) return false;
    last_option = NULL;
  }
  return check_rest(options, last_option);
}

static enum command command_of(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "check") == 0) return COMMAND_CHECK;
  if (argc > 1 && strcmp(argv[1], "fuzz") == 0) return COMMAND_FUZZ;
  return COMMAND_SERVE;
}

static void free_entry(struct script_entry *entry) {
  free(entry->addresses);
  free(entry->settings);
  free(entry->longer_path);
}

bool options_parse(struct options *options, int argc, char **argv) {
  *options = (struct options){.command = command_of(argc, argv),
                              .server = {.poller = "epoll",
                                         .watches = true,
                                         .max_buffered = BUFFERED_NOT_GIVEN,
                                         .keepalive = DEFAULT_KEEPALIVE},
                              .log_bytes = LOG_SHOWN,
                              .log_level = LOG_INFO};
  struct script_entry entry = fresh_entry();
  opterr = 0;
  optind = options->command == COMMAND_SERVE ? 1 : 2;
  bool ok = parse_all(options, &entry, argc, argv);
  free_entry(&entry);
  return ok;
}

void options_deinit(struct options *options) {
  for (size_t i = 0; i < options->script_count; i++) {
    free_entry(&options->scripts[i]);
    free(options->scripts[i].transcripts);
  }
  free(options->scripts);
}
