#include "cli/banner.h"

#include <stdio.h>

void banner_print_escaped(FILE *file, struct span bytes) {
  for (size_t i = 0; i < bytes.length; i++) {
    unsigned char byte = (unsigned char)bytes.data[i];
    if (byte == '\n')
      fputs("\\n", file);
    else if (byte == '\r')
      fputs("\\r", file);
    else if (byte == '%')
      fputs("%%", file);
    else if (byte == '\\')
      fputs("\\\\", file);
    else if (byte < ' ' || byte >= 0x7f || byte == '\'')
      fprintf(file, "\\%03o", byte);
    else
      fputc(byte, file);
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
    banner_print_escaped(stderr, example);
    fputs("' | nc -N ", stderr);
  } else
    fputs("nc ", stderr);
  if (address->is_unix)
    fprintf(stderr, "-U %s\n", address->host);
  else
    fprintf(stderr, "%s %u\n", address->host[0] ? address->host : "localhost", port);
}
