#include "io/tls_context.h"

#include <openssl/err.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "io/tls_internal.h"

/* The most bytes of a name that a client may ask for (RFC 1035, 3.1, as a text). */
enum { NAME_MAX_LENGTH = 255 };

/* ---- what a client asks for ---------------------------------------------------------------- */

/* Reads the name from the extension (RFC 6066, 3): the length of the list, the kind of the name (0:
 * a host), the length of the name, the name. "": there is none. False: the extension is broken. */
static bool read_name(SSL *ssl, char name[NAME_MAX_LENGTH + 1]) {
  const unsigned char *bytes;
  size_t length;
  name[0] = '\0';
  if (!SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &bytes, &length)) return true;
  if (length < 5 || bytes[2] != TLSEXT_NAMETYPE_host_name) return false;
  size_t name_length = ((size_t)bytes[3] << 8) + bytes[4];
  if (name_length == 0 || name_length > NAME_MAX_LENGTH || name_length + 5 > length) return false;
  for (size_t i = 0; i < name_length; i++) {
    char byte = (char)bytes[5 + i];
    name[i] = byte >= 'A' && byte <= 'Z' ? (char)(byte - 'A' + 'a') : byte;
  }
  name[name_length] = '\0';
  if (strlen(name) != name_length) return false;
  if (name_length > 1 && name[name_length - 1] == '.') name[name_length - 1] = '\0';
  return true;
}

/* A session is resumed only with the same service, name and authorities. OpenSSL looks for the
 * session behind this callback, so that it finds the identity here. */
static bool set_identity(const struct tls_context *context, const char *name, SSL *ssl) {
  unsigned char text[sizeof context->identity + NAME_MAX_LENGTH + 1];
  unsigned char digest[SHA256_DIGEST_LENGTH];
  size_t length = strlen(name);
  memcpy(text, context->identity, sizeof context->identity);
  memcpy(text + sizeof context->identity, name, length);
  SHA256(text, sizeof context->identity + length, digest);
  return SSL_set_session_id_context(ssl, digest, sizeof digest) == 1;
}

static int on_client_hello(SSL *ssl, int *alert, void *argument) {
  const struct tls_context *context = argument;
  char name[NAME_MAX_LENGTH + 1];
  *alert = SSL_AD_DECODE_ERROR;
  if (!read_name(ssl, name)) return SSL_CLIENT_HELLO_ERROR;
  *alert = SSL_AD_INTERNAL_ERROR;
  if (!set_identity(context, name, ssl)) return SSL_CLIENT_HELLO_ERROR;
  enum status status = tls_certificates_use(context->certificates, context->count, name, ssl);
  return status == STATUS_OK ? SSL_CLIENT_HELLO_SUCCESS : SSL_CLIENT_HELLO_ERROR;
}

/* Without it OpenSSL would not keep the name of a session that is resumed. */
static int accept_name(SSL *ssl, int *alert, void *argument) {
  (void)ssl;
  (void)argument;
  *alert = SSL_AD_UNRECOGNIZED_NAME; /* Of no meaning with this result. */
  return SSL_TLSEXT_ERR_OK;
}

/* RFC 7301, 3.2: a client that knows none of our protocols is told so. */
static int choose_protocol(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_length,
                           const unsigned char *offered, unsigned offered_length, void *argument) {
  const struct tls_context *context = argument;
  (void)ssl;
  int result = SSL_select_next_proto((unsigned char **)(uintptr_t)chosen, chosen_length,
                                     context->alpn, context->alpn_length, offered, offered_length);
  return result == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* ---- making a context ---------------------------------------------------------------------- */

static enum status refuse(const char *file, const char *what, char why[TLS_WHY_MAX]) {
  snprintf(why, TLS_WHY_MAX, "%s: %s", file, what);
  return STATUS_ERROR;
}

static enum status no_memory(char why[TLS_WHY_MAX]) {
  snprintf(why, TLS_WHY_MAX, "not enough memory");
  return STATUS_ERROR;
}

static bool set_alpn(struct tls_context *context, const char *list) {
  size_t length = strlen(list);
  context->alpn = malloc(length + 1);
  if (!context->alpn) return false;
  context->alpn_length = (unsigned)length + 1;
  unsigned char *to = context->alpn;
  while (to < context->alpn + length + 1) {
    size_t part = strcspn(list, ",");
    *to++ = (unsigned char)part;
    memcpy(to, list, part);
    to += part;
    list += part + 1;
  }
  SSL_CTX_set_alpn_select_cb(context->ssl, choose_protocol, context);
  return true;
}

/* The authorities are part of the identity of a session. */
static bool add_to_identity(EVP_MD_CTX *digest, X509_STORE *store) {
  STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(store);
  for (int i = 0; i < sk_X509_OBJECT_num(objects); i++) {
    X509 *certificate = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));
    unsigned char one[EVP_MAX_MD_SIZE];
    unsigned length;
    if (certificate && (X509_digest(certificate, EVP_sha256(), one, &length) != 1 ||
                        EVP_DigestUpdate(digest, one, length) != 1))
      return false;
  }
  return true;
}

static bool make_identity(struct tls_context *context, const struct tls_options *options) {
  EVP_MD_CTX *digest = EVP_MD_CTX_new();
  char mode = (char)(options->client_ca ? 1 + options->client_may_omit : 0);
  bool is_made = digest && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1 &&
                 EVP_DigestUpdate(digest, options->service, strlen(options->service) + 1) == 1 &&
                 EVP_DigestUpdate(digest, &mode, 1) == 1 &&
                 add_to_identity(digest, SSL_CTX_get_cert_store(context->ssl)) &&
                 EVP_DigestFinal_ex(digest, context->identity, NULL) == 1;
  EVP_MD_CTX_free(digest);
  return is_made;
}

static enum status ask_for_clients(struct tls_context *context, const struct tls_options *options,
                                   char why[TLS_WHY_MAX]) {
  const char *file = options->client_ca;
  int mode = options->client_may_omit ? 0 : SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  BIO *readable = tls_certificate_open(file, why);
  if (!readable) return STATUS_ERROR;
  BIO_free(readable);
  STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(file);
  if (!names || SSL_CTX_load_verify_file(context->ssl, file) != 1) {
    sk_X509_NAME_pop_free(names, X509_NAME_free);
    return refuse(file, "it has no certificate in the PEM format", why);
  }
  SSL_CTX_set_client_CA_list(context->ssl, names); /* which owns them now */
  SSL_CTX_set_verify(context->ssl, SSL_VERIFY_PEER | mode, NULL);
  return STATUS_OK;
}

static enum status load_all(struct tls_context *context, const struct tls_options *options,
                            char why[TLS_WHY_MAX]) {
  context->certificates = calloc(options->pair_count, sizeof *context->certificates);
  if (!context->certificates) return no_memory(why);
  for (size_t i = 0; i < options->pair_count; i++) {
    enum status status =
        tls_certificate_load(&options->pairs[i], &context->certificates[context->count++], why);
    if (status != STATUS_OK) return status;
  }
  return STATUS_OK;
}

/* Tickets alone resume sessions: nothing is kept for clients that come back. */
static void set_rules(struct tls_context *context, const struct tls_options *options) {
  SSL_CTX *ssl = context->ssl;
  tls_internal_set_rules(ssl);
  if (options->needs_tls_1_3) SSL_CTX_set_min_proto_version(ssl, TLS1_3_VERSION);
  /* Our order of ciphers has the better ones first. A client that prefers ChaCha20 has no hardware
   * for AES. */
  SSL_CTX_set_options(ssl, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_client_hello_cb(ssl, on_client_hello, context);
  SSL_CTX_set_tlsext_servername_callback(ssl, accept_name);
}

enum status tls_context_create(const struct tls_options *options, struct tls_context **created,
                               char why[TLS_WHY_MAX]) {
  struct tls_context *context = calloc(1, sizeof *context);
  if (!context) return no_memory(why);
  ERR_clear_error();
  context->references = 1;
  context->ssl = SSL_CTX_new(TLS_server_method());
  enum status status = context->ssl ? load_all(context, options, why) : no_memory(why);
  if (status == STATUS_OK && options->client_ca) status = ask_for_clients(context, options, why);
  if (status == STATUS_OK) {
    set_rules(context, options);
    bool is_set = tls_certificates_use_first(context->certificates, context->ssl) == STATUS_OK &&
                  make_identity(context, options) &&
                  (!options->alpn || set_alpn(context, options->alpn));
    if (!is_set) status = no_memory(why);
  }
  ERR_clear_error();
  if (status == STATUS_OK)
    *created = context;
  else
    tls_context_release(context);
  return status;
}

int64_t tls_context_ends(const struct tls_context *context, const char **file) {
  int64_t first = INT64_MAX;
  for (size_t i = 0; i < context->count; i++) {
    struct tm ends;
    const struct tls_certificate *certificate = &context->certificates[i];
    if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate->certificate), &ends) != 1) continue;
    int64_t when = (int64_t)timegm(&ends);
    if (when >= first) continue;
    first = when;
    *file = certificate->file;
  }
  return first;
}

struct tls_context *tls_context_retain(struct tls_context *context) {
  context->references++;
  return context;
}

void tls_context_release(struct tls_context *context) {
  if (!context || --context->references > 0) return;
  for (size_t i = 0; i < context->count; i++) tls_certificate_deinit(&context->certificates[i]);
  free(context->certificates);
  SSL_CTX_free(context->ssl);
  free(context->alpn);
  free(context);
}
