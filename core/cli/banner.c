#include "cli/banner.h"

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "io/child.h"

/* The exit statuses of a shell for a program that cannot be run, and for one that does not exist.
 */
enum { NO_PROGRAM = 126, NO_SUCH_COMMAND = 127 };

enum { PATIENCE = 1000 }; /* The most ms that `nc -h` may take. */

/* ---- the client that this machine has ------------------------------------------------------- */

/* The kinds of nc differ in what they do at the end of their input. */
enum client {
  CLIENT_NONE,    /* There is no nc. bash can connect, too, but not to a Unix socket. */
  CLIENT_ENDS,    /* It stops sending, so that the server closes, too: ncat, busybox. */
  CLIENT_NEEDS_N, /* It stops sending only with -N: OpenBSD's, Debian's netcat-openbsd. */
  CLIENT_NEEDS_Q  /* It can only quit after some seconds, with -q: Debian's netcat-traditional. */
};

struct known_client {
  enum client client;
  bool knows_unix;
};

/* Whether the help names this option: alone, or as one of several letters ("[-46CDdFhklNnrStUu]").
 */
static bool has_letter(const char *help, char letter) {
  for (const char *at = strchr(help, '-'); at; at = strchr(at + 1, '-')) {
    bool is_word = at == help || strchr(" \t\n[|", at[-1]);
    size_t length =
        strspn(at + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789");
    if (is_word && memchr(at + 1, letter, length)) return true;
  }
  return false;
}

/* Reads the output of `nc -h` into help[size]. False: there is no nc, or no output in time. */
static bool read_help(char *help, size_t size) {
  char *words[] = {"sh", "-c", "nc -h 2>&1", NULL};
  const struct child_command plan = {"/bin/sh", words, environ};
  struct child *child;
  struct child_exit end = {.status = -1};
  if (child_start(&plan, &child) != STATUS_OK) return false;
  bool has_ended = child_wait(child, PATIENCE, &end);
  struct span text = child_text(child);
  snprintf(help, size, "%.*s", (int)(text.length < size ? text.length : size - 1), text.data);
  child_destroy(child);
  return has_ended && end.status != NO_SUCH_COMMAND && end.status != NO_PROGRAM && help[0] != '\0';
}

/* Finds out which nc is installed, from its help: several programs have this name. */
static struct known_client find_client(void) {
  char help[8192];
  if (!read_help(help, sizeof help)) return (struct known_client){CLIENT_NONE, false};
  bool is_ncat = strstr(help, "Ncat") != NULL, is_busybox = strstr(help, "BusyBox") != NULL;
  enum client client = is_ncat || is_busybox   ? CLIENT_ENDS
                       : has_letter(help, 'N') ? CLIENT_NEEDS_N
                       : has_letter(help, 'q') ? CLIENT_NEEDS_Q
                                               : CLIENT_ENDS;
  return (struct known_client){client, has_letter(help, 'U')};
}

/* ---- what is printed ------------------------------------------------------------------------ */

/* Prints bytes as an argument of printf(1). Characters in `special` are written as numbers. */
static void print_escaped(FILE *file, struct span bytes, const char *special) {
  for (size_t i = 0; i < bytes.length; i++) {
    unsigned char byte = (unsigned char)bytes.data[i];
    if (byte == '\n')
      fputs("\\n", file);
    else if (byte == '\r')
      fputs("\\r", file);
    else if (byte == '%')
      fputs("%%", file);
    else if (byte < ' ' || byte >= 0x7f || strchr(special, byte))
      fprintf(file, "\\%03o", byte);
    else if (byte == '\\')
      fputs("\\\\", file);
    else
      fputc(byte, file);
  }
}

void banner_print_escaped(FILE *file, struct span bytes) { print_escaped(file, bytes, "'"); }

static void print_where(const struct address *address, unsigned port) {
  char text[ADDRESS_TEXT_MAX * 3];
  const char *scheme = address->kind == ADDRESS_UDP ? "udp:" : "";
  if (address->kind == ADDRESS_UNIX)
    snprintf(text, sizeof text, "unix:%s", address->host);
  else if (address->host[0] == '\0')
    snprintf(text, sizeof text, "port %u of every interface", port);
  else
    address_format(address->host, port, text);
  fprintf(stderr, "  on   %s%s\n", address->is_tls ? "tls:" : scheme, text);
}

/* Returns a host that needs no look-up if it is local: not every machine has an /etc/hosts. */
static const char *host_of(const struct address *address) {
  bool is_local = address->host[0] == '\0' || strcmp(address->host, "localhost") == 0;
  return is_local ? "127.0.0.1" : address->host;
}

static void print_nc(const struct address *address, unsigned port, struct span example,
                     enum client client) {
  static const char *const options[] = {
      [CLIENT_NONE] = "", [CLIENT_ENDS] = "", [CLIENT_NEEDS_N] = "-N ", [CLIENT_NEEDS_Q] = "-q 1 "};
  const char *option = address->kind == ADDRESS_UDP ? "-w 1 " : options[client];
  if (example.length > 0) {
    fputs("printf '", stderr);
    banner_print_escaped(stderr, example);
    fputs("' | ", stderr);
  }
  fprintf(stderr, "nc %s", example.length > 0 ? option : "");
  if (address->kind == ADDRESS_UNIX)
    fprintf(stderr, "-U %s\n", address->host);
  else
    fprintf(stderr, "%s%s %u\n", address->kind == ADDRESS_UDP ? "-u " : "", host_of(address), port);
}

/* Every Debian has bash, whatever the user's shell is. */
static void print_bash(const struct address *address, unsigned port, struct span example) {
  char place[ADDRESS_TEXT_MAX * 3];
  snprintf(place, sizeof place, "/dev/%s/%s/%u", address->kind == ADDRESS_UDP ? "udp" : "tcp",
           host_of(address), port);
  if (example.length == 0) {
    fprintf(stderr, "bash -c 'cat <%s'\n", place);
    return;
  }
  fputs("bash -c '(printf \"", stderr);
  print_escaped(stderr, example, "'\"\\$`!");
  fprintf(stderr, "\" >&3; timeout 1 cat <&3) 3<>%s'\n", place);
}

/* It ends at the end of its input, and does not wait for what the server still says. */
static void print_openssl(const struct address *address, unsigned port, struct span example) {
  char place[ADDRESS_TEXT_MAX * 3];
  if (example.length > 0) {
    fputs("(printf '", stderr);
    banner_print_escaped(stderr, example);
    fputs("'; sleep 1) | ", stderr);
  }
  if (address->kind == ADDRESS_UNIX)
    snprintf(place, sizeof place, "-unix %s", address->host);
  else
    address_format(host_of(address), port, place);
  fprintf(stderr, "openssl s_client -quiet%s %s%s\n", example.length > 0 ? " -no_ign_eof" : "",
          address->kind == ADDRESS_UNIX ? "" : "-connect ", place);
}

void banner_print(const char *service, const char *path, const struct address *address,
                  unsigned port, struct span example) {
  fprintf(stderr, "parlance " PARLANCE_VERSION " serves %s (%s)\n", service, path);
  print_where(address, port);
  struct known_client known = {0};
  if (!address->is_tls) known = find_client();
  bool can_connect = address->is_tls || address->kind != ADDRESS_UNIX || known.knows_unix;
  if (!can_connect) return;
  fputs("  try  ", stderr);
  if (address->is_tls)
    print_openssl(address, port, example);
  else if (known.client == CLIENT_NONE)
    print_bash(address, port, example);
  else
    print_nc(address, port, example, known.client);
}
