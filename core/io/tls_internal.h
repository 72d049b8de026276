/* tls_internal.h: what the files of TLS share. Private to them. */
#ifndef IO_TLS_INTERNAL_H
#define IO_TLS_INTERNAL_H

#include <openssl/ssl.h>

#include "io/tls_context.h"

/* A certificate, its chain and its key, as they were read from their files. */
struct tls_certificate {
  X509 *certificate;
  STACK_OF(X509) * chain;
  EVP_PKEY *key;
  char *file; /* The name of the file of the certificate. */
};

struct tls_context {
  SSL_CTX *ssl;
  struct tls_certificate *certificates;
  size_t count;
  unsigned references;
  unsigned char *alpn; /* As in the extension: each name behind its length. */
  unsigned alpn_length;
  unsigned char identity[32]; /* A digest of the service and of the authorities of clients. */
};

/* Opens a file in the PEM format. NULL: `why` says why. */
BIO *tls_certificate_open(const char *file, char why[TLS_WHY_MAX]);

/* Reads a pair, and checks it. *certificate is to be freed with tls_certificate_deinit() in each
 * case. */
enum status tls_certificate_load(const struct tls_pair *pair, struct tls_certificate *certificate,
                                 char why[TLS_WHY_MAX]);
void tls_certificate_deinit(struct tls_certificate *certificate);

/* Gives all connections of the context the first certificate. */
enum status tls_certificates_use_first(const struct tls_certificate *certificates,
                                       SSL_CTX *context);

/* Gives the connection the certificates for this name, if any fit. `name` may be "". */
enum status tls_certificates_use(const struct tls_certificate *certificates, size_t count,
                                 const char *name, SSL *ssl);

struct tls;
SSL *tls_internal_ssl(const struct tls *tls);

/* What holds for both sides. */
void tls_internal_set_rules(SSL_CTX *ssl);

/* Without a context, and as neither side yet. NULL: there is no memory. */
struct tls *tls_internal_create(SSL_CTX *ssl, int fd);

#endif
