#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "io/tls.h"
#include "io/tls_internal.h"

/* Text in an X.509 name as RFC 4514 has it: the last part first, UTF-8 as it is. */
enum { NAME_FLAGS = XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB };

static bool add_text(BIO *out, const char *text) {
  size_t length = text ? strlen(text) : 0;
  return (length == 0 || BIO_write(out, text, (int)length) == (int)length) &&
         BIO_write(out, "", 1) == 1;
}

static bool add_name(BIO *out, const X509_NAME *name) {
  return X509_NAME_print_ex(out, name, 0, NAME_FLAGS) >= 0 && add_text(out, NULL);
}

/* SHA-256 of the certificate, in hexadecimal. */
static bool add_fingerprint(BIO *out, const X509 *certificate) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned length;
  if (X509_digest(certificate, EVP_sha256(), digest, &length) != 1) return false;
  for (unsigned i = 0; i < length; i++)
    if (BIO_printf(out, "%02x", digest[i]) != 2) return false;
  return add_text(out, NULL);
}

static bool add_address(BIO *out, const ASN1_OCTET_STRING *address) {
  int family = ASN1_STRING_length(address) == 4 ? AF_INET : AF_INET6;
  char text[INET6_ADDRSTRLEN];
  if (family == AF_INET6 && ASN1_STRING_length(address) != 16) return true;
  return inet_ntop(family, ASN1_STRING_get0_data(address), text, sizeof text) &&
         add_text(out, text);
}

/* A name with a zero byte is a trick, and is left out. */
static bool add_string(BIO *out, const ASN1_IA5STRING *string) {
  const char *text = (const char *)ASN1_STRING_get0_data(string);
  size_t length = (size_t)ASN1_STRING_length(string);
  if (length == 0 || memchr(text, '\0', length)) return true;
  return BIO_write(out, text, (int)length) == (int)length && add_text(out, NULL);
}

static bool add_alternative(BIO *out, const GENERAL_NAME *name) {
  switch (name->type) {
  case GEN_DNS:
  case GEN_EMAIL:
  case GEN_URI: return add_string(out, name->d.ia5);
  case GEN_IPADD: return add_address(out, name->d.iPAddress);
  default: return true;
  }
}

static bool add_alternatives(BIO *out, const X509 *certificate) {
  GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
  bool is_added = true;
  for (int i = 0; i < sk_GENERAL_NAME_num(names) && is_added; i++)
    is_added = add_alternative(out, sk_GENERAL_NAME_value(names, i));
  GENERAL_NAMES_free(names);
  return is_added;
}

static bool add_peer(BIO *out, const SSL *ssl) {
  const X509 *certificate = SSL_get0_peer_certificate(ssl);
  if (!certificate) return BIO_write(out, "\0\0\0", 3) == 3;
  return add_name(out, X509_get_subject_name(certificate)) &&
         add_name(out, X509_get_issuer_name(certificate)) && add_fingerprint(out, certificate) &&
         add_alternatives(out, certificate);
}

/* Names of hosts have no case. */
static bool add_server_name(BIO *out, const SSL *ssl) {
  const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  for (; name && *name != '\0'; name++) {
    char letter = *name >= 'A' && *name <= 'Z' ? (char)(*name - 'A' + 'a') : *name;
    if (BIO_write(out, &letter, 1) != 1) return false;
  }
  return add_text(out, NULL);
}

static bool add_protocol(BIO *out, const SSL *ssl) {
  const unsigned char *name;
  unsigned length;
  SSL_get0_alpn_selected(ssl, &name, &length);
  return (length == 0 || BIO_write(out, name, (int)length) == (int)length) && add_text(out, NULL);
}

enum status tls_describe(const struct tls *tls, char **text, size_t *length) {
  const SSL *ssl = tls_internal_ssl(tls);
  BIO *out = BIO_new(BIO_s_mem());
  char *bytes;
  bool is_described = out && add_text(out, SSL_get_version(ssl)) &&
                      add_text(out, SSL_get_cipher_name(ssl)) && add_server_name(out, ssl) &&
                      add_protocol(out, ssl) && add_peer(out, ssl);
  *text = NULL;
  if (is_described) {
    *length = (size_t)BIO_get_mem_data(out, &bytes);
    *text = malloc(*length);
    if (*text) memcpy(*text, bytes, *length);
  }
  BIO_free(out);
  ERR_clear_error();
  return *text ? STATUS_OK : STATUS_NO_MEMORY;
}
