#include "io/tls_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/address.h"
#include "io/tls_internal.h"

enum {
  CLIENTS_MAX = 64,
  SESSIONS_MAX = 64, /* Of one client. */
  FILES = 3          /* The authorities, the certificate and its key. */
};

/* What tells that a file is another one, or was written. */
struct stamp {
  dev_t device;
  ino_t number;
  off_t size;
  struct timespec changed;
};

/* A session that can be resumed, with one server under one name. */
struct session {
  struct session *next;
  SSL_SESSION *ssl;
  char place[];
};

struct tls_client {
  struct tls_client *next; /* In the list. */
  SSL_CTX *ssl;
  unsigned references;
  uint64_t version;
  bool verifies;
  struct session *sessions; /* That were given last come first. */
  struct stamp stamps[FILES];
  char *files[FILES]; /* "": there is none. */
};

/* What belongs to one connection: it is freed with its SSL. */
struct origin {
  struct tls_client *client;
  char place[]; /* Of its sessions. */
};

/* ---- life ---------------------------------------------------------------------------------- */

static void free_session(struct session *session) {
  SSL_SESSION_free(session->ssl);
  free(session);
}

static void release(struct tls_client *client) {
  if (--client->references > 0) return;
  while (client->sessions) {
    struct session *session = client->sessions;
    client->sessions = session->next;
    free_session(session);
  }
  for (size_t i = 0; i < FILES; i++) free(client->files[i]);
  SSL_CTX_free(client->ssl);
  free(client);
}

static void free_origin(void *parent, void *pointer, CRYPTO_EX_DATA *data, int index, long number,
                        void *argument) {
  struct origin *origin = pointer;
  (void)parent, (void)data, (void)index, (void)number, (void)argument;
  if (!origin) return;
  release(origin->client);
  free(origin);
}

/* Where an SSL has its origin; -1: there is no memory. */
static int origin_index(void) {
  static int index = -1; /* It lives as long as the process. */
  if (index < 0) index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_origin);
  return index;
}

/* ---- sessions ------------------------------------------------------------------------------ */

static struct session **find_session(struct tls_client *client, const char *place) {
  struct session **session = &client->sessions;
  while (*session && strcmp((*session)->place, place) != 0) session = &(*session)->next;
  return session;
}

static void remove_session(struct session **session) {
  struct session *removed = *session;
  *session = removed->next;
  free_session(removed);
}

/* OpenSSL has a session for us. 1: it is ours now. */
static int on_new_session(SSL *ssl, SSL_SESSION *given) {
  const struct origin *origin = SSL_get_ex_data(ssl, origin_index());
  struct tls_client *client = origin->client;
  size_t size = strlen(origin->place) + 1, count = 0;
  struct session *made = malloc(sizeof *made + size);
  if (!made) return 0;
  *made = (struct session){.ssl = given};
  memcpy(made->place, origin->place, size);
  struct session **same = find_session(client, origin->place);
  if (*same) remove_session(same);
  made->next = client->sessions;
  client->sessions = made;
  struct session **last = &client->sessions;
  while (*last && ++count <= SESSIONS_MAX) last = &(*last)->next;
  if (*last) remove_session(last);
  return 1;
}

/* A ticket of TLS 1.3 is for one connection (RFC 8446, C.4). */
static void resume(struct tls_client *client, const char *place, SSL *ssl) {
  struct session **session = find_session(client, place);
  if (!*session) return;
  bool is_used_up = SSL_SESSION_get_protocol_version((*session)->ssl) >= TLS1_3_VERSION ||
                    !SSL_SESSION_is_resumable((*session)->ssl);
  (void)SSL_set_session(ssl, (*session)->ssl);
  if (is_used_up) remove_session(session);
}

/* ---- making a client ----------------------------------------------------------------------- */

static enum status refuse(const char *file, const char *what, char why[NETWORK_WHY_MAX]) {
  snprintf(why, NETWORK_WHY_MAX, "%s: %s", file, what);
  return STATUS_ERROR;
}

static enum status no_memory(char why[NETWORK_WHY_MAX]) {
  snprintf(why, NETWORK_WHY_MAX, "not enough memory");
  return STATUS_ERROR;
}

static enum status look(const char *file, struct stamp *stamp, char why[NETWORK_WHY_MAX]) {
  struct stat found;
  *stamp = (struct stamp){0};
  if (*file == '\0') return STATUS_OK;
  if (stat(file, &found) < 0) return refuse(file, strerror(errno), why);
  stamp->device = found.st_dev;
  stamp->number = found.st_ino;
  stamp->size = found.st_size;
  stamp->changed = found.st_mtim;
  return STATUS_OK;
}

static bool is_same_stamp(const struct stamp *one, const struct stamp *other) {
  return one->device == other->device && one->number == other->number && one->size == other->size &&
         one->changed.tv_sec == other->changed.tv_sec &&
         one->changed.tv_nsec == other->changed.tv_nsec;
}

static enum status load_authorities(SSL_CTX *ssl, const char *file, char why[NETWORK_WHY_MAX]) {
  if (*file == '\0') {
    SSL_CTX_set_default_verify_paths(ssl);
    return STATUS_OK;
  }
  BIO *readable = tls_certificate_open(file, why);
  if (!readable) return STATUS_ERROR;
  BIO_free(readable);
  if (SSL_CTX_load_verify_file(ssl, file) == 1) return STATUS_OK;
  return refuse(file, "it has no certificate in the PEM format", why);
}

static enum status load_own(SSL_CTX *ssl, const struct network_tls *options,
                            char why[NETWORK_WHY_MAX]) {
  struct tls_pair pair = {.certificate = options->certificate,
                          .key = *options->key ? options->key : options->certificate};
  struct tls_certificate own;
  if (*options->certificate == '\0') return STATUS_OK;
  enum status status = tls_certificate_load(&pair, &own, why);
  if (status == STATUS_OK &&
      SSL_CTX_use_cert_and_key(ssl, own.certificate, own.key, own.chain, 1) != 1)
    status = refuse(options->certificate, "it cannot be used", why);
  tls_certificate_deinit(&own);
  return status;
}

static void set_rules(SSL_CTX *ssl, bool verifies) {
  tls_internal_set_rules(ssl);
  SSL_CTX_set_verify(ssl, verifies ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
  SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(ssl, on_new_session);
}

static enum status make(const struct network_tls *options, const struct stamp stamps[FILES],
                        struct tls_client **made, char why[NETWORK_WHY_MAX]) {
  const char *const files[FILES] = {options->ca, options->certificate, options->key};
  struct tls_client *client = calloc(1, sizeof *client);
  if (!client) return no_memory(why);
  client->references = 1;
  client->verifies = options->verifies;
  memcpy(client->stamps, stamps, sizeof client->stamps);
  ERR_clear_error();
  client->ssl = SSL_CTX_new(TLS_client_method());
  bool has_memory = client->ssl != NULL;
  for (size_t i = 0; i < FILES; i++) {
    client->files[i] = strdup(files[i]);
    has_memory = has_memory && client->files[i];
  }
  enum status status = has_memory ? STATUS_OK : no_memory(why);
  if (status == STATUS_OK) {
    set_rules(client->ssl, options->verifies);
    if (options->verifies) status = load_authorities(client->ssl, options->ca, why);
  }
  if (status == STATUS_OK) status = load_own(client->ssl, options, why);
  ERR_clear_error();
  if (status == STATUS_OK)
    *made = client;
  else
    release(client);
  return status;
}

/* ---- the list ------------------------------------------------------------------------------ */

static bool is_for(const struct tls_client *client, const struct network_tls *options) {
  return client->verifies == options->verifies && strcmp(client->files[0], options->ca) == 0 &&
         strcmp(client->files[1], options->certificate) == 0 &&
         strcmp(client->files[2], options->key) == 0;
}

static struct tls_client *take_out(struct tls_clients *clients, struct tls_client **place) {
  struct tls_client *client = *place;
  *place = client->next;
  clients->count--;
  return client;
}

static void put_first(struct tls_clients *clients, struct tls_client *client) {
  client->next = clients->first;
  clients->first = client;
  clients->count++;
}

static bool is_fresh(const struct tls_client *client, const struct stamp stamps[FILES]) {
  for (size_t i = 0; i < FILES; i++)
    if (!is_same_stamp(&client->stamps[i], &stamps[i])) return false;
  return true;
}

enum status tls_clients_find(struct tls_clients *clients, const struct network_tls *options,
                             struct tls_client **found, uint64_t *version,
                             char why[NETWORK_WHY_MAX]) {
  const char *const files[FILES] = {options->ca, options->certificate, options->key};
  struct stamp stamps[FILES];
  for (size_t i = 0; i < FILES; i++)
    if (look(files[i], &stamps[i], why) != STATUS_OK) return STATUS_ERROR;
  struct tls_client **place = &clients->first, *client = NULL;
  while (*place && !is_for(*place, options)) place = &(*place)->next;
  if (*place) client = take_out(clients, place);
  if (client && !is_fresh(client, stamps)) {
    release(client);
    client = NULL;
  }
  if (!client) {
    if (make(options, stamps, &client, why) != STATUS_OK) return STATUS_ERROR;
    client->version = ++clients->versions;
  }
  put_first(clients, client);
  if (clients->count > CLIENTS_MAX) {
    for (place = &clients->first; (*place)->next; place = &(*place)->next) continue;
    release(take_out(clients, place));
  }
  *found = client;
  *version = client->version;
  return STATUS_OK;
}

void tls_clients_clear(struct tls_clients *clients) {
  while (clients->first) release(take_out(clients, &clients->first));
}

/* ---- connections --------------------------------------------------------------------------- */

/* A name may end in a dot, and an IPv6 address in the number of a link: certificates have neither.
 */
void tls_client_name(const struct network_tls *options, char name[TLS_NAME_MAX]) {
  struct address address;
  const char *why, *text = options->server_name;
  name[0] = '\0';
  if (*text == '\0') {
    if (address_parse(options->address, &address, &why) != STATUS_OK ||
        address.kind == ADDRESS_UNIX)
      return;
    text = address.host;
  }
  size_t length = strcspn(text, "%");
  if (length >= TLS_NAME_MAX) length = TLS_NAME_MAX - 1;
  if (length > 1 && text[length - 1] == '.') length--;
  memcpy(name, text, length);
  name[length] = '\0';
}

static bool is_address(const char *name) {
  unsigned char bytes[sizeof(struct in6_addr)];
  return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

/* Only names of hosts are sent: RFC 6066, 3. */
static bool set_name(SSL *ssl, const char *name, bool verifies) {
  bool is_numeric = is_address(name);
  if (*name == '\0') return !verifies;
  if (!is_numeric && SSL_set_tlsext_host_name(ssl, name) != 1) return false;
  if (!verifies) return true;
  if (is_numeric) return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
  SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return SSL_set1_host(ssl, name) == 1;
}

static bool set_alpn(SSL *ssl, const char *list) {
  unsigned char bytes[NETWORK_ALPN_MAX + 1], *to = bytes;
  size_t length = strlen(list);
  if (length == 0) return true;
  if (length > NETWORK_ALPN_MAX) return false;
  while (to < bytes + length + 1) {
    size_t part = strcspn(list, ",");
    *to++ = (unsigned char)part;
    memcpy(to, list, part);
    to += part;
    list += part + 1;
  }
  return SSL_set_alpn_protos(ssl, bytes, (unsigned)length + 1) == 0;
}

static struct origin *make_origin(struct tls_client *client, const struct network_tls *options,
                                  const char *name) {
  size_t size = strlen(options->address) + strlen(name) + strlen(options->alpn) + 3;
  struct origin *origin = malloc(sizeof *origin + size);
  if (!origin) return NULL;
  snprintf(origin->place, size, "%s\n%s\n%s", options->address, name, options->alpn);
  origin->client = client;
  client->references++;
  return origin;
}

struct tls *tls_connect(struct tls_client *client, const struct network_tls *options, int fd) {
  char name[TLS_NAME_MAX];
  struct tls *tls = tls_internal_create(client->ssl, fd);
  if (!tls) return NULL;
  SSL *ssl = tls_internal_ssl(tls);
  tls_client_name(options, name);
  SSL_set_connect_state(ssl);
  ERR_clear_error();
  struct origin *origin = make_origin(client, options, name);
  bool is_set = origin && origin_index() >= 0 && SSL_set_ex_data(ssl, origin_index(), origin) == 1;
  if (!is_set) free_origin(NULL, origin, NULL, 0, 0, NULL);
  is_set = is_set && set_name(ssl, name, client->verifies) && set_alpn(ssl, options->alpn);
  if (is_set) resume(client, origin->place, ssl);
  ERR_clear_error();
  if (is_set) return tls;
  tls_destroy(tls, false);
  return NULL;
}

const char *tls_refusal(const struct tls *tls) {
  const SSL *ssl = tls_internal_ssl(tls);
  long result = SSL_get_verify_result(ssl);
  bool is_refused = SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE && result != X509_V_OK;
  return is_refused ? X509_verify_cert_error_string(result) : NULL;
}
