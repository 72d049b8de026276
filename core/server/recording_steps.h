/* recording_steps.h: the inside of a recording, shared by recording.c, which fills it, and
 * recording_text.c, which writes it as a transcript. Private to these two. */
#ifndef SERVER_RECORDING_STEPS_H
#define SERVER_RECORDING_STEPS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/tap.h"
#include "server/recording_writer.h"
#include "session/session.h"

struct service;

enum kind {
  SENDS,       /* The client sends bytes. Of datagrams, each is a step. */
  ENDS,        /* The client stops sending. */
  ANSWERS,     /* The server sends bytes, likewise. */
  HALF_CLOSES, /* The server stops sending: a tunnel does. */
  EXPIRES,     /* A limit of time ends the session. */
  SECURES,     /* TLS has begun: the bytes are the texts of session_describe_tls(). */
  /* Of a connection to another server: */
  CONNECTS, /* The script connects: the bytes are the address. */
  OPENS,    /* It is connected. */
  FAILS,    /* It is not: the bytes are the code of net.connect, a zero and why. */
  ASKS,     /* The script sends bytes. */
  REPLIES,  /* The other server sends bytes. */
  STOPS,    /* It stops sending. */
  BREAKS,   /* The connection is broken. */
  ENCRYPTS, /* It has TLS from now on; or it has failed, and the bytes are as of FAILS. */
  LAPSES    /* The connection, which the script has kept for later, is over. */
};

/* `steps` is a log of steps: of each, this header and its bytes. */
struct step {
  int64_t when; /* In ms since the beginning; of ANSWERS the time when the last byte was sent. */
  uint32_t length;
  enum kind kind : 8;
  unsigned connection : 23; /* To another server: the number of its CONNECTS, from 0 on. */
  bool is_push : 1;         /* Of ANSWERS: nothing has happened since the ANSWERS before. */
};

/* What recording_look() saw. The log of steps cannot tell how a session ends: a session that is
 * aborted drops its output and its input, and then no step shows what it still had to do. */
struct look {
  bool is_whole; /* The whole answer was in `steps`. */
  bool is_idle;  /* The whole answer was sent. */
  bool closes;   /* The server was to close after the answer. */
  size_t unseen; /* How many bytes of the client the script had not seen. */
};

struct recording {
  struct recording_job job; /* The first member: its address is the recording's. */
  struct tap tap;           /* Of the session. */
  struct session *session;  /* NULL: it is of datagrams. */
  struct recording **place; /* The owner's pointer to it. */
  struct service *service;  /* The writer's thread must not use it. */
  struct buffer *steps;
  size_t last;        /* Where in `steps` the last step begins. */
  size_t ahead;       /* Bytes of the session's output that are in `steps` but not sent yet. */
  int64_t began;      /* The beginning by the server's clock, which limits of time use. */
  int64_t began_real; /* The beginning by the clock of scripts, which the steps use. */
  int64_t when;       /* The clock of scripts when it was last read, in ms since the beginning. */
  int64_t lead;       /* The most ms that the clock of scripts was ahead of the server's. */
  uint64_t reloads;   /* How often the script had been reloaded at the beginning. */
  size_t received;    /* Bytes from the client. */
  size_t connections; /* To other servers. */
  bool rests;         /* The last step is ANSWERS, and the session has said all that it had to. */
  bool half_closed;   /* HALF_CLOSES is in `steps`. */
  bool ends;          /* The client has stopped sending. */
  bool is_unsecured;  /* The session ended while it was to be secured. */
  bool is_dropped;    /* It is of datagrams, and is not written. */
  struct look look;   /* The last look. */
  enum reason reason; /* Set at the end. */
  int64_t ended;      /* In ms since the beginning. Set at the end. */
};

/* The most connections to other servers. */
enum { RECORDING_CONNECTIONS = 1024 };

/* The step at this place in the log. */
static inline struct step recording_step(const struct recording *recording, size_t place) {
  struct step step;
  const struct buffer *steps = recording->steps;
  memcpy(&step, steps->data + steps->start + place, sizeof step);
  return step;
}

/* Writes what stands at the top, and adds the name of the service to the job. Runs on the loop's
 * thread. */
void recording_begin_text(struct recording *recording);

/* Writes the rest. For struct recording_job; runs on the writer's thread. */
void recording_render(struct recording_job *job);

#endif
