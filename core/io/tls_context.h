/* tls_context.h: the certificates and the rules of TLS that many connections share.
 *
 * A context is counted: each connection holds one reference, so that a context whose successor
 * serves already lives as long as its connections. The files are read when the context is created,
 * and never again. Nothing of a private key is ever in a text of `why`. */
#ifndef IO_TLS_CONTEXT_H
#define IO_TLS_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* The size of a text that says what is wrong, with its terminator. */
enum { TLS_WHY_MAX = 512 };

/* The files of a certificate with its chain, and of its key; `key` may be the same file. */
struct tls_pair {
  const char *certificate;
  const char *key;
};

/* What a server shows and asks for. All texts must be valid during the call only. */
struct tls_options {
  const char *service; /* Sessions are resumed within one service. */
  const struct tls_pair *pairs;
  size_t pair_count;     /* At least 1. The first serves names that fit none. */
  const char *client_ca; /* The file of the authorities of clients; NULL: no client is asked. */
  bool client_may_omit;  /* A client without a certificate is let in. */
  const char *alpn;      /* "h2,http/1.1": the protocols, the preferred one first, which alpn.h
                          * accepts; NULL: none. */
  bool needs_tls_1_3;    /* TLS 1.2 is refused. */
};

struct tls_context;

/* STATUS_ERROR: `why` says what is wrong, with the name of the file. The caller has the first
 * reference. */
enum status tls_context_create(const struct tls_options *options, struct tls_context **created,
                               char why[TLS_WHY_MAX]);

/* When the first of the certificates ends, in seconds since 1970, and the name of its file, which
 * is valid as long as the context. */
int64_t tls_context_ends(const struct tls_context *context, const char **file);

struct tls_context *tls_context_retain(struct tls_context *context);

/* NULL is ignored. */
void tls_context_release(struct tls_context *context);

#endif
