/* outcome.h: what a script reports to the server that runs it: what came of a reload, and of a step
 * of idle work. */
#ifndef BASE_OUTCOME_H
#define BASE_OUTCOME_H

enum reload_outcome {
  RELOAD_UNCHANGED, /* The files are those of the version that serves, or were refused before. */
  RELOAD_DONE,      /* A new version has taken over. */
  RELOAD_REFUSED,   /* The new version is not valid. The log says why, and the old one serves on. */
  RELOAD_LATER,     /* There is no new version yet, but there may be one soon: ask again.
                     * The service asks only if it has a watcher or a check. */
  RELOAD_UNCHECKED, /* The files have changed, and must be checked before they run. */
  RELOAD_CHECKING,  /* The files are those for which RELOAD_UNCHECKED was returned last. */
  RELOAD_COMPILING  /* A new version is being compiled or loaded: ask again after the wake. */
};

enum idle_work {
  IDLE_WORK_LEFT,   /* There is more to do. */
  IDLE_WORK_USEFUL, /* All is done, and it was worth its time. */
  IDLE_WORK_USELESS /* All is done, and it was hardly worth its time. */
};

#endif
