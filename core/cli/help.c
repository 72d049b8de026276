#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/banner.h"
#include "cli/commands.h"
#include "reload/reload.h"

/* The descriptions of settings are aligned up to this length of a name. */
enum { WIDTH_MAX = 24 };

static void measure(void *context, const char *name, const char *about, const struct span *value) {
  int *width = context, length = (int)strlen(name);
  (void)about;
  (void)value;
  if (length > *width && length <= WIDTH_MAX) *width = length;
}

/* Prints a value in one line, whatever bytes it has. */
static void print_value(const struct span *value) {
  for (size_t i = 0; i < value->length; i++) {
    unsigned char byte = (unsigned char)value->data[i];
    if (byte < ' ' || byte == 0x7f)
      printf("\\x%02x", byte);
    else
      putchar(byte);
  }
}

static void print_setting(void *context, const char *name, const char *about,
                          const struct span *value) {
  const int *width = context;
  printf("  %-*s  %s", *width, name, about);
  if (value) {
    fputs(" [given: ", stdout);
    print_value(value);
    putchar(']');
  }
  putchar('\n');
}

static void print_settings(struct script *script) {
  int width = 0;
  (void)script_each_setting(script, measure, &width);
  if (width == 0) {
    puts("It documents no settings.");
    return;
  }
  puts("Settings, as in --set NAME=VALUE:");
  (void)script_each_setting(script, print_setting, &width);
}

/* Prints a limit as "30 s", "0.5 s" or "none". */
static void print_time(const char *option, int64_t ms) {
  if (ms == 0)
    printf("  --%-16s none\n", option);
  else
    printf("  --%-16s %g s\n", option, (double)ms / 1000);
}

static void print_limits(const struct limits *limits) {
  puts("Limits that hold where no option says otherwise:");
  printf("  --%-16s %zu bytes\n", "max-request", limits->max_request);
  printf("  --%-16s %zu bytes\n", "max-unsent", limits->max_unsent);
  print_time("request-timeout", limits->request_timeout);
  print_time("idle-timeout", limits->idle_timeout);
  print_time("write-timeout", limits->write_timeout);
  print_time("response-timeout", limits->response_timeout);
}

static void describe(struct script *script, const char *path) {
  const char *listen = script_listen(script);
  struct span example = script_example(script);
  printf("%s (%s)\n", script_name(script), path);
  printf("  listens on  %s\n", listen[0] ? listen : "localhost:8888");
  if (example.length > 0) {
    fputs("  example     printf '", stdout);
    banner_print_escaped(stdout, example);
    puts("'");
  }
  putchar('\n');
  print_settings(script);
  putchar('\n');
  print_limits(&script_handler(script)->limits);
}

/* Loads the script. What it prints meanwhile goes to standard error. */
static bool load_quietly(struct script *script, const char **error) {
  fflush(stdout);
  int kept = dup(STDOUT_FILENO);
  if (kept < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) return reload_load_first(script, error);
  bool is_loaded = reload_load_first(script, error);
  fflush(stdout);
  dup2(kept, STDOUT_FILENO);
  close(kept);
  return is_loaded;
}

static int describe_path(const struct script_options *options) {
  struct script *script;
  const char *error;
  if (script_create(options, &script) != STATUS_OK) {
    fprintf(stderr, "parlance: %s: not enough memory\n", options->path);
    return EXIT_FAILED;
  }
  int status = EXIT_REFUSED;
  if (load_quietly(script, &error)) {
    describe(script, options->path);
    status = EXIT_STOPPED;
  } else
    fprintf(stderr, "parlance: %s\n", error);
  script_destroy(script);
  return status;
}

int command_help(const struct options *options) {
  int status = EXIT_STOPPED;
  for (const char *const *section = options_help; options->script_count == 0 && *section; section++)
    fputs(*section, stdout);
  for (size_t i = 0; i < options->script_count && status == EXIT_STOPPED; i++) {
    if (i > 0) putchar('\n');
    status = describe_path(&options->scripts[i].script);
  }
  return status;
}
