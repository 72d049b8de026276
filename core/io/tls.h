/* tls.h: TLS over one socket, which stays the caller's.
 *
 * Bytes that the socket does not take are held, a record or two of them, so that what was written
 * is sent in any case: tls_flush() sends them. So reading never waits for writing, or the other way
 * round: tls_handshake() and tls_read() wait until the socket can be read, and while
 * tls_held() is not 0 somebody must call tls_flush() when the socket can be written. */
#ifndef IO_TLS_H
#define IO_TLS_H

#include "base/span.h"
#include "io/tls_context.h"

struct tls;

/* The server's side of a connection. Takes a reference to the context. NULL: there is no memory. */
struct tls *tls_accept(struct tls_context *context, int fd);

/* STATUS_AGAIN: the peer must send first. STATUS_CLOSED: it has closed the socket. STATUS_ERROR:
 * tls_why() says why, and errno is EPROTO if the peer is the reason, else that of the socket. */
enum status tls_handshake(struct tls *tls);

/* Why the handshake, or tls_read(), failed; valid as long as the connection. */
const char *tls_why(const struct tls *tls);

/* Whether a byte has come from the peer. */
bool tls_has_heard(const struct tls *tls);

/* As in socket.h. tls_read(): STATUS_CLOSED: the peer has said that nothing more comes. A socket
 * that was closed without this word is an error (ECONNRESET): something may be missing.
 * tls_send_file(): only an error of the file has its errno. */
enum status tls_read(struct tls *tls, char *into, size_t capacity, size_t *length);
enum status tls_write(struct tls *tls, const struct span *spans, size_t count, bool more,
                      size_t *sent);
enum status tls_send_file(struct tls *tls, int file, int64_t *offset, size_t length, size_t *sent);

/* tls_read() has more, whether or not the socket can be read. */
bool tls_has_pending(const struct tls *tls);

/* How many bytes the socket did not take. */
size_t tls_held(const struct tls *tls);

/* STATUS_AGAIN: the socket does not take all of them. */
enum status tls_flush(struct tls *tls);

/* Tells the peer that nothing more comes, and then ends the sending side of the socket, when what
 * is held was sent. */
void tls_shutdown_write(struct tls *tls);

/* What is known of the peer and of the connection: texts with a zero byte behind each of them, in
 * this order: version, cipher, the name that the client asked for, ALPN's protocol, subject, issuer
 * and fingerprint of the peer's certificate, and all its names. A text that is not known is empty.
 * The caller frees *text. */
enum status tls_describe(const struct tls *tls, char **text, size_t *length);

/* Frees. The socket is not touched, unless `says_end`: then the peer is told that nothing more
 * comes, if the socket takes it, when the socket is closed. NULL is ignored. */
void tls_destroy(struct tls *tls, bool says_end);

#endif
