/* certificates.h: the options of TLS of a script, and the context that is made of them. */
#ifndef CLI_CERTIFICATES_H
#define CLI_CERTIFICATES_H

#include <stdbool.h>

#include "cli/option_values.h"
#include "io/tls_context.h"

struct certificate_options {
  struct tls_options tls;
  struct tls_pair *pairs; /* tls.pairs points to them. */
};

option_setter certificates_add, certificates_set_key, certificates_set_client_ca,
    certificates_set_client_verify, certificates_set_alpn, certificates_set_tls_min;

/* Reads the files. *made is NULL if no certificate is given; the caller has the reference. False:
 * a mistake was reported. `needs_one`: without a certificate the script cannot listen. */
bool certificates_load(const struct certificate_options *options, const char *script,
                       const char *service, bool needs_one, struct tls_context **made);

void certificates_deinit(struct certificate_options *options);

#endif
