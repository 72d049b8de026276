/* http_chunks.h: reads the chunks of an HTTP body and the trailers behind them (RFC 9112, 7.1).
 *
 * Private to the room. */
#ifndef FRAMING_HTTP_CHUNKS_H
#define FRAMING_HTTP_CHUNKS_H

#include "framing/decoders.h"

/* Reads on from the chunk at progress->seen. If the answer is COMPLETE, it has no payload: nothing
 * was kept of the head, and the caller reads it again. */
void http_decode_chunks(const struct framing *framing, const char *bytes, size_t length,
                        struct framing_progress *progress, struct framing_answer *answer);

#endif
