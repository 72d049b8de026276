/* proxy_line.h: version 1 of the PROXY protocol. Private to proxy.c. */
#ifndef FRAMING_PROXY_LINE_H
#define FRAMING_PROXY_LINE_H

#include "framing/proxy.h"

/* Why bytes are refused that begin as no header does. */
extern const char proxy_not_a_header[];

/* Decodes a header that is a line, as proxy_decode() does. `length` is at least 1. */
void proxy_line_decode(const char *bytes, size_t length, struct proxy_header *header);

#endif
