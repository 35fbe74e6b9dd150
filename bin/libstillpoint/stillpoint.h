/*
 * stillpoint: a consistency barrier. See libstillpoint(3).
 *
 * Every function that returns an int returns 0 or more on success and a negative errno on failure.
 * All are thread-safe; shares belong to the calling thread, counted ones to their cookie.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef STILLPOINT_H
#define STILLPOINT_H

#include <fcntl.h>
#include <stdint.h>
#include <sys/file.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The interface that this header describes. The library refuses one that it does not know. */
#define STILLPOINT_INTERFACE 1u

/* For stillpoint_open: make the barrier if it is missing. */
#define STILLPOINT_CREATE 1u
/*
 * For stillpoint_open: where there is no barrier, a handle with which all functions do nothing and
 * succeed, until one is made.
 */
#define STILLPOINT_OPTIONAL 2u

typedef struct stillpoint stillpoint;

/* Opening and closing. */
int stillpoint_open(const char *name_or_path, unsigned flags, const char *label, stillpoint **ret);
void stillpoint_close(stillpoint *b);
int stillpoint_join(stillpoint *b);
int stillpoint_check(stillpoint *b);
/* For the program's own handler of SIGBUS: see the manual. */
int stillpoint_survive(const void *address);

/* The shared side. */
int stillpoint_lock_shared(stillpoint *b);
int stillpoint_trylock_shared(stillpoint *b);
int stillpoint_timedlock_shared(stillpoint *b, int timeout_ms);
int stillpoint_unlock_shared(stillpoint *b);
int stillpoint_depth(stillpoint *b);
int stillpoint_should_yield(stillpoint *b);

/* Counted shares, for event loops: begun on one thread, ended on any, by the cookie. */
int stillpoint_begin(stillpoint *b, uint64_t *cookie);
int stillpoint_try_begin(stillpoint *b, uint64_t *cookie);
int stillpoint_timed_begin(stillpoint *b, int timeout_ms, uint64_t *cookie);
int stillpoint_end(stillpoint *b, uint64_t cookie);
int stillpoint_gate_fd(stillpoint *b);

/* The exclusive side. */
int stillpoint_lock_exclusive(stillpoint *b, int drain_ms, int hold_ms);
int stillpoint_unlock_exclusive(stillpoint *b);

/* Write locks that bring a share. */
int stillpoint_flock(stillpoint *b, int fd, int operation);
int stillpoint_fcntl_lock(stillpoint *b, int fd, int cmd, struct flock *lk);
int stillpoint_close_fd(stillpoint *b, int fd);

/* What happened. */
uint32_t stillpoint_dirty_epoch(stillpoint *b);
const char *stillpoint_strerror(int negative_errno);

/* The same, saying where: what the macros below call. The file's name must never be freed. */
int stillpoint_lock_shared_at(stillpoint *b, const char *file, unsigned line);
int stillpoint_trylock_shared_at(stillpoint *b, const char *file, unsigned line);
int stillpoint_timedlock_shared_at(stillpoint *b, int timeout_ms, const char *file, unsigned line);
int stillpoint_begin_at(stillpoint *b, uint64_t *cookie, const char *file, unsigned line);
int stillpoint_try_begin_at(stillpoint *b, uint64_t *cookie, const char *file, unsigned line);
int stillpoint_timed_begin_at(stillpoint *b, int timeout_ms, uint64_t *cookie, const char *file,
                              unsigned line);
int stillpoint_lock_exclusive_at(stillpoint *b, int drain_ms, int hold_ms, const char *file,
                                 unsigned line);
int stillpoint_flock_at(stillpoint *b, int fd, int operation, const char *file, unsigned line);
int stillpoint_fcntl_lock_at(stillpoint *b, int fd, int cmd, struct flock *lk, const char *file,
                             unsigned line);
void stillpoint_assert_not_held_at(stillpoint *b, const char *file, unsigned line);
void stillpoint_assert_idle_at(stillpoint *b, const char *file, unsigned line);

#define stillpoint_open(name_or_path, flags, label, ret) \
    stillpoint_open((name_or_path), (flags) | STILLPOINT_INTERFACE << 24, (label), (ret))

#define stillpoint_lock_shared(b) stillpoint_lock_shared_at((b), __FILE__, __LINE__)
#define stillpoint_trylock_shared(b) stillpoint_trylock_shared_at((b), __FILE__, __LINE__)
#define stillpoint_timedlock_shared(b, timeout_ms) \
    stillpoint_timedlock_shared_at((b), (timeout_ms), __FILE__, __LINE__)
#define stillpoint_begin(b, cookie) stillpoint_begin_at((b), (cookie), __FILE__, __LINE__)
#define stillpoint_try_begin(b, cookie) stillpoint_try_begin_at((b), (cookie), __FILE__, __LINE__)
#define stillpoint_timed_begin(b, timeout_ms, cookie) \
    stillpoint_timed_begin_at((b), (timeout_ms), (cookie), __FILE__, __LINE__)
#define stillpoint_lock_exclusive(b, drain_ms, hold_ms) \
    stillpoint_lock_exclusive_at((b), (drain_ms), (hold_ms), __FILE__, __LINE__)
#define stillpoint_flock(b, fd, operation) \
    stillpoint_flock_at((b), (fd), (operation), __FILE__, __LINE__)
#define stillpoint_fcntl_lock(b, fd, cmd, lk) \
    stillpoint_fcntl_lock_at((b), (fd), (cmd), (lk), __FILE__, __LINE__)

/*
 * Not in the command loop: aborts if this thread (not_held) or any thread of the process (idle)
 * holds a share, and says where it was taken. Compiled out by NDEBUG, as assert(3) is; where it is
 * compiled in, STILLPOINT_ASSERT=abort|log|off in the environment softens it.
 */
#ifdef NDEBUG
#define stillpoint_assert_not_held(b) ((void)(b))
#define stillpoint_assert_idle(b) ((void)(b))
#else
#define stillpoint_assert_not_held(b) stillpoint_assert_not_held_at((b), __FILE__, __LINE__)
#define stillpoint_assert_idle(b) stillpoint_assert_idle_at((b), __FILE__, __LINE__)
#endif

#ifdef __cplusplus
}
#endif

#endif
