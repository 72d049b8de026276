#include "cli/options.h"

#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/spelling.h"
#include "cli/option_values.h"
#include "modules/modules.h"

enum { DEFAULT_CALL_TIMEOUT = 1000, DEFAULT_DRAIN_TIMEOUT = 10000, DEFAULT_KEEPALIVE = 300 };

static struct script_entry fresh_entry(void) {
  return (struct script_entry){.script = {.open_modules = modules_open,
                                          .call_timeout = DEFAULT_CALL_TIMEOUT,
                                          .max_request = LIMIT_NOT_GIVEN,
                                          .max_unsent = LIMIT_NOT_GIVEN,
                                          .request_timeout = LIMIT_NOT_GIVEN,
                                          .idle_timeout = LIMIT_NOT_GIVEN,
                                          .write_timeout = LIMIT_NOT_GIVEN,
                                          .response_timeout = LIMIT_NOT_GIVEN,
                                          .max_tasks = LIMIT_NOT_GIVEN}};
}

static bool out_of_memory(void) {
  fputs("parlance: not enough memory\n", stderr);
  return false;
}

static bool add_address(const char *name, const char *text, void *field) {
  struct script_entry *entry = field;
  struct address address;
  const char *why;
  if (address_parse_listener(text, &address, &why) != STATUS_OK) {
    fprintf(stderr, "parlance: --%s %s: %s%s\n", name, text, why, address_hint(text));
    return false;
  }
  struct address *grown =
      realloc(entry->addresses, (entry->address_count + 1) * sizeof *entry->addresses);
  if (!grown) return out_of_memory();
  grown[entry->address_count++] = address;
  entry->addresses = grown;
  return true;
}

/* The setting points into the command line. */
static bool add_setting(const char *option, const char *text, void *field) {
  struct script_entry *entry = field;
  struct script_options *script = &entry->script;
  size_t name_length = strcspn(text, "=");
  struct span name = {text, name_length};
  if (text[name_length] != '=') return option_complain(option, text, "NAME=VALUE");
  if (!script_setting_is_name(name)) {
    fprintf(stderr, "parlance: --%s %s: a name must have %s\n", option, text, script_setting_names);
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

static bool is_folder(const char *path) {
  struct stat about;
  return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

static bool is_file(const char *path) { return access(path, F_OK) == 0 && !is_folder(path); }

/* Takes the script at the path or, if no file is there, the one at PATH.lua. */
static bool choose_path(struct script_entry *entry, const char *path) {
  entry->script.path = path;
  if (is_file(path)) return true;
  if (asprintf(&entry->longer_path, "%s.lua", path) < 0) {
    entry->longer_path = NULL;
    return out_of_memory();
  }
  if (is_file(entry->longer_path)) entry->script.path = entry->longer_path;
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

/* Whether the argument is a transcript or a folder of transcripts for the script before it. */
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

static bool add_argument(struct options *options, struct script_entry *entry, const char *path) {
  if (is_transcript(options, path))
    return add_transcript(&options->scripts[options->script_count - 1], path);
  return add_script(options, entry, path);
}

/* ---- the table of options ------------------------------------------------------------------ */

/* What an option is for. */
enum kind {
  OF_SCRIPT, /* The next script; its field is in struct script_entry. */
  OF_SERVER, /* The server; accepted with every command. Fields of all others are in struct options.
              */
  OF_ALL,    /* The server, check and fuzz. */
  OF_TOOLS,  /* check and fuzz. */
  OF_CHECK,
  OF_FUZZ
};

struct known_option {
  const char *name;
  char letter; /* The short form, or 0. */
  enum kind kind;
  option_setter *set; /* NULL: it takes no value, and its field is a bool that becomes true. */
  size_t field;       /* The offset of the field. */
};

#define ENTRY(field) offsetof(struct script_entry, field)
#define OPTIONS(field) offsetof(struct options, field)

static const struct known_option known_options[] = {
    {"listen", 'l', OF_SCRIPT, add_address, 0},
    {"socket-mode", 0, OF_SCRIPT, option_set_socket_mode, ENTRY(access)},
    {"socket-group", 0, OF_SCRIPT, option_set_socket_group, ENTRY(access)},
    {"certificate", 0, OF_SCRIPT, certificates_add, ENTRY(certificates)},
    {"key", 0, OF_SCRIPT, certificates_set_key, ENTRY(certificates)},
    {"client-ca", 0, OF_SCRIPT, certificates_set_client_ca, ENTRY(certificates)},
    {"client-verify", 0, OF_SCRIPT, certificates_set_client_verify, ENTRY(certificates)},
    {"alpn", 0, OF_SCRIPT, certificates_set_alpn, ENTRY(certificates)},
    {"tls-min", 0, OF_SCRIPT, certificates_set_tls_min, ENTRY(certificates)},
    {"max-connections", 0, OF_SCRIPT, option_set_max_connections, ENTRY(max_connections)},
    {"max-connections-per-peer", 0, OF_SCRIPT, option_set_max_per_peer,
     ENTRY(max_connections_per_peer)},
    {"accept-proxy", 0, OF_SCRIPT, option_add_ranges, ENTRY(accept_proxy)},
    {"max-tasks", 0, OF_SCRIPT, option_set_max_tasks, ENTRY(script.max_tasks)},
    {"max-request", 0, OF_SCRIPT, option_set_bytes, ENTRY(script.max_request)},
    {"max-unsent", 0, OF_SCRIPT, option_set_bytes, ENTRY(script.max_unsent)},
    {"request-timeout", 0, OF_SCRIPT, option_set_seconds, ENTRY(script.request_timeout)},
    {"idle-timeout", 0, OF_SCRIPT, option_set_seconds, ENTRY(script.idle_timeout)},
    {"write-timeout", 0, OF_SCRIPT, option_set_seconds, ENTRY(script.write_timeout)},
    {"response-timeout", 0, OF_SCRIPT, option_set_seconds, ENTRY(script.response_timeout)},
    {"call-timeout", 0, OF_SCRIPT, option_set_seconds, ENTRY(script.call_timeout)},
    {"memory-limit", 0, OF_SCRIPT, option_set_memory_limit, ENTRY(script.memory_limit)},
    {"set", 0, OF_SCRIPT, add_setting, 0},
    {"poller", 0, OF_SERVER, option_set_poller, OPTIONS(server.poller)},
    {"max-datagrams-per-peer", 0, OF_SERVER, option_set_datagrams,
     OPTIONS(server.max_datagrams_per_peer)},
    {"resolve-names", 0, OF_SERVER, NULL, OPTIONS(server.resolve_names)},
    {"name-server", 0, OF_SERVER, option_set_name_server, OPTIONS(server.name_server)},
    {"no-watch", 0, OF_SERVER, NULL, OPTIONS(no_watch)},
    {"preflight", 0, OF_SERVER, NULL, OPTIONS(preflights)},
    {"record", 0, OF_SERVER, option_set_folder, OPTIONS(server.record)},
    {"log-level", 0, OF_SERVER, option_set_log_level, OPTIONS(log_level)},
    {"log-format", 0, OF_SERVER, option_set_log_format, OPTIONS(log_format)},
    {"log-file", 0, OF_SERVER, option_set_file, OPTIONS(log_file)},
    {"log-bytes", 0, OF_SERVER, option_set_log_bytes, OPTIONS(log_bytes)},
    {"tcp-keepalive", 0, OF_SERVER, option_set_keepalive, OPTIONS(server.keepalive)},
    {"drain-timeout", 0, OF_SERVER, option_set_seconds, OPTIONS(server.drain_timeout)},
    {"max-buffered", 0, OF_SERVER, option_set_max_buffered, OPTIONS(server.max_buffered)},
    {"paths", 0, OF_SERVER, NULL, OPTIONS(paths)},
    {"version", 'v', OF_SERVER, NULL, OPTIONS(version)},
    {"help", 'h', OF_SERVER, NULL, OPTIONS(help)},
    {"format", 0, OF_CHECK, option_check_format, 0},
    {"seed", 0, OF_TOOLS, option_check_seed, 0},
    {"seconds", 0, OF_TOOLS, option_check_seconds, 0},
    {"strict", 0, OF_CHECK, NULL, OPTIONS(is_strict)},
    {"fingerprint", 0, OF_CHECK, NULL, OPTIONS(wants_fingerprint)},
    {"allow-effects", 0, OF_ALL, NULL, OPTIONS(allows_effects)},
};

enum {
  KNOWN_COUNT = sizeof known_options / sizeof *known_options,
  SCRIPT_ANSWER = 1, /* getopt_long() answers this for an argument that is no option. */
  FIRST_ANSWER = 256 /* It answers this for known_options[0] in its long form, and so on. */
};

static const struct known_option *option_of(int answer) {
  if (answer >= FIRST_ANSWER) return &known_options[answer - FIRST_ANSWER];
  const struct known_option *known = known_options;
  while (known->letter != answer) known++;
  return known;
}

static bool is_of_command(enum kind kind, enum command command) {
  switch (kind) {
  case OF_TOOLS: return command != COMMAND_SERVE;
  case OF_CHECK: return command == COMMAND_CHECK;
  case OF_FUZZ: return command == COMMAND_FUZZ;
  default: return true;
  }
}

static bool set_option(struct options *options, struct script_entry *entry,
                       const struct known_option *known, const char *text) {
  if (!is_of_command(known->kind, options->command)) {
    fprintf(stderr, "parlance: --%s is an option of another command; see parlance --help\n",
            known->name);
    return false;
  }
  char *field = (known->kind == OF_SCRIPT ? (char *)entry : (char *)options) + known->field;
  if (!known->set)
    *(bool *)(void *)field = true;
  else if (!known->set(known->name, text, field))
    return false;
  bool is_of_tool = known->kind >= OF_ALL && options->command != COMMAND_SERVE;
  if (is_of_tool && options->tool_count < TOOL_OPTIONS_MAX)
    options->tool[options->tool_count++] = (struct program_option){known->name, text ? text : ""};
  return true;
}

/* ---- the command line ---------------------------------------------------------------------- */

/* Returns the option whose name is nearest to what was typed; NULL: none is near. */
static const char *nearest_option(const char *typed) {
  const char *names[KNOWN_COUNT];
  char name[64];
  size_t length = strcspn(typed, "=");
  for (size_t i = 0; i < KNOWN_COUNT; i++) names[i] = known_options[i].name;
  if (length >= sizeof name) return NULL;
  memcpy(name, typed, length);
  name[length] = '\0';
  return spelling_nearest(name, names, KNOWN_COUNT);
}

static bool refuse_option(char **argv, int answer) {
  const char *text = argv[optind - 1];
  const char *near = strncmp(text, "--", 2) == 0 ? nearest_option(text + 2) : NULL;
  if (answer == ':')
    fprintf(stderr, "parlance: %s needs a value; see parlance --help\n", text);
  else if (optopt > 0 && optopt < FIRST_ANSWER)
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

/* Fills what getopt_long() wants to know of the options. */
static void describe_options(struct option long_options[KNOWN_COUNT + 1],
                             char letters[2 * KNOWN_COUNT + 3]) {
  letters += sprintf(letters, "-:");
  for (int i = 0; i < KNOWN_COUNT; i++) {
    const struct known_option *known = &known_options[i];
    int has_value = known->set ? required_argument : no_argument;
    long_options[i] = (struct option){known->name, has_value, NULL, FIRST_ANSWER + i};
    if (known->letter != 0)
      letters += sprintf(letters, has_value == required_argument ? "%c:" : "%c", known->letter);
  }
  long_options[KNOWN_COUNT] = (struct option){NULL, 0, NULL, 0};
}

static bool parse_all(struct options *options, struct script_entry *entry, int argc, char **argv) {
  const char *last_option = NULL; /* The last option for a script that was not named yet. */
  struct option long_options[KNOWN_COUNT + 1];
  char letters[2 * KNOWN_COUNT + 3];
  int answer;
  describe_options(long_options, letters);
  while ((answer = getopt_long(argc, argv, letters, long_options, NULL)) != -1) {
    if (answer == '?' || answer == ':') return refuse_option(argv, answer);
    if (answer == SCRIPT_ANSWER) {
      if (!add_argument(options, entry, optarg)) return false;
      last_option = NULL;
      continue;
    }
    const struct known_option *known = option_of(answer);
    if (known->kind == OF_SCRIPT) last_option = known->name;
    if (!set_option(options, entry, known, optarg)) return false;
  }
  for (; optind < argc; optind++) { /* The arguments after "--". */
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
  certificate_options_deinit(&entry->certificates);
  free(entry->settings);
  free(entry->longer_path);
  free(entry->transcripts);
  cidr_list_deinit(&entry->accept_proxy);
}

bool options_parse(struct options *options, int argc, char **argv) {
  *options = (struct options){.command = command_of(argc, argv),
                              .server = {.poller = "epoll",
                                         .max_buffered = BUFFERED_NOT_GIVEN,
                                         .drain_timeout = DEFAULT_DRAIN_TIMEOUT,
                                         .keepalive = DEFAULT_KEEPALIVE},
                              .log_bytes = LOG_SHOWN,
                              .log_level = LOG_INFO};
  struct script_entry entry = fresh_entry();
  opterr = 0;
  optind = options->command == COMMAND_SERVE ? 1 : 2;
  bool ok = parse_all(options, &entry, argc, argv);
  options->server.watches = !options->no_watch;
  free_entry(&entry);
  return ok;
}

void options_deinit(struct options *options) {
  for (size_t i = 0; i < options->script_count; i++) free_entry(&options->scripts[i]);
  free(options->scripts);
}
