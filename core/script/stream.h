/* stream.h: a stream of a script: the bytes to and from a channel of its world.
 *
 * A stream is a value in Lua (stream_value.h) and what stands here, which outlives that value while
 * what was written still goes out. It belongs to the task that made it, and ends with it, unless it
 * was detached or given to a response.
 *
 * What a script asks for is noted, and carried out in a turn of the loop. Nothing here enters Lua
 * or raises. */
#ifndef SCRIPT_STREAM_H
#define SCRIPT_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/channel.h"
#include "base/network.h"
#include "base/ready.h"
#include "base/timer.h"
#include "script/owned.h"
#include "script/reading.h"
#include "script/stream_tls.h"

struct script;
struct session;
struct stream;
struct task;

/* What a stream is a part of, which is told of its life. A member of the struct that it belongs to
 * (intrusive). None of the functions may free the stream. */
struct stream_whole {
  /* A response has the stream from now on, and no task. */
  void (*on_given)(struct stream_whole *whole, struct stream *stream);
  void (*on_closed)(struct stream_whole *whole, struct stream *stream);
  void (*on_freed)(struct stream_whole *whole, const struct stream *stream);
};

/* A writer waits while more than the first is unsent, until it is no more than the second. */
enum { STREAM_HIGH_WATER = 256 * 1024, STREAM_LOW_WATER = 64 * 1024 };

/* What is at the other end. */
enum stream_kind {
  STREAM_CONNECTION, /* Another server. Only what goes over these is told to a tap. */
  STREAM_PIPE,       /* A program. */
  STREAM_BODY /* The client: see body.h. It is read only while a reader needs more than it has. */
};

/* How far TLS is, which a stream has if `tls` is not NULL. */
enum stream_tls_phase {
  STREAM_TLS_OFF,
  STREAM_TLS_ASKED,     /* It begins when all plain bytes were sent. */
  STREAM_TLS_HANDSHAKE, /* It has begun, or failed: nothing else is done with the channel. */
  STREAM_TLS_ON
};

struct stream {
  struct channel_user user;
  struct network_connect asked; /* While it connects, or begins TLS. */
  struct ready turn;
  struct timer linger; /* When a closed stream is given up. */
  struct owned owned;
  struct script *script;
  struct stream_whole *whole; /* NULL: it is a part of nothing. */
  struct stream *next;        /* In the list of the script. */
  struct stream *previous;
  struct channel *channel; /* NULL: it is not connected yet, or not any more. */
  struct buffer *input;
  struct buffer *output;
  struct reading reading;
  struct session *session; /* Whose tap is told: see stream_tap.h. NULL: nobody is. */
  uint32_t number;         /* What that tap calls it. */
  struct task *reader;     /* Waits for bytes; NULL: none does. */
  struct task *writer;     /* Waits for room; NULL: none does. */
  struct task *connector;  /* Waits until it is connected, or has TLS; NULL: none does. */
  struct stream_tls *tls;  /* NULL: it is plain. */
  int64_t read_until;      /* When the reader is to give up, in ms; CLOCK_NEVER. */
  int64_t write_until;     /* The same for the writer, or for the connector. */
  int64_t timeout;         /* ms; 0: none; STREAM_NO_TIMEOUT_SET: that of the task. */
  size_t room;             /* How much the next read has room for. */
  size_t discarded;        /* Bytes that came when it was closed. */
  enum stream_kind kind : 8;
  enum reading_end end : 8;
  enum stream_tls_phase tls_phase : 8;
  enum network_error error : 8; /* Why it is not connected, or has no TLS. */
  unsigned interest : 2;        /* What the channel is watched for. */
  bool has_value : 1;           /* There is a value in Lua. */
  bool is_closed : 1;           /* The script has closed it, or its task has ended. */
  bool is_dropped : 1;          /* It is not to send what it has. */
  bool is_detached : 1;
  bool is_returned : 1;    /* It was returned as a part of a response. */
  bool cannot_send : 1;    /* Sending has failed. */
  bool wants_shutdown : 1; /* Sending ends when the output is sent. */
  bool is_shut : 1;        /* Sending has ended. */
  bool has_sent : 1;
  bool is_drained : 1;  /* The last read took all that had come. */
  bool is_cut : 1;      /* A read or a write was cut short. */
  bool is_reused : 1;   /* It has a channel that was used before. */
  bool began_plain : 1; /* TLS has begun behind plain bytes. */
  const char *fault;    /* Why it is broken, a static code; NULL: "reset". */
  const char *fault_why;
  char why[80];   /* With `error`. */
  char address[]; /* As the script has written it. */
};

enum { STREAM_NO_TIMEOUT_SET = -1 };

/* Makes a stream that is not connected, of the kind STREAM_CONNECTION. NULL: there is no memory. */
struct stream *stream_create(struct script *script, const char *address);

/* The stream gets a channel. */
void stream_open(struct stream *stream, struct channel *channel);

/* The task does not own it any more, but a response. */
void stream_give(struct stream *stream);

/* Has the stream take a turn, in which it does what was noted. */
void stream_note(struct stream *stream);

/* Closes it; what was written goes out for 10 s at most. For a part of a whole, these begin with
 * stream_linger(). */
void stream_close(struct stream *stream);

/* Gives up what a closed stream has not sent after 10 s from now. */
void stream_linger(struct stream *stream);

/* Ends it at once. */
void stream_drop(struct stream *stream);

/* A body has bytes in memory, which are received at once. True: it has received some, or the end.
 * Streams of other channels receive in a turn of the loop, and this does nothing. */
bool stream_receive_now(struct stream *stream);

/* The reader waits for bytes, or waits no more. */
void stream_await(struct stream *stream, struct task *reader);
void stream_end_wait(struct stream *stream);

/* Sends as much as it can now. */
void stream_flush(struct stream *stream);

/* Takes its channel away, which is the caller's: the stream is closed. No task may wait for it. */
struct channel *stream_take_channel(struct stream *stream);

/* The value in Lua is gone. May free the stream. */
void stream_forget_value(struct stream *stream);

/* Ends and frees all streams of a script whose Lua state was closed. */
void stream_free_all(struct script *script);

#endif
