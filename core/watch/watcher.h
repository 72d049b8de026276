/* watcher.h: tells that files may have changed and that nobody is changing them any more.
 *
 * Whether their contents differ is for the caller to find out. It reads the files *after*
 * watcher_settled() has returned true, and misses nothing: later changes are told again. When a
 * save is told is in docs/hot-editing.md, "When a save is noticed"; the constants are in watcher.c.
 *
 * A file is watched through the folders on its path (inotify). So it does not matter how it is
 * replaced: written in place, renamed over, missing for a while, behind a link that is changed, or
 * in a folder that is moved or made again. Where there are no events, or where they cannot be
 * relied on, the watcher polls, instead or in addition: it looks at the files (stat()) four times a
 * second. It does not notice a file system that is mounted over a folder on the path.
 *
 * No function waits. The descriptor is close-on-exec. All times are in milliseconds and given by
 * the caller; they are never negative and never less than in a call before. */
#ifndef WATCH_WATCHER_H
#define WATCH_WATCHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/status.h"

struct watcher;

/* A watcher of no files. With `polls` it never uses events; without, it polls only where it must.
 * STATUS_NO_MEMORY. */
enum status watcher_create(bool polls, struct watcher **watcher);

/* The descriptor to poll for reading while the watcher lives; -1: there is none. */
int watcher_descriptor(const struct watcher *watcher);

/* Watches these files, and no others. The paths are copied; they need not lead anywhere. If they
 * are the paths that are watched, in the same order, the call costs nothing. What happened to a
 * file before it was watched is not told: a caller that has read it before must compare it once
 * more (watcher_nudge()). STATUS_NO_MEMORY: the files before are still watched. */
enum status watcher_watch(struct watcher *watcher, const char *const *paths, size_t count);

/* Whether the watcher polls now, with or without events. */
bool watcher_polls(const struct watcher *watcher);

/* The descriptor is readable. */
void watcher_read(struct watcher *watcher, int64_t now);

/* When to call watcher_settled() next. The time may be in the past. CLOCK_NEVER: not before
 * watcher_read() was called. Other calls of watcher_settled() do no harm. */
int64_t watcher_deadline(const struct watcher *watcher);

/* Returns true once for each change: when it is complete, or when waiting longer is no use. */
bool watcher_settled(struct watcher *watcher, int64_t now);

/* Reads the events first. True: there is no change that watcher_settled() has still to tell. */
bool watcher_is_at_rest(struct watcher *watcher, int64_t now);

/* Makes watcher_settled() return true at that time even without a change, so that the caller tries
 * again. If a file is changing at that time, it returns true when that change is told. A second
 * call replaces the time of the first; CLOCK_NEVER cancels it. */
void watcher_nudge(struct watcher *watcher, int64_t when);

/* NULL is ignored. The descriptor is closed. */
void watcher_destroy(struct watcher *watcher);

#endif
