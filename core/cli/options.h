/* options.h: parses the command line.
 *
 * Options for a script stand before it and hold for it alone; options for the whole server may
 * stand anywhere. Mistakes are reported on standard error in one line each. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "cli/certificates.h"
#include "io/address.h"
#include "io/cidr.h"
#include "io/socket.h"
#include "script/script.h"
#include "server/server.h"
#include "simulator/program.h"

/* The command: the first word of the command line. Without such a word it is COMMAND_SERVE. */
enum command { COMMAND_SERVE, COMMAND_CHECK, COMMAND_FUZZ };

struct script_entry {
  struct script_options script;
  const char **transcripts; /* Files and folders of transcripts for check and fuzz. */
  size_t transcript_count;
  struct address *addresses;
  size_t address_count;
  struct socket_access access; /* Of Unix sockets. */
  struct certificate_options certificates;
  size_t max_connections;
  size_t max_connections_per_peer;
  struct cidr_list accept_proxy;
  struct script_setting *settings; /* script.settings points to these. */
  char *longer_path;               /* PATH.lua if only PATH was given, or NULL. */
};

/* The value of server.max_buffered without the option. */
static const size_t BUFFERED_NOT_GIVEN = SIZE_MAX;

enum { TOOL_OPTIONS_MAX = 8 };

struct options {
  enum command command;
  struct server_options server;
  enum log_level log_level;
  enum log_format log_format;
  const char *log_file; /* NULL: the log goes to standard error. */
  size_t log_bytes;     /* How many bytes of a peer a line of the log may show. */
  bool no_watch;
  bool preflights;     /* A script is checked before it is reloaded. */
  bool allows_effects; /* A script that is simulated may change things on this machine. */
  bool is_strict;
  bool wants_fingerprint;
  bool help;
  bool version;
  bool paths;
  struct program_option tool[TOOL_OPTIONS_MAX]; /* Options of check and fuzz, as typed. */
  size_t tool_count;
  struct script_entry *scripts;
  size_t script_count;
};

/* Parses argv. The texts in options point into argv. False: there is a mistake, which was reported.
 * options_deinit() must be called in both cases. */
bool options_parse(struct options *options, int argc, char **argv);

/* The sections of the text that --help prints, and NULL. */
extern const char *const options_help[];

void options_deinit(struct options *options);

#endif
