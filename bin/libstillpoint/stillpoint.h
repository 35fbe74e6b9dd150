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

/*
 * The same, saying where: what the macros below call. The file's name must never be freed; as line 0, it has the line
 * at its end.
 */
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

/* This line of the source, as one string: another line is another address. */
#define STILLPOINT_TEXT_(what) #what
#define STILLPOINT_LINE_(line) ":" STILLPOINT_TEXT_(line)
#define STILLPOINT_HERE_ __FILE__ STILLPOINT_LINE_(__LINE__)

#define stillpoint_open(name_or_path, flags, label, ret) \
    stillpoint_open((name_or_path), (flags) | STILLPOINT_INTERFACE << 24, (label), (ret))

/* See the end: where these are inline, so is stillpoint_unlock_shared. */
#if defined __GNUC__ && defined __LP64__ && !defined STILLPOINT_NO_INLINE
#define stillpoint_lock_shared(b) stillpoint_enter_((b), 1, STILLPOINT_HERE_)
#define stillpoint_trylock_shared(b) stillpoint_enter_((b), 0, STILLPOINT_HERE_)
#define stillpoint_unlock_shared(b) stillpoint_leave_(b)
#else
#define stillpoint_lock_shared(b) stillpoint_lock_shared_at((b), STILLPOINT_HERE_, 0)
#define stillpoint_trylock_shared(b) stillpoint_trylock_shared_at((b), STILLPOINT_HERE_, 0)
#endif
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

/*
 * Entering and leaving in the common case, without a call: the thread holds a share already, or takes one at the line
 * where it took the last, at an open gate, and the barrier lets it do without a fence. All else is the library's.
 *
 * These are the steps of src/seat/express.rs and crossing.rs in their order, and those say why. Nothing here is part of
 * the interface: a library that has changed it shows a program which was compiled for this layout a seat that is never
 * the common case. STILLPOINT_NO_INLINE leaves it out.
 */
#ifdef stillpoint_unlock_shared

#define STILLPOINT_LAYOUT_ 1u

struct stillpoint_slot_ {
    uint32_t word;
    uint32_t of_others_[21];
    uint32_t taken_at_word;
};

struct stillpoint_seat_ {
    uint64_t of_others_;
    const stillpoint *unfenced_handle;
    uint64_t of_others_too_;
    struct stillpoint_slot_ *slot;
    const uint32_t *gate;
    uint32_t depth, copy, settled, readmitted;
    uint64_t of_rust_;
    const char *place;
};

struct stillpoint_seat_ *const *stillpoint_seat_of_thread_(unsigned layout);
int stillpoint_enter_halfway_(stillpoint *b, int wait, const char *place);
void stillpoint_after_leaving_(const void *seat);

#define STILLPOINT_LOAD_(from) __atomic_load_n(&(from), __ATOMIC_RELAXED)
#define STILLPOINT_STORE_(to, value) __atomic_store_n(&(to), (value), __ATOMIC_RELAXED)
/* A signal handler finds what comes before it done, and what comes after it not begun. */
#define STILLPOINT_STEP_() __atomic_signal_fence(__ATOMIC_SEQ_CST)
#define STILLPOINT_SELDOM_(what) __builtin_expect(!!(what), 0)
/* A compiler counts its instructions, of which few are done. */
#define STILLPOINT_INLINE_ static __inline__ __attribute__((always_inline))

/* Where this thread finds its seat, once it has asked. */
static struct stillpoint_seat_ stillpoint_nobody_, *const stillpoint_nobodys_ = &stillpoint_nobody_;
static __thread struct stillpoint_seat_ *const *stillpoint_thread_
    __attribute__((tls_model("initial-exec"), unused)) = &stillpoint_nobodys_;

/* 0: inside. 1: nothing has happened. 2: something has, and the library goes on with it. */
STILLPOINT_INLINE_ int stillpoint_try_enter_(struct stillpoint_seat_ *seat_, const char *place_)
{
    const uint32_t *gate_ = STILLPOINT_LOAD_(seat_->gate);
    struct stillpoint_slot_ *slot_;
    uint32_t depth_ = STILLPOINT_LOAD_(seat_->depth), copy_, odd_;
    if (STILLPOINT_SELDOM_(depth_ > 0)) {
        STILLPOINT_STORE_(seat_->depth, depth_ + 1);
        return 0;
    }
    copy_ = STILLPOINT_LOAD_(seat_->copy);
    if (STILLPOINT_SELDOM_(copy_ & 1) || STILLPOINT_SELDOM_(__atomic_load_n(gate_, __ATOMIC_ACQUIRE) & 1))
        return 1;
    odd_ = copy_ + 1;
    STILLPOINT_STORE_(seat_->copy, odd_);
    STILLPOINT_STEP_();
    slot_ = STILLPOINT_LOAD_(seat_->slot);
    STILLPOINT_STORE_(slot_->taken_at_word, odd_);
    STILLPOINT_STEP_();
    if (STILLPOINT_SELDOM_(STILLPOINT_LOAD_(seat_->place) != place_))
        return 2;
    STILLPOINT_STEP_();
    STILLPOINT_STORE_(slot_->word, odd_);
    STILLPOINT_STEP_();
    if (STILLPOINT_SELDOM_(__atomic_load_n(gate_, __ATOMIC_ACQUIRE) & 1))
        return 2;
    STILLPOINT_STEP_();
    STILLPOINT_STORE_(seat_->settled, odd_);
    STILLPOINT_STEP_();
    if (STILLPOINT_SELDOM_(STILLPOINT_LOAD_(seat_->copy) != odd_))
        return 2;
    STILLPOINT_STORE_(seat_->depth, 1);
    STILLPOINT_STEP_();
    return 0;
}

STILLPOINT_INLINE_ int stillpoint_enter_(stillpoint *b_, int wait_, const char *place_)
{
    struct stillpoint_seat_ *seat_ = STILLPOINT_LOAD_(*stillpoint_thread_);
    int came_ = 1;
    if (!STILLPOINT_SELDOM_(!b_) && !STILLPOINT_SELDOM_(STILLPOINT_LOAD_(seat_->unfenced_handle) != b_))
        came_ = stillpoint_try_enter_(seat_, place_);
    if (!STILLPOINT_SELDOM_(came_ != 0))
        return 0;
    if (came_ == 2)
        return stillpoint_enter_halfway_(b_, wait_, place_);
    stillpoint_thread_ = stillpoint_seat_of_thread_(STILLPOINT_LAYOUT_);
    return wait_ ? stillpoint_lock_shared_at(b_, place_, 0) : stillpoint_trylock_shared_at(b_, place_, 0);
}

STILLPOINT_INLINE_ int stillpoint_leave_(stillpoint *b_)
{
    struct stillpoint_seat_ *seat_ = STILLPOINT_LOAD_(*stillpoint_thread_);
    struct stillpoint_slot_ *slot_;
    const uint32_t *gate_;
    uint32_t depth_, even_;
    if (STILLPOINT_SELDOM_(!b_) || STILLPOINT_SELDOM_(STILLPOINT_LOAD_(seat_->unfenced_handle) != b_))
        return (stillpoint_unlock_shared)(b_);
    depth_ = STILLPOINT_LOAD_(seat_->depth);
    if (STILLPOINT_SELDOM_(depth_ != 1)) {
        if (depth_ == 0)
            return (stillpoint_unlock_shared)(b_);
        STILLPOINT_STORE_(seat_->depth, depth_ - 1);
        return 0;
    }
    even_ = STILLPOINT_LOAD_(seat_->copy) + 1;
    STILLPOINT_STEP_();
    STILLPOINT_STORE_(seat_->depth, 0);
    STILLPOINT_STEP_();
    STILLPOINT_STORE_(seat_->copy, even_);
    STILLPOINT_STEP_();
    STILLPOINT_STORE_(seat_->settled, even_);
    STILLPOINT_STEP_();
    slot_ = STILLPOINT_LOAD_(seat_->slot);
    gate_ = STILLPOINT_LOAD_(seat_->gate);
    __atomic_store_n(&slot_->word, even_, __ATOMIC_RELEASE);
    if (STILLPOINT_SELDOM_((__atomic_load_n(gate_, __ATOMIC_RELAXED) | STILLPOINT_LOAD_(seat_->readmitted)) & 1))
        stillpoint_after_leaving_(seat_);
    return 0;
}

#endif

#ifdef __cplusplus
}
#endif

#endif
