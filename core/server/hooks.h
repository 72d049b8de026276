/* hooks.h: what a session asks of its connection (struct session_hooks). Private to the server
 * room. */
#ifndef SERVER_HOOKS_H
#define SERVER_HOOKS_H

struct connection;
struct service;
struct session_identity;

/* Sets service->hooks. The server of the service must be set. */
void hooks_set(struct service *service);

/* Fills in who the two ends are. The pointers are valid until the next call. */
void hooks_identify(const struct connection *connection, struct session_identity *identity);

#endif
