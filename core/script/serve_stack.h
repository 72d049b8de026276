/* serve_stack.h: where the values of an entry stand that serves a session. For serve.c and
 * verdict.c. */
#ifndef SCRIPT_SERVE_STACK_H
#define SCRIPT_SERVE_STACK_H

/* The stack of an entry: its task, the message handler, `self`, and what every request needs, which
 * is looked up once for all of them; above that, the three results of a call. */
enum {
  TASK = 1,
  MESSAGE_HANDLER,
  SELF,
  REQUEST_COMPLETE, /* the function, or the framing in its place */
  MAKE_RESPONSE,
  INPUT_KEY, /* "incoming", or "request" with a framing */
  CLOSE_KEY, /* "close_when_done" */
  TOP = CLOSE_KEY,
  ANSWER,
  DETAIL,
  VALUE
};

#endif
