/* watcher.h: tells that files may have changed and have come to rest.
 *
 * Whether their contents differ is the caller's to find out: it reads the files *after*
 * watcher_settled() has said true, and then misses nothing, for whatever is changed later is told
 * again. A save is told 10 ms after it is complete, as far as that can be seen, and 200 ms after
 * the last write where nobody closes the file; a burst of saves is told ten times a second at most,
 * and after its end.
 *
 * A file is watched by the folders on its path (inotify), so that it is found however it was
 * replaced: written in place or renamed over, missing for a while, behind links that come to lead
 * elsewhere, in folders that are moved or made anew. Where there are no events, or none that can be
 * relied on, the files are looked at four times a second instead, or in addition: stat() tells, as
 * late as the file system itself learns of it. A file system that is mounted over a folder on the
 * way is not noticed.
 *
 * Nothing here waits, and the descriptor is close-on-exec. All times are in milliseconds, given by
 * the caller, never negative and never less than before. */
#ifndef WATCH_WATCHER_H
#define WATCH_WATCHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/status.h"

struct watcher;

/* A watcher of no files. `polls`: never relies on events; without them it comes to that by itself.
 * STATUS_NO_MEMORY. */
enum status watcher_create(bool polls, struct watcher **watcher);

/* What is to be polled for reading, for as long as the watcher lives; -1: there is nothing. */
int watcher_descriptor(const struct watcher *watcher);

/* These are the files from now on, instead of those before; the paths are copied, and need not lead
 * anywhere. Free of charge when they are the same, in the same order. What happened to a file
 * before it was watched is not told: whoever has read it before compares it once more
 * (watcher_nudge()). STATUS_NO_MEMORY: the files before are still watched. */
enum status watcher_watch(struct watcher *watcher, const char *const *paths, size_t count);

/* Whether files are looked at now, events or not. */
bool watcher_polls(const struct watcher *watcher);

/* The descriptor is readable. */
void watcher_read(struct watcher *watcher, int64_t now);

/* When watcher_settled() is to be called next, which may be in the past; CLOCK_NEVER if not before
 * something is read. Calling it at any other time is harmless. */
int64_t watcher_deadline(const struct watcher *watcher);

/* true, once: something may have changed, and has come to rest or has been written for too long. */
bool watcher_settled(struct watcher *watcher, int64_t now);

/* Whether nothing is happening that watcher_settled() has still to tell. */
bool watcher_is_at_rest(struct watcher *watcher, int64_t now);

/* At that time watcher_settled() says true, also if nothing has happened: a retry. If something is
 * happening then, it is when that has come to rest. There is one such time, the last one given;
 * CLOCK_NEVER takes it back. */
void watcher_nudge(struct watcher *watcher, int64_t when);

/* NULL is ignored. The descriptor is closed. */
void watcher_destroy(struct watcher *watcher);

#endif
