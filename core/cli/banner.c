#include "cli/banner.h"

#include <stdio.h>

/* As an argument of printf(1) between single quotes. */
static void print_escaped(struct span bytes) {
  for (size_t i = 0; i < bytes.length; i++) {
    unsigned char byte = (unsigned char)bytes.data[i];
    if (byte == '\n')
      fputs("\\n", stderr);
    else if (byte == '\r')
      fputs("\\r", stderr);
    else if (byte == '%')
      fputs("%%", stderr);
    else if (byte == '\\')
      fputs("\\\\", stderr);
    else if (byte < ' ' || byte >= 0x7f || byte == '\'')
      fprintf(stderr, "\\%03o", byte);
    else
      fputc(byte, stderr);
  }
}

static void print_where(const struct address *address, unsigned port) {
  char text[ADDRESS_TEXT_MAX * 3];
  if (address->is_unix)
    snprintf(text, sizeof text, "unix:%s", address->host);
  else if (address->host[0] == '\0')
    snprintf(text, sizeof text, "port %u of every interface", port);
  else
    address_format(address->host, port, text);
  fprintf(stderr, "  on   %s\n", text);
}

void banner_print(const char *service, const char *path, const struct address *address,
                  unsigned port, struct span example) {
  fprintf(stderr, "parlance " PARLANCE_VERSION " serves %s (%s)\n", service, path);
  print_where(address, port);
  fputs("  try  ", stderr);
  if (example.length > 0) {
    fputs("printf '", stderr);
    print_escaped(example);
    fputs("' | nc -N ", stderr);
  } else
    fputs("nc ", stderr);
  if (address->is_unix)
    fprintf(stderr, "-U %s\n", address->host);
  else
    fprintf(stderr, "%s %u\n", address->host[0] ? address->host : "localhost", port);
}
