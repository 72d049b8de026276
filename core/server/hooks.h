/* hooks.h: what a session asks of its connection (struct session_hooks). Private to the server
 * room. */
#ifndef SERVER_HOOKS_H
#define SERVER_HOOKS_H

struct service;

/* Sets service->hooks. The server of the service must be set. */
void hooks_set(struct service *service);

#endif
