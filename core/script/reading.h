/* reading.h: what a script can ask to read from a stream of bytes, and whether it is there.
 *
 * It knows nothing of where the bytes come from: their owner shows what has arrived, and takes away
 * what was read. */
#ifndef SCRIPT_READING_H
#define SCRIPT_READING_H

#include <lua.h>

#include "base/span.h"
#include "framing/framing.h"

/* The most bytes of a line with its end, of "any", and of everything else that is read at once. */
enum {
  READING_LINE_MAX = 1024 * 1024,
  READING_ANY_MAX = 64 * 1024,
  READING_MAX = 16 * 1024 * 1024
};

enum reading_kind {
  READING_LINE,       /* "l": a line without its end, which is LF or CR LF. */
  READING_LINE_ENDED, /* "L": a line with its end. */
  READING_COUNT,      /* So many bytes. */
  READING_PEEK,       /* So many bytes, which stay. */
  READING_ALL,        /* "a": all bytes up to the end. */
  READING_ANY,        /* "any": what is there, at least one byte. */
  READING_FRAMING     /* What a framing finds. */
};

struct reading {
  enum reading_kind kind;
  size_t count;                     /* Of READING_COUNT and READING_PEEK. */
  size_t seen;                      /* Lines: so many bytes have no end of a line. */
  size_t needed;                    /* READING_FRAMING: so many bytes must be there. */
  struct framing framing;           /* Of READING_FRAMING. */
  struct framing_progress progress; /* The same. */
};

/* What was found, while the bytes are where they are. */
struct reading_answer {
  size_t length;                /* How many bytes are to be taken away. */
  struct span value;            /* Of every kind but READING_FRAMING. */
  struct framing_answer framed; /* Of READING_FRAMING. */
  const char *code;             /* Of READING_FAILED: a static text, as `why` may be. */
  const char *why;
};

/* How many more bytes may come. */
enum reading_end { READING_OPEN, READING_ENDED, READING_BROKEN };

enum reading_result { READING_PARTIAL, READING_DONE, READING_FAILED };

/* Takes the argument at `index` (nil: "l"). Raises for what is none. */
void reading_take(lua_State *state, int index, struct reading *reading);

/* Takes the number at `index` for READING_PEEK; it must be from 1 to READING_ANY_MAX. */
void reading_take_peek(lua_State *state, int index, struct reading *reading);

/* Looks at all bytes that are there. Between two calls for one reading none may be taken away. */
enum reading_result reading_look(struct reading *reading, struct span input, enum reading_end end,
                                 struct reading_answer *answer);

/* After READING_DONE: pushes the value. A framing is at `index`, which is absolute. May raise. */
void reading_push(lua_State *state, int index, const struct reading *reading,
                  const struct reading_answer *answer);

/* After READING_FAILED: pushes nil, why, and the code. Returns 3. May raise. */
int reading_push_failure(lua_State *state, const struct reading *reading,
                         const struct reading_answer *answer);

#endif
