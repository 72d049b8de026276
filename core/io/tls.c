#include "io/tls.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/socket.h"
#include "io/tls_internal.h"

enum {
  RECORD = 16 * 1024,      /* The most bytes of a record (RFC 8446, 5.1). */
  WRITE_MAX = 1024 * 1024, /* The most bytes that one call sends. */
  HELD_MAX = 256 * 1024,   /* A peer that makes us answer so much and reads nothing is broken. */
  HELD_FIRST = 20 * 1024,  /* The first size of the buffer: a record and what is around it. */
  MESSAGES_MAX = 32,       /* The most messages of TLS itself that come in one read. */
};

struct tls {
  SSL *ssl;
  struct tls_context *context; /* NULL: this is the side of a client. */
  int fd;
  int error;        /* The errno of the socket; 0: it has none. */
  char *held;       /* Bytes that the socket did not take; NULL: there are none. */
  size_t held_from; /* They are held[held_from..held_to). */
  size_t held_to;
  size_t held_size;
  unsigned messages; /* How many messages of TLS itself have come in this read. */
  const char *why;   /* Why the handshake or a read has failed. */
  bool more : 1;     /* Other bytes follow at once those that are being written. */
  bool gathers : 1;  /* What is written is held, and sent later. */
  bool has_heard : 1;
  bool has_ended : 1;    /* The socket has ended. */
  bool has_failed : 1;   /* Nothing more can be read or written. */
  bool cannot_write : 1; /* What the peer has sent before may still be read. */
  bool has_pending : 1;  /* tls_read() has more. */
  bool is_shut : 1;      /* The peer was told that nothing more comes. */
};

/* ---- the socket ---------------------------------------------------------------------------- */

static int read_socket(BIO *bio, char *into, int capacity) {
  struct tls *tls = BIO_get_data(bio);
  size_t length;
  BIO_clear_retry_flags(bio);
  if (tls->has_failed) return -1;
  switch (socket_read(tls->fd, into, (size_t)capacity, &length)) {
  case STATUS_OK: tls->has_heard = true; return (int)length;
  case STATUS_AGAIN: BIO_set_retry_read(bio); return -1;
  case STATUS_CLOSED: tls->has_ended = true; return 0;
  default: tls->error = errno; return -1;
  }
}

static bool hold(struct tls *tls, const char *bytes, size_t length) {
  size_t wanted = tls->held_to + length;
  if (wanted > HELD_MAX) {
    tls->error = ENOBUFS;
    return false;
  }
  if (!tls->held || wanted > tls->held_size) {
    size_t size = wanted > HELD_FIRST ? wanted : HELD_FIRST;
    char *grown = realloc(tls->held, size);
    if (!grown) {
      tls->error = ENOMEM;
      return false;
    }
    tls->held = grown;
    tls->held_size = size;
  }
  memcpy(tls->held + tls->held_to, bytes, length);
  tls->held_to = wanted;
  return true;
}

/* Takes all of them, unless the socket is broken. */
static int write_socket(BIO *bio, const char *bytes, int length) {
  struct tls *tls = BIO_get_data(bio);
  struct span span = {bytes, (size_t)length};
  size_t sent = 0;
  BIO_clear_retry_flags(bio);
  if (!tls->held && !tls->gathers &&
      socket_write(tls->fd, &span, 1, tls->more, &sent) == STATUS_ERROR) {
    tls->error = errno;
    return -1;
  }
  if (sent < span.length && !hold(tls, bytes + sent, span.length - sent)) return -1;
  return length;
}

/* OpenSSL flushes at the end of each flight, and asks whether the socket has ended. */
static long control_socket(BIO *bio, int command, long number, void *pointer) {
  const struct tls *tls = BIO_get_data(bio);
  (void)number;
  (void)pointer;
  if (command == BIO_CTRL_EOF) return tls->has_ended;
  return command == BIO_CTRL_FLUSH;
}

static const BIO_METHOD *socket_method(void) {
  static BIO_METHOD *method; /* It lives as long as the process. */
  if (method) return method;
  BIO_METHOD *made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");
  if (made && BIO_meth_set_read(made, read_socket) && BIO_meth_set_write(made, write_socket) &&
      BIO_meth_set_ctrl(made, control_socket))
    method = made;
  else
    BIO_meth_free(made);
  return method;
}

enum status tls_flush(struct tls *tls) {
  if (!tls->held) return STATUS_OK;
  struct span rest = {tls->held + tls->held_from, tls->held_to - tls->held_from};
  size_t sent;
  enum status status = socket_write(tls->fd, &rest, 1, false, &sent);
  if (status == STATUS_AGAIN) return status;
  if (status == STATUS_OK) {
    tls->held_from += sent;
    if (sent < rest.length) return STATUS_AGAIN;
  } else {
    tls->cannot_write = true;
    tls->error = errno;
  }
  free(tls->held);
  tls->held = NULL;
  tls->held_from = tls->held_to = tls->held_size = 0;
  if (status == STATUS_OK && tls->is_shut) socket_shutdown_write(tls->fd);
  return status;
}

/* ---- life ---------------------------------------------------------------------------------- */

/* Finite fields are no choice for the exchange of keys: a few bytes of the peer's would cost us a
 * tenth of a second, during which nobody else is served. */
void tls_internal_set_rules(SSL_CTX *ssl) {
  SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION);
  SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                            SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(ssl, 1);
  SSL_CTX_set1_groups_list(ssl, "X25519:P-256:X448:P-521:P-384");
}

struct tls *tls_internal_create(SSL_CTX *ssl, int fd) {
  struct tls *tls = calloc(1, sizeof *tls);
  if (!tls) return NULL;
  const BIO_METHOD *method = socket_method();
  BIO *bio = method ? BIO_new(method) : NULL;
  tls->ssl = bio ? SSL_new(ssl) : NULL;
  if (!tls->ssl) {
    BIO_free(bio);
    free(tls);
    return NULL;
  }
  tls->fd = fd;
  BIO_set_data(bio, tls);
  BIO_set_init(bio, 1);
  SSL_set_bio(tls->ssl, bio, bio);
  return tls;
}

struct tls *tls_accept(struct tls_context *context, int fd) {
  struct tls *tls = tls_internal_create(context->ssl, fd);
  if (!tls) return NULL;
  tls->context = tls_context_retain(context);
  SSL_set_accept_state(tls->ssl);
  return tls;
}

/* The alert stands in the buffer of the socket, or is held. It goes with the end of the socket,
 * which is to follow at once. */
static void say_end(struct tls *tls) {
  if (tls->is_shut || tls->has_failed || tls->cannot_write || SSL_in_init(tls->ssl)) return;
  tls->is_shut = tls->more = true;
  ERR_clear_error();
  SSL_shutdown(tls->ssl);
  ERR_clear_error();
}

void tls_shutdown_write(struct tls *tls) {
  say_end(tls);
  tls->is_shut = true;
  if (!tls->held) socket_shutdown_write(tls->fd);
}

void tls_destroy(struct tls *tls, bool says_end) {
  if (!tls) return;
  if (says_end && !tls->held) say_end(tls);
  SSL_free(tls->ssl);
  tls_context_release(tls->context);
  free(tls->held);
  free(tls);
}

/* ---- bytes --------------------------------------------------------------------------------- */

bool tls_has_pending(const struct tls *tls) { return tls->has_pending; }

size_t tls_held(const struct tls *tls) { return tls->held_to - tls->held_from; }

bool tls_has_heard(const struct tls *tls) { return tls->has_heard; }

/* What the result of a call means that has not succeeded. */
static enum status judge(struct tls *tls, int result) {
  switch (SSL_get_error(tls->ssl, result)) {
  case SSL_ERROR_WANT_READ: return STATUS_AGAIN;
  case SSL_ERROR_ZERO_RETURN: return STATUS_CLOSED;
  default: break;
  }
  if (tls->error == 0) tls->error = tls->has_ended ? ECONNRESET : EPROTO;
  errno = tls->error;
  return STATUS_ERROR;
}

/* A word that a person understands who has not read the specification of TLS. */
static const char *explain(const struct tls *tls) {
  unsigned long error = ERR_peek_error();
  switch (ERR_GET_REASON(error)) {
  case SSL_R_HTTP_REQUEST: return "the peer speaks HTTP without TLS";
  case SSL_R_WRONG_VERSION_NUMBER: return "the peer does not speak TLS";
  case SSL_R_CERTIFICATE_VERIFY_FAILED:
    return X509_verify_cert_error_string(SSL_get_verify_result(tls->ssl));
  default: break;
  }
  if (tls->error != EPROTO) return strerror(tls->error);
  const char *reason = error != 0 ? ERR_reason_error_string(error) : NULL;
  if (!reason) return "the peer does not speak TLS";
  const char *alert = strstr(reason, "alert "); /* In front stands a version that means nothing. */
  return alert ? alert : reason;
}

/* OpenSSL calls this behind each message of TLS itself, such as KeyUpdate. It costs much more than
 * its bytes, and OpenSSL would read on and on for a peer that sends nothing else. */
static void count_message(const SSL *ssl, int where, int result) {
  struct tls *tls = BIO_get_data(SSL_get_rbio(ssl));
  (void)result;
  if (!(where & SSL_CB_EXIT) || ++tls->messages <= MESSAGES_MAX) return;
  tls->has_failed = true;
  tls->error = EPROTO;
}

/* OpenSSL writes each ticket of a session by itself: they are sent together. A socket that is
 * broken is found when it is next read or written. */
enum status tls_handshake(struct tls *tls) {
  ERR_clear_error();
  tls->gathers = true;
  int result = SSL_do_handshake(tls->ssl);
  tls->gathers = false;
  (void)tls_flush(tls);
  enum status status = STATUS_OK;
  if (result == 1) {
    SSL_set_info_callback(tls->ssl, count_message);
    tls->has_pending = SSL_has_pending(tls->ssl) == 1;
    return STATUS_OK;
  }
  status = judge(tls, result);
  if (status == STATUS_ERROR) {
    tls->has_failed = true;
    tls->why = explain(tls);
    if (tls->has_ended) status = STATUS_CLOSED;
    ERR_clear_error();
    errno = tls->error;
  }
  return status;
}

const char *tls_why(const struct tls *tls) { return tls->why ? tls->why : "the peer has closed"; }

/* One call for each record; the socket is not read again while nothing of it is left. */
enum status tls_read(struct tls *tls, char *into, size_t capacity, size_t *length) {
  enum status status = STATUS_OK;
  *length = 0;
  tls->has_pending = false;
  tls->messages = 0;
  errno = tls->error;
  if (tls->has_failed) return STATUS_ERROR;
  do {
    size_t got;
    ERR_clear_error();
    int result = SSL_read_ex(tls->ssl, into + *length, capacity - *length, &got);
    if (result == 1)
      *length += got;
    else
      status = judge(tls, result);
  } while (status == STATUS_OK && *length < capacity && !tls->has_failed &&
           SSL_has_pending(tls->ssl) == 1);
  if (status == STATUS_ERROR) {
    tls->has_failed = true;
    tls->why =
        tls->has_ended ? "the connection has ended without TLS's close_notify" : explain(tls);
    ERR_clear_error();
    errno = tls->error;
  }
  if (*length == 0) return status;
  tls->has_pending = tls->has_failed || status == STATUS_CLOSED ||
                     (status == STATUS_OK && SSL_has_pending(tls->ssl) == 1);
  return STATUS_OK;
}

/* Writes up to a record. That another record follows is no reason for `more`: the peer can decrypt
 * one while the next one is encrypted. */
static enum status write_record(struct tls *tls, const char *bytes, size_t length, bool more,
                                size_t *sent) {
  size_t done;
  tls->more = more;
  ERR_clear_error();
  int result = SSL_write_ex(tls->ssl, bytes, length, &done);
  if (result != 1) {
    enum status status = judge(tls, result);
    ERR_clear_error();
    if (status == STATUS_AGAIN) return status;
    tls->cannot_write = true;
    return STATUS_ERROR;
  }
  *sent += done;
  return STATUS_OK;
}

/* Small spans go in one record: copies as many of them as it has room for. The spans must have more
 * bytes than `from` of the first. Returns the bytes, and where they are. */
static struct span gather(const struct span *spans, size_t count, size_t from,
                          char buffer[RECORD]) {
  struct span first = {spans[0].data + from, spans[0].length - from};
  if (count == 1 || first.length >= RECORD) {
    if (first.length > RECORD) first.length = RECORD;
    return first;
  }
  size_t length = 0;
  for (size_t i = 0; i < count && length < RECORD; i++) {
    const char *bytes = i == 0 ? first.data : spans[i].data;
    size_t part = i == 0 ? first.length : spans[i].length;
    if (part > RECORD - length) part = RECORD - length;
    memcpy(buffer + length, bytes, part);
    length += part;
  }
  return (struct span){buffer, length};
}

/* STATUS_OK: the socket takes more. */
static enum status begin_writing(struct tls *tls) {
  errno = tls->error != 0 ? tls->error : EPIPE;
  if (tls->has_failed || tls->cannot_write || tls->is_shut) return STATUS_ERROR;
  return tls_flush(tls);
}

enum status tls_write(struct tls *tls, const struct span *spans, size_t count, bool more,
                      size_t *sent) {
  char buffer[RECORD];
  size_t left = 0, from = 0;
  *sent = 0;
  enum status status = begin_writing(tls);
  for (size_t i = 0; i < count; i++) left += spans[i].length;
  while (status == STATUS_OK && left > 0 && *sent < WRITE_MAX && !tls->held) {
    while (from >= spans[0].length) {
      from -= spans[0].length;
      spans++;
      count--;
    }
    struct span record = gather(spans, count, from, buffer);
    size_t done = 0;
    status = write_record(tls, record.data, record.length, more, &done);
    *sent += done;
    from += done;
    left -= done;
  }
  return *sent > 0 ? STATUS_OK : status;
}

enum status tls_send_file(struct tls *tls, int file, int64_t *offset, size_t length, size_t *sent) {
  char buffer[RECORD];
  *sent = 0;
  enum status status = begin_writing(tls);
  if (length > WRITE_MAX) length = WRITE_MAX;
  while (status == STATUS_OK && *sent < length && !tls->held) {
    size_t left = length - *sent, done = 0;
    ssize_t got;
    do got = pread(file, buffer, left < RECORD ? left : RECORD, *offset);
    while (got < 0 && errno == EINTR);
    if (got <= 0) {
      status = got == 0 ? STATUS_CLOSED : STATUS_ERROR;
      break;
    }
    status = write_record(tls, buffer, (size_t)got, false, &done);
    *offset += (int64_t)done;
    *sent += done;
  }
  return *sent > 0 ? STATUS_OK : status;
}

SSL *tls_internal_ssl(const struct tls *tls) { return tls->ssl; }
