/* certificates.h: the options of TLS of a script, and the context that is made of them. */
#ifndef CLI_CERTIFICATES_H
#define CLI_CERTIFICATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/world.h"
#include "cli/option_values.h"
#include "io/tls_context.h"

struct certificate_options {
  struct tls_options tls;
  struct tls_pair *pairs;      /* tls.pairs points to them. */
  const char *needs_pair;      /* An option of no meaning without a certificate; NULL: none. */
  const char *needs_client_ca; /* The same without tls.client_ca. */
};

option_setter certificates_add, certificates_set_key, certificates_set_client_ca,
    certificates_set_client_verify, certificates_set_alpn, certificates_set_tls_min;

void certificate_options_deinit(struct certificate_options *options);

/* The certificates of a script that is served. All zeros at first. */
struct certificates {
  const struct certificate_options *options;
  const char *service;
  struct tls_context *tls; /* NULL: it has none. */
  uint64_t seen;           /* What the files looked like when they were last read. */
  struct world *world;
  struct timer timer; /* Expires when the dates are looked at. */
};

/* Reads the files. False: a mistake was reported. `needs_one`: without a certificate the script
 * cannot listen. `service` and the options must live as long as the certificates. */
bool certificates_load(struct certificates *certificates, const struct certificate_options *options,
                       const char *script, const char *service, bool needs_one,
                       struct world *world);

/* Logs when a certificate ends soon, now and once a day. */
void certificates_watch_dates(struct certificates *certificates);

/* Reads the files if they have changed, or if it `is_forced`. True: there is a new context. Files
 * that cannot be used are logged, and change nothing. */
bool certificates_refresh(struct certificates *certificates, bool is_forced);

/* The files, so that they can be watched. */
size_t certificates_count_files(const struct certificates *certificates);
void certificates_each_file(const struct certificates *certificates,
                            void (*visit)(void *visitor, const char *path), void *visitor);

void certificates_deinit(struct certificates *certificates);

#endif
