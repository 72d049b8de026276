/* http_target.h: checks the target of a request and the hosts that it names.
 *
 * Private to the room. */
#ifndef FRAMING_HTTP_TARGET_H
#define FRAMING_HTTP_TARGET_H

#include <stdbool.h>

#include "framing/http.h"

/* Whether a Host field may have this value: uri-host [ ":" port ], or nothing (RFC 9112, 3.2). */
bool http_is_host(struct span value);

/* The length of the path, with the query if there is one, at the front of the text. */
size_t http_run_path(struct span text);

/* Whether the target has a form that fits the method (RFC 9112, 3.2.1 to 3.2.4). A target that
 * begins with "/" must have been checked with http_run_path(). */
bool http_is_target(struct span method, struct span target);

#endif
