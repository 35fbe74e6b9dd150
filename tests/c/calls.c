/*
 * What a daemon does with the library, for strace(1) to see: a close(2) of an impossible number says where the
 * calls of the library begin, and another where they end.
 */
#include "locks.h"

enum { PROGRAM = -1000, OPENING = -1001, WRITING = -1002, PAUSING = -1003 };

#define PART(part, ...)  \
    do {                 \
        close(part);     \
        __VA_ARGS__;     \
        close(PROGRAM);  \
    } while (0)

static stillpoint *barrier;

/* Stays inside until somebody wants a pause, and waits at the gate after. */
static void *write_twice(void *inside)
{
    PART(WRITING, EXPECT(stillpoint_lock_shared(barrier), 0));
    HOLDS(write(*(int *)inside, "i", 1) == 1);
    UNTIL(stillpoint_should_yield(barrier) == 1);
    PART(WRITING, EXPECT(stillpoint_unlock_shared(barrier), 0));
    PART(WRITING, EXPECT(stillpoint_lock_shared(barrier), 0); EXPECT(stillpoint_unlock_shared(barrier), 0));
    return NULL;
}

static void pause_and_write(stillpoint *b)
{
    pthread_t thread;
    int inside[2];
    char word;
    HOLDS(pipe(inside) == 0);
    EXPECT(pthread_create(&thread, NULL, write_twice, &inside[1]), 0);
    HOLDS(read(inside[0], &word, 1) == 1);
    PART(PAUSING, EXPECT(stillpoint_lock_exclusive(b, 20000, 20000), 0));
    nap(300);
    PART(PAUSING, EXPECT(stillpoint_unlock_exclusive(b), 0));
    EXPECT(pthread_join(thread, NULL), 0);
}

static void lock_files(stillpoint *b)
{
    EACH_KIND(kind) {
        int fd = file("mailbox");
        PART(WRITING, EXPECT(wrapped(b, *kind, fd, WRITE, true), 0));
        PART(WRITING, EXPECT(wrapped(b, *kind, fd, UNLOCK, true), 0));
        PART(WRITING, EXPECT(wrapped(b, *kind, fd, WRITE, false), 0));
        PART(WRITING, EXPECT(stillpoint_close_fd(b, fd), 0));
    }
}

/* One that is lost inside, and one that joins. */
static void fork_children(stillpoint *b)
{
    pid_t child = fork();
    HOLDS(child >= 0);
    if (child == 0) {
        PART(WRITING, EXPECT(stillpoint_lock_shared(b), 0));
        raise(SIGKILL);
    }
    HOLDS(waitpid(child, NULL, 0) == child);
    PART(PAUSING, EXPECT(stillpoint_lock_exclusive(b, 20000, 20000), 0));
    PART(PAUSING, EXPECT(stillpoint_unlock_exclusive(b), 0));
    EXPECT(stillpoint_dirty_epoch(b), 1);
    IN_CHILD({
        PART(OPENING, EXPECT(stillpoint_join(b), 0));
        PART(WRITING, EXPECT(stillpoint_lock_shared(b), 0); EXPECT(stillpoint_unlock_shared(b), 0));
    });
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    running = "calls";
    snprintf(path, sizeof path, "%s/calls.barrier", folder);
    PART(OPENING, EXPECT(stillpoint_open(path, STILLPOINT_OPTIONAL, "calls", &barrier), 0));
    PART(WRITING, EXPECT(stillpoint_lock_shared(barrier), 0); EXPECT(stillpoint_unlock_shared(barrier), 0));
    PART(WRITING, stillpoint_assert_not_held(barrier); EXPECT(stillpoint_check(barrier), 0));
    lock_files(barrier);
    pause_and_write(barrier);
    fork_children(barrier);
    PART(WRITING, stillpoint_close(barrier));
    /* Once more, with the barrier left to the end of the process. */
    PART(OPENING, EXPECT(stillpoint_open(path, 0, "calls", &barrier), 0));
    PART(WRITING, EXPECT(stillpoint_lock_shared(barrier), 0); EXPECT(stillpoint_unlock_shared(barrier), 0));
    close(WRITING);
}
