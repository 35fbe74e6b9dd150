/*
 * Threads that are cancelled, and signal handlers that jump out of a wait. No function is a cancellation
 * point: each does what it is to do, and the cancellation comes after it.
 */
#include "locks.h"

#include <setjmp.h>
#include <sys/time.h>

static stillpoint *barrier;
static int result, mailbox, to_close;
static enum kind kind_of_lock;

static void open_again(void)
{
    stillpoint *again;
    result = stillpoint_open(path, 0, NULL, &again);
    stillpoint_close(again);
}
static void join_it(void) { result = stillpoint_join(barrier); }
static void share(void) { result = stillpoint_lock_shared(barrier) | stillpoint_unlock_shared(barrier); }
static void try_share(void)
{
    result = stillpoint_trylock_shared(barrier) | stillpoint_unlock_shared(barrier);
}
static void timed_share(void)
{
    result = stillpoint_timedlock_shared(barrier, 1000) | stillpoint_unlock_shared(barrier);
}
static void pause_it(void)
{
    result = stillpoint_lock_exclusive(barrier, 5000, -1) | stillpoint_unlock_exclusive(barrier);
}
static void lock_and_unlock(void)
{
    result = wrapped(barrier, kind_of_lock, mailbox, WRITE, true);
    result |= wrapped(barrier, kind_of_lock, mailbox, UNLOCK, true);
}
static void lock_and_close(void)
{
    result = wrapped(barrier, kind_of_lock, to_close, WRITE, true);
    result |= stillpoint_close_fd(barrier, to_close);
}
static void ask_it(void)
{
    struct flock whole = whole_file(WRITE);
    result = stillpoint_fcntl_lock(barrier, mailbox, F_GETLK, &whole) | stillpoint_depth(barrier) |
             stillpoint_should_yield(barrier) | (int)stillpoint_dirty_epoch(barrier);
}
static void assert_it(void)
{
    stillpoint_assert_not_held(barrier);
    stillpoint_assert_idle(barrier);
    result = 0;
}

static void count_it(void)
{
    uint64_t cookie;
    result = stillpoint_begin(barrier, &cookie) | stillpoint_end(barrier, cookie);
    result |= stillpoint_try_begin(barrier, &cookie) | stillpoint_end(barrier, cookie);
    int fd = stillpoint_gate_fd(barrier);
    if (fd > 2)
        close(fd);
    else
        result = -1;
}

static void (*const calls[])(void) = {open_again, join_it,  share,           try_share,      timed_share,
                                      pause_it,   lock_and_unlock, lock_and_close, ask_it, assert_it, count_it};
#define CALLS (sizeof calls / sizeof *calls)

static void (*call)(void);

/* Cancelled already when it calls. What it calls is a thread's first, too. */
static void *call_it(void *argument)
{
    (void)argument;
    EXPECT(pthread_cancel(pthread_self()), 0);
    call();
    pthread_testcancel();
    return NULL;
}

static void every_call_by_a_cancelled_thread(stillpoint *b)
{
    barrier = b;
    mailbox = file("mailbox");
    for (size_t i = 0; i < CALLS; i++) {
        EACH_KIND(kind) {
            pthread_t thread;
            void *end;
            call = calls[i];
            kind_of_lock = *kind;
            result = 1;
            to_close = file("closed");
            EXPECT(pthread_create(&thread, NULL, call_it, NULL), 0);
            EXPECT(pthread_join(thread, &end), 0);
            HOLDS(end == PTHREAD_CANCELED);
            EXPECT(result, 0);
            if (call != lock_and_close)
                close(to_close);
            EXPECT(stillpoint_dirty_epoch(b), 0);
            EXPECT(stillpoint_lock_exclusive(b, 5000, -1), 0);
            EXPECT(stillpoint_unlock_exclusive(b), 0);
        }
    }
    close(mailbox);
}

static _Atomic bool calling;

static void *call_until_cancelled(void *argument)
{
    (void)argument;
    calling = true;
    EXPECT(pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL), 0);
    for (;;)
        call();
    return NULL;
}

/* A cancellation that strikes anywhere ends the thread, and nothing else: at worst it ended inside. */
__attribute__((unused)) static void struck_anywhere(stillpoint *b)
{
    barrier = b;
    mailbox = file("mailbox");
    int rounds = getenv("UNDER_VALGRIND") != NULL ? 5 : 40;
    /* Handles, descriptors and counted shares are what such a thread would leave behind. */
    for (size_t i = 1; i < CALLS; i++) {
        if (calls[i] == lock_and_close || calls[i] == count_it)
            continue;
        for (int round = 0; round < rounds; round++) {
            pthread_t thread;
            void *end;
            call = calls[i];
            kind_of_lock = kinds[round % 3];
            calling = false;
            EXPECT(pthread_create(&thread, NULL, call_until_cancelled, NULL), 0);
            UNTIL(calling);
            for (volatile int spin = round * 5000; spin > 0; spin--)
                ;
            EXPECT(pthread_cancel(thread), 0);
            EXPECT(pthread_join(thread, &end), 0);
            HOLDS(end == PTHREAD_CANCELED);
            EXPECT(stillpoint_depth(b), 0);
            EXPECT(stillpoint_lock_exclusive(b, 5000, -1), 0);
            EXPECT(stillpoint_unlock_exclusive(b), 0);
            struct flock whole = whole_file(UNLOCK);
            flock(mailbox, LOCK_UN);
            fcntl(mailbox, F_SETLK, &whole);
            fcntl(mailbox, F_OFD_SETLK, &whole);
        }
    }
    losses = stillpoint_dirty_epoch(b);
    close(mailbox);
}

static _Atomic bool waiting;

static void *wait_for_it(void *argument)
{
    (void)argument;
    waiting = true;
    call();
    pthread_testcancel();
    return NULL;
}

static void wait_for_the_lock(void) { result = wrapped(barrier, kind_of_lock, mailbox, WRITE, true); }
static void wait_at_the_gate(void) { result = stillpoint_lock_shared(barrier); }
static void wait_for_quiet(void) { result = stillpoint_lock_exclusive(barrier, 10000, -1); }

/* Cancelled while it waits: it goes on to wait, gets what it waited for, and then ends. */
static void a_wait_is_not_cancelled(stillpoint *b)
{
    barrier = b;
    void (*const waits[])(void) = {wait_for_the_lock, wait_at_the_gate, wait_for_quiet};
    for (size_t i = 0; i < 3; i++) {
        EACH_KIND(kind) {
            if (*kind == DESCRIPTION && getenv("UNDER_VALGRIND") != NULL)
                continue;
            pthread_t thread;
            void *end;
            int rival = file("mailbox");
            mailbox = file("mailbox");
            call = waits[i];
            kind_of_lock = *kind;
            waiting = false;
            result = 1;
            struct worker tool;
            hire(&tool);
            if (call == wait_for_the_lock)
                EXPECT(bare(*kind, rival, WRITE), 0);
            else
                EXPECT(ask(&tool, call == wait_at_the_gate ? pause_all : enter, b), 0);
            EXPECT(pthread_create(&thread, NULL, wait_for_it, NULL), 0);
            UNTIL(waiting);
            nap(30);
            EXPECT(pthread_cancel(thread), 0);
            nap(30);
            EXPECT(result, 1);
            if (call == wait_for_the_lock)
                EXPECT(bare(*kind, rival, UNLOCK), 0);
            else
                EXPECT(ask(&tool, call == wait_at_the_gate ? resume_all : leave, b), 0);
            EXPECT(pthread_join(thread, &end), 0);
            HOLDS(end == PTHREAD_CANCELED);
            EXPECT(result, 0);
            /* It ended with a share, or with a pause. */
            losses += call != wait_for_quiet;
            EXPECT(stillpoint_dirty_epoch(b), losses);
            EXPECT(stillpoint_lock_exclusive(b, 5000, -1), 0);
            EXPECT(stillpoint_unlock_exclusive(b), 0);
            dismiss(&tool);
            close(mailbox);
            close(rival);
        }
    }
}

static sigjmp_buf back;

static void jump(int signal)
{
    (void)signal;
    siglongjmp(back, 1);
}

static void in_milliseconds(int milliseconds)
{
    struct itimerval once = {.it_value = {0, milliseconds * 1000}};
    EXPECT(setitimer(ITIMER_REAL, &once, NULL), 0);
}

/* As mail programs limit a wait: by alarm(2), and a handler that jumps. Nothing is held then. */
static void a_wait_that_is_jumped_out_of(stillpoint *b)
{
    struct sigaction action = {.sa_handler = jump};
    EXPECT(sigaction(SIGALRM, &action, NULL), 0);
    for (volatile int way = 0; way < 4; way++) {
        EACH_KIND(kind) {
            if (*kind == DESCRIPTION && getenv("UNDER_VALGRIND") != NULL)
                continue;
            int rival = file("mailbox");
            volatile int fd = file("mailbox");
            EXPECT(bare(*kind, rival, WRITE), 0);
            if (sigsetjmp(back, 1) == 0) {
                in_milliseconds(20);
                wrapped(b, *kind, fd, WRITE, true);
                fail(__FILE__, __LINE__, "got it", 0, 1);
            }
            switch (way) {
            case 0:
                EXPECT(stillpoint_close_fd(b, fd), 0);
                fd = file("mailbox");
                break;
            case 1:
                EXPECT(wrapped(b, *kind, fd, WRITE, false), -EAGAIN);
                break;
            case 2:
                stillpoint_assert_not_held(b);
                break;
            default:
                EXPECT(stillpoint_lock_exclusive(b, 5000, -1), 0);
                EXPECT(stillpoint_unlock_exclusive(b), 0);
            }
            EXPECT(stillpoint_depth(b), 0);
            EXPECT(seen_inside(), 0);
            EXPECT(bare(*kind, rival, UNLOCK), 0);
            EXPECT(wrapped(b, *kind, fd, WRITE, true), 0);
            EXPECT(stillpoint_depth(b), 1);
            EXPECT(stillpoint_close_fd(b, fd), 0);
            EXPECT(stillpoint_depth(b), 0);
            close(rival);
        }
    }
    /* At the gate. */
    struct worker tool;
    hire(&tool);
    for (volatile int round = 0; round < 3; round++) {
        EXPECT(ask(&tool, pause_all, b), 0);
        if (sigsetjmp(back, 1) == 0) {
            in_milliseconds(20);
            EXPECT(stillpoint_lock_shared(b), 1);
        }
        EXPECT(stillpoint_depth(b), 0);
        EXPECT(ask(&tool, resume_all, b), 0);
        EXPECT(stillpoint_lock_shared(b), 0);
        EXPECT(stillpoint_unlock_shared(b), 0);
    }
    dismiss(&tool);
    signal(SIGALRM, SIG_DFL);
    alarm(100);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    RUN(every_call_by_a_cancelled_thread);
#if !defined(__SANITIZE_ADDRESS__)
    /* The sanitizer does not know of stacks that end anywhere, nor does what a compiler makes of Rust when
     * it does not optimise: each call there is a frame that nothing may unwind. */
    if (getenv("OPTIMISED_LIBRARY") != NULL)
        RUN(struck_anywhere);
#endif
    RUN(a_wait_is_not_cancelled);
    RUN(a_wait_that_is_jumped_out_of);
}
