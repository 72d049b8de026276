/* option_values.h: checks the values of options and stores them. Mistakes are reported on standard
 * error. */
#ifndef CLI_OPTION_VALUES_H
#define CLI_OPTION_VALUES_H

#include <stdbool.h>

/* Reports that the value of --name is not what is wanted. Returns false. */
bool option_complain(const char *name, const char *value, const char *wanted);

/* Sets the field that the table of options names. False: the value is wrong, or there is no memory,
 * which was reported. */
typedef bool option_setter(const char *name, const char *text, void *field);

option_setter option_set_seconds, option_set_bytes, option_set_max_tasks, option_set_memory_limit,
    option_set_datagrams, option_set_max_buffered, option_set_max_connections,
    option_set_max_per_peer, option_add_ranges, option_set_log_bytes, option_set_keepalive,
    option_set_socket_mode, option_set_socket_group, option_set_poller, option_set_folder,
    option_set_file, option_set_name_server, option_set_log_level, option_set_log_format,
    option_check_format, option_check_seed, option_check_seconds;

#endif
