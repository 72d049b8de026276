/* http_target.h: what a request is for: its target, and the host that it names.
 *
 * Private to the room. */
#ifndef FRAMING_HTTP_TARGET_H
#define FRAMING_HTTP_TARGET_H

#include <stdbool.h>

#include "framing/http.h"

/* Whether a Host field may hold this: uri-host [ ":" port ], or nothing (RFC 9112, 3.2). */
bool http_is_host(struct span value);

/* How many of the first bytes are a path and perhaps a query: both begin with "/". */
size_t http_run_path(struct span text);

/* Whether the target has a form that fits the method (RFC 9112, 3.2.1 to 3.2.4). One that begins
 * with "/" was read by http_run_path() before. */
bool http_is_target(struct span method, struct span target);

#endif
