/* serve_stack.h: where the values of an entry stand that serves a session. For serve_loop.c and
 * verdict.c. */
#ifndef SCRIPT_SERVE_STACK_H
#define SCRIPT_SERVE_STACK_H

/* The stack of the loop: its task, and what every request needs, which is looked up once for all
 * entries; above that, `self` of this entry, and the three results of a call. */
enum {
  TASK = 1,
  REQUEST_COMPLETE, /* The function, or the framing in its place. */
  MAKE_RESPONSE,
  INPUT_KEY, /* "incoming", or "request" with a framing. */
  CLOSE_KEY, /* "close_when_done" */
  SELF,
  TOP = SELF,
  ANSWER,
  DETAIL,
  VALUE
};

#endif
