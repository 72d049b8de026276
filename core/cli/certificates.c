#include "cli/certificates.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- options ------------------------------------------------------------------------------- */

bool certificates_add(const char *name, const char *text, void *field) {
  struct certificate_options *options = field;
  size_t count = options->tls.pair_count;
  if (*text == '\0') return option_complain(name, text, "a file");
  struct tls_pair *grown = realloc(options->pairs, (count + 1) * sizeof *grown);
  if (!grown) {
    fputs("parlance: not enough memory\n", stderr);
    return false;
  }
  grown[count] = (struct tls_pair){.certificate = text, .key = text};
  options->tls.pairs = options->pairs = grown;
  options->tls.pair_count = count + 1;
  return true;
}

/* The file of a certificate may have its key, too. */
bool certificates_set_key(const char *name, const char *text, void *field) {
  struct certificate_options *options = field;
  size_t count = options->tls.pair_count;
  struct tls_pair *last = count > 0 ? &options->pairs[count - 1] : NULL;
  if (last && last->key == last->certificate) {
    last->key = text;
    return *text != '\0' || option_complain(name, text, "a file");
  }
  fprintf(stderr, "parlance: --%s %s: it must stand behind the --certificate that it is for\n",
          name, text);
  return false;
}

bool certificates_set_client_ca(const char *name, const char *text, void *field) {
  ((struct certificate_options *)field)->tls.client_ca = text;
  return *text != '\0' || option_complain(name, text, "a file");
}

bool certificates_set_client_verify(const char *name, const char *text, void *field) {
  ((struct certificate_options *)field)->tls.client_may_omit = strcmp(text, "optional") == 0;
  return strcmp(text, "optional") == 0 || strcmp(text, "required") == 0 ||
         option_complain(name, text, "optional or required");
}

bool certificates_set_alpn(const char *name, const char *text, void *field) {
  ((struct certificate_options *)field)->tls.alpn = text;
  return tls_alpn_is_valid(text) || option_complain(name, text, "a list, such as h2,http/1.1");
}

bool certificates_set_tls_min(const char *name, const char *text, void *field) {
  ((struct certificate_options *)field)->tls.needs_tls_1_3 = strcmp(text, "1.3") == 0;
  return strcmp(text, "1.2") == 0 || strcmp(text, "1.3") == 0 ||
         option_complain(name, text, "1.2 or 1.3");
}

void certificates_deinit(struct certificate_options *options) { free(options->pairs); }

/* -------------------------------------------------------------------------------------------- */

bool certificates_load(const struct certificate_options *options, const char *script,
                       const char *service, bool needs_one, struct tls_context **made) {
  struct tls_options tls = options->tls;
  char why[TLS_WHY_MAX];
  *made = NULL;
  if (tls.pair_count == 0 && needs_one) {
    fprintf(stderr, "parlance: %s: an address with tls: needs --certificate FILE\n", script);
    return false;
  }
  if (tls.pair_count == 0) return true;
  tls.service = service;
  if (tls_context_create(&tls, made, why) == STATUS_OK) return true;
  fprintf(stderr, "parlance: %s: %s\n", script, why);
  return false;
}
