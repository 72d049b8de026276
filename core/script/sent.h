/* sent.h: what is left to do when a piece of a response, or all of it, has been sent. Runs outside
 * of the gate. */
#ifndef SCRIPT_SENT_H
#define SCRIPT_SENT_H

struct handler;
struct session;

/* handler->on_sent: removes from `self` what was made for the request. Cannot raise. */
void sent_forget_request(struct handler *handler, struct session *session);

/* handler->release: closes the file, or drops the anchor of the value, that has this reference. */
void sent_release(struct handler *handler, struct session *session, int reference);

#endif
