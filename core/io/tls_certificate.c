#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/tls_internal.h"

enum { DATE_MAX = 64 };

static enum status refuse(const char *file, const char *what, char why[TLS_WHY_MAX]) {
  snprintf(why, TLS_WHY_MAX, "%s: %s", file, what);
  return STATUS_ERROR;
}

/* A key that has a pass phrase cannot be used, and nobody is asked for one. *context: one is
 * needed. */
static int give_no_phrase(char *buffer, int size, int is_write, void *context) {
  if (size > 0) buffer[0] = '\0';
  (void)is_write;
  if (context) *(bool *)context = true;
  return -1;
}

/* A pipe could be read only once, and might block. */
static bool is_regular(int fd) {
  struct stat about;
  if (fstat(fd, &about) != 0) return false;
  errno = S_ISDIR(about.st_mode) ? EISDIR : EINVAL;
  return S_ISREG(about.st_mode);
}

BIO *tls_certificate_open(const char *file, char why[TLS_WHY_MAX]) {
  int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  FILE *stream = fd >= 0 && is_regular(fd) ? fdopen(fd, "r") : NULL;
  BIO *bio = stream ? BIO_new_fp(stream, BIO_CLOSE) : NULL;
  if (bio) return bio;
  if (fd >= 0 && errno == EINVAL)
    refuse(file, "it is not a regular file", why);
  else
    refuse(file, strerror(stream ? ENOMEM : errno), why);
  if (stream)
    fclose(stream);
  else if (fd >= 0)
    close(fd);
  return NULL;
}

/* The first certificate is the server's own, those behind it are its chain. */
static enum status load_chain(const char *file, struct tls_certificate *into,
                              char why[TLS_WHY_MAX]) {
  BIO *bio = tls_certificate_open(file, why);
  if (!bio) return STATUS_ERROR;
  into->certificate = PEM_read_bio_X509_AUX(bio, NULL, give_no_phrase, NULL);
  into->chain = sk_X509_new_null();
  X509 *next;
  bool has_memory = into->chain != NULL;
  while (into->certificate && has_memory &&
         (next = PEM_read_bio_X509(bio, NULL, give_no_phrase, NULL))) {
    has_memory = sk_X509_push(into->chain, next) > 0;
    if (!has_memory) X509_free(next);
  }
  bool is_at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  BIO_free(bio);
  if (!has_memory) return refuse(file, "not enough memory", why);
  if (!into->certificate) return refuse(file, "it has no certificate in the PEM format", why);
  return is_at_end ? STATUS_OK : refuse(file, "a certificate of its chain cannot be read", why);
}

static enum status load_key(const char *file, struct tls_certificate *into, char why[TLS_WHY_MAX]) {
  BIO *bio = tls_certificate_open(file, why);
  if (!bio) return STATUS_ERROR;
  bool needs_phrase = false;
  into->key = PEM_read_bio_PrivateKey(bio, NULL, give_no_phrase, &needs_phrase);
  BIO_free(bio);
  if (into->key) return STATUS_OK;
  return refuse(
      file, needs_phrase ? "the key has a pass phrase" : "it has no private key in the PEM format",
      why);
}

static enum status check_dates(const char *file, const X509 *certificate, char why[TLS_WHY_MAX]) {
  char date[DATE_MAX] = "";
  const ASN1_TIME *begins = X509_get0_notBefore(certificate),
                  *ends = X509_get0_notAfter(certificate);
  bool is_over = X509_cmp_current_time(ends) <= 0, is_early = X509_cmp_current_time(begins) > 0;
  if (!is_over && !is_early) return STATUS_OK;
  BIO *bio = BIO_new(BIO_s_mem());
  if (bio && ASN1_TIME_print(bio, is_over ? ends : begins) > 0) BIO_gets(bio, date, sizeof date);
  BIO_free(bio);
  snprintf(why, TLS_WHY_MAX,
           is_over ? "%s: the certificate has expired on %s"
                   : "%s: the certificate is not valid before %s",
           file, date);
  return STATUS_ERROR;
}

/* One end of a handshake in memory. NULL: there is no memory. */
static SSL *create_end(SSL_CTX *context, BIO *bio) {
  SSL *ssl = context && bio ? SSL_new(context) : NULL;
  if (ssl)
    SSL_set_bio(ssl, bio, bio);
  else
    BIO_free(bio);
  return ssl;
}

/* Whether a handshake of the two ends succeeds. */
static bool shake_hands(SSL *server, SSL *client) {
  enum { TURNS = 32 }; /* Enough for a long chain, a buffer of which is passed on in each. */
  SSL_set_accept_state(server);
  SSL_set_connect_state(client);
  for (int i = 0; i < TURNS; i++) {
    bool is_over = SSL_do_handshake(client) == 1;
    ERR_clear_error(); /* The server's reason is the one that counts. */
    int result = SSL_do_handshake(server);
    if (result == 1 && is_over) return true;
    if (result != 1 && !SSL_want_read(server) && !SSL_want_write(server)) return false;
  }
  return false;
}

/* A pair that fits may still be of no use: its key is too small, or of a kind that no client takes.
 * So a handshake with it is tried. */
static enum status try_handshake(const char *file, const struct tls_certificate *certificate,
                                 char why[TLS_WHY_MAX]) {
  SSL_CTX *contexts[] = {SSL_CTX_new(TLS_server_method()), SSL_CTX_new(TLS_client_method())};
  BIO *bios[2] = {NULL, NULL};
  ERR_clear_error();
  bool has_pair = BIO_new_bio_pair(&bios[0], 0, &bios[1], 0) == 1;
  bool is_set = contexts[0] && tls_certificates_use_first(certificate, contexts[0]) == STATUS_OK;
  SSL *server = create_end(contexts[0], bios[0]), *client = create_end(contexts[1], bios[1]);
  bool has_memory = has_pair && server && client;
  bool is_usable = is_set && has_memory && shake_hands(server, client);
  if (!is_usable) {
    const char *reason = ERR_reason_error_string(ERR_peek_error());
    snprintf(why, TLS_WHY_MAX, "%s: no client can use it: %s", file,
             has_memory && reason ? reason : "not enough memory");
  }
  SSL_free(server);
  SSL_free(client);
  SSL_CTX_free(contexts[0]);
  SSL_CTX_free(contexts[1]);
  return is_usable ? STATUS_OK : STATUS_ERROR;
}

enum status tls_certificate_load(const struct tls_pair *pair, struct tls_certificate *certificate,
                                 char why[TLS_WHY_MAX]) {
  *certificate = (struct tls_certificate){.file = strdup(pair->certificate)};
  if (!certificate->file) return refuse(pair->certificate, "not enough memory", why);
  ERR_clear_error();
  enum status status = load_chain(pair->certificate, certificate, why);
  if (status == STATUS_OK) status = load_key(pair->key, certificate, why);
  if (status == STATUS_OK &&
      X509_check_private_key(certificate->certificate, certificate->key) != 1)
    status = refuse(pair->key, "the key does not fit the certificate", why);
  if (status == STATUS_OK) status = check_dates(pair->certificate, certificate->certificate, why);
  if (status == STATUS_OK) status = try_handshake(pair->certificate, certificate, why);
  ERR_clear_error();
  return status;
}

void tls_certificate_deinit(struct tls_certificate *certificate) {
  X509_free(certificate->certificate);
  sk_X509_pop_free(certificate->chain, X509_free);
  EVP_PKEY_free(certificate->key);
  free(certificate->file);
}

/* ---- the name that a client asks for ------------------------------------------------------- */

static bool fits(const struct tls_certificate *certificate, const char *name, unsigned flags) {
  return X509_check_host(certificate->certificate, name, strlen(name), flags, NULL) == 1;
}

static bool use(const struct tls_certificate *certificate, SSL *ssl) {
  return SSL_use_cert_and_key(ssl, certificate->certificate, certificate->key, certificate->chain,
                              1) == 1;
}

/* Of the certificates that fit, one for each kind of key is given to the connection, instead of
 * that of the context: the first, because a later call replaces what an earlier one has set.
 * *is_found: one fits. */
static bool use_fitting(const struct tls_certificate *certificates, size_t count, const char *name,
                        unsigned flags, SSL *ssl, bool *is_found) {
  for (size_t i = count; i-- > 0;) {
    if (!fits(&certificates[i], name, flags)) continue;
    if (!*is_found) SSL_certs_clear(ssl);
    *is_found = true;
    if (!use(&certificates[i], ssl)) return false;
  }
  return true;
}

enum status tls_certificates_use_first(const struct tls_certificate *certificates,
                                       SSL_CTX *context) {
  int result = SSL_CTX_use_cert_and_key(context, certificates->certificate, certificates->key,
                                        certificates->chain, 1);
  return result == 1 ? STATUS_OK : STATUS_NO_MEMORY;
}

enum status tls_certificates_use(const struct tls_certificate *certificates, size_t count,
                                 const char *name, SSL *ssl) {
  bool is_found = false;
  if (count == 1 || *name == '\0') return STATUS_OK;
  bool is_set =
      use_fitting(certificates, count, name, X509_CHECK_FLAG_NO_WILDCARDS, ssl, &is_found);
  if (is_set && !is_found)
    is_set = use_fitting(certificates, count, name, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, ssl,
                         &is_found);
  return is_set ? STATUS_OK : STATUS_NO_MEMORY;
}
