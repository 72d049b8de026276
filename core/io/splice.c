#include "io/splice.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/socket.h"
#include "io/socket_channel.h"

enum {
  PIPE_SIZE = 512 * 1024, /* Bytes that a pipe is asked to hold. */
  COPY_SIZE = 16 * 1024   /* Bytes that are copied at once. */
};

int splice_descriptor(const struct channel *channel) { return socket_channel_descriptor(channel); }

/* ---- pipes --------------------------------------------------------------------------------- */

/* A pipe of the default size does as well. */
static bool take_pipe(struct splice_way *way, struct splice_pipes *pipes) {
  int ends[2];
  if (pipes->spare_count > 0) {
    way->pipe = pipes->spare[--pipes->spare_count];
    return true;
  }
  if (pipes->count >= SPLICE_PIPES_MAX || pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) return false;
  (void)fcntl(ends[0], F_SETPIPE_SZ, (int)PIPE_SIZE);
  way->pipe = (struct splice_pipe){ends[0], ends[1]};
  pipes->count++;
  return true;
}

static void close_pipe(struct splice_pipe pipe, struct splice_pipes *pipes) {
  int error = errno;
  close(pipe.to_read);
  close(pipe.to_write);
  pipes->count--;
  errno = error;
}

/* A pipe with bytes in it is of no use for another way. */
static void give_pipe(struct splice_way *way, struct splice_pipes *pipes) {
  if (way->held == 0 && pipes->spare_count < SPLICE_SPARE_MAX)
    pipes->spare[pipes->spare_count++] = way->pipe;
  else
    close_pipe(way->pipe, pipes);
  way->held = 0;
}

void splice_end(struct splice_way *way, struct splice_pipes *pipes) {
  if (way->held > 0) give_pipe(way, pipes);
}

void splice_pipes_close(struct splice_pipes *pipes) {
  while (pipes->spare_count > 0) close_pipe(pipes->spare[--pipes->spare_count], pipes);
}

/* ---- bytes --------------------------------------------------------------------------------- */

static ssize_t splice_once(int from, int to, size_t length) {
  ssize_t moved;
  do moved = splice(from, NULL, to, NULL, length, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  while (moved < 0 && errno == EINTR);
  return moved;
}

/* Bytes are taken from their socket when the other one has taken them. */
static enum status copy(struct splice_way *way, int from, int to, size_t *moved) {
  char bytes[COPY_SIZE];
  ssize_t got;
  size_t sent, taken;
  do got = recv(from, bytes, sizeof bytes, MSG_PEEK);
  while (got < 0 && errno == EINTR);
  if (got < 0) return errno == EAGAIN ? STATUS_AGAIN : STATUS_ERROR;
  way->has_ended = got == 0;
  if (got == 0) return STATUS_CLOSED;
  const struct span span = {bytes, (size_t)got};
  enum status status = socket_write(to, &span, 1, false, &sent);
  way->is_blocked = status == STATUS_AGAIN || (status == STATUS_OK && sent < (size_t)got);
  if (status != STATUS_OK) return status;
  status = socket_read(from, bytes, sent, &taken);
  if (status != STATUS_OK || taken != sent) return STATUS_ERROR;
  *moved += sent;
  return way->is_blocked ? STATUS_AGAIN : STATUS_OK;
}

/* Fills the pipe. STATUS_OK: there are bytes in it. */
static enum status fill(struct splice_way *way, int from) {
  ssize_t got = splice_once(from, way->pipe.to_write, PIPE_SIZE);
  if (got > 0) way->held = (size_t)got;
  if (got > 0) return STATUS_OK;
  way->has_ended = got == 0;
  if (got == 0) return STATUS_CLOSED;
  return errno == EAGAIN ? STATUS_AGAIN : STATUS_ERROR;
}

/* Empties the pipe. STATUS_AGAIN: not all of it. */
static enum status drain(struct splice_way *way, int to, size_t *moved) {
  ssize_t sent = splice_once(way->pipe.to_read, to, way->held);
  if (sent == 0 || (sent < 0 && errno != EAGAIN)) return STATUS_ERROR;
  if (sent > 0) {
    way->held -= (size_t)sent;
    *moved += (size_t)sent;
  }
  way->is_blocked = way->held > 0;
  return way->is_blocked ? STATUS_AGAIN : STATUS_OK;
}

/* What came is less than half of a pipe: most likely there is no more now, and the poller tells. */
static bool is_little(size_t length) { return length < PIPE_SIZE / 2; }

/* The way holds nothing. *is_last: `from` has no more for now. */
static enum status move_once(struct splice_way *way, struct splice_pipes *pipes, int from, int to,
                             size_t *moved, bool *is_last) {
  if (!take_pipe(way, pipes)) return copy(way, from, to, moved);
  enum status status = fill(way, from);
  bool cannot_splice = status == STATUS_ERROR && errno == EINVAL;
  *is_last = is_little(way->held);
  if (status == STATUS_OK) status = drain(way, to, moved);
  if (way->held == 0 || status == STATUS_ERROR) give_pipe(way, pipes);
  return cannot_splice ? copy(way, from, to, moved) : status;
}

enum status splice_move(struct splice_way *way, struct splice_pipes *pipes, int from, int to,
                        size_t budget, size_t *moved) {
  size_t until = *moved + budget;
  bool is_last = false;
  if (way->held > 0) {
    enum status status = drain(way, to, moved);
    if (way->held == 0 || status == STATUS_ERROR) give_pipe(way, pipes);
    if (status != STATUS_OK) return status;
  }
  way->is_blocked = false;
  if (way->has_ended) return STATUS_CLOSED;
  while (*moved < until) {
    enum status status = move_once(way, pipes, from, to, moved, &is_last);
    if (status != STATUS_OK) return status;
    if (is_last) return STATUS_AGAIN;
  }
  return STATUS_OK;
}
