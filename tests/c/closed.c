/*
 * A daemon without standard streams: numbers 0, 1 and 2 are free, and then files of its own. Nothing of
 * the library is ever among them, and no message goes to what is.
 */
#include "locks.h"

#include <sys/stat.h>

/* Where failures are told, since number 2 is not. */
static int told;

#define MUST(what, wanted)                                                       \
    do {                                                                         \
        long got_ = (long)(what), wanted_ = (long)(wanted);                      \
        if (got_ != wanted_) {                                                   \
            dprintf(told, "closed.c:%d: %s is %ld, not %ld\n", __LINE__, #what, got_, wanted_); \
            _exit(1);                                                            \
        }                                                                        \
    } while (0)

static stillpoint *barrier;
static int other_file;

static void *in_another_thread(void *argument)
{
    (void)argument;
    MUST(stillpoint_lock_shared(barrier), 0);
    MUST(stillpoint_unlock_shared(barrier), 0);
    MUST(stillpoint_flock(barrier, other_file, LOCK_EX), 0);
    MUST(stillpoint_flock(barrier, other_file, LOCK_UN), 0);
    return NULL;
}

static void *wait_at_the_gate(void *argument)
{
    (void)argument;
    /* Long enough to ask who holds it, for which a descriptor is kept. */
    MUST(stillpoint_timedlock_shared(barrier, 250), -ETIMEDOUT);
    return NULL;
}

static void thread(void *(*body)(void *))
{
    pthread_t thread;
    MUST(pthread_create(&thread, NULL, body, NULL), 0);
    MUST(pthread_join(thread, NULL), 0);
}

static void child(void (*body)(void))
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        body();
        _exit(0);
    }
    MUST(waitpid(child, &status, 0), child);
    MUST(status, 0);
}

static void in_a_child(void)
{
    MUST(stillpoint_lock_shared(barrier), 0);
    MUST(stillpoint_unlock_shared(barrier), 0);
}

static void refused_in_a_child(void)
{
    MUST(stillpoint_lock_exclusive(barrier, 30, 1000), -ETIMEDOUT);
}

static void every_call(const char *place, const char *mailbox)
{
    struct flock whole = whole_file(WRITE);
    MUST(stillpoint_open(place, STILLPOINT_CREATE, "closed", &barrier), 0);
    MUST(stillpoint_join(barrier), 0);
    MUST(stillpoint_lock_shared(barrier), 0);
    child(refused_in_a_child);
    MUST(stillpoint_unlock_shared(barrier), 0);
    child(in_a_child);
    int fd = open(mailbox, O_RDWR | O_CREAT, 0600);
    MUST(stillpoint_flock(barrier, fd, LOCK_EX), 0);
    MUST(stillpoint_flock(barrier, fd, LOCK_UN), 0);
    MUST(stillpoint_fcntl_lock(barrier, fd, F_SETLKW, &whole), 0);
    MUST(stillpoint_close_fd(barrier, fd), 0);
    other_file = open(mailbox, O_RDWR);
    thread(in_another_thread);
    MUST(close(other_file), 0);
    MUST(stillpoint_lock_exclusive(barrier, 1000, -1), 0);
    thread(wait_at_the_gate);
    int gate = stillpoint_gate_fd(barrier);
    MUST(gate > 2, 1);
    MUST(close(gate), 0);
    child(refused_in_a_child);
    MUST(stillpoint_unlock_exclusive(barrier), 0);
    stillpoint *missing;
    MUST(stillpoint_open("no-such-barrier", 0, NULL, &missing), -ENOENT);
    MUST(stillpoint_depth(barrier), 0);
    MUST(stillpoint_dirty_epoch(barrier), 0);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    char place[600], mailbox[600];
    snprintf(place, sizeof place, "%s/closed.barrier", folder);
    snprintf(mailbox, sizeof mailbox, "%s/mailbox", folder);
    told = fcntl(2, F_DUPFD_CLOEXEC, 100);
    for (int number = 0; number <= 2; number++)
        close(number);
    every_call(place, mailbox);
    for (int number = 0; number <= 2; number++)
        MUST(fcntl(number, F_GETFD), -1);
    /* Number 2 is a mailbox: what an assertion has to say does not belong there. */
    int first = open("/dev/null", O_RDONLY), second = open("/dev/null", O_RDONLY);
    MUST(open(mailbox, O_RDWR | O_TRUNC), 2);
    MUST(first + second, 1);
    MUST(stillpoint_lock_shared(barrier), 0);
    stillpoint_assert_not_held(barrier);
    MUST(stillpoint_unlock_shared(barrier), 0);
    struct stat found;
    MUST(fstat(2, &found), 0);
    MUST(found.st_size, 0);
    stillpoint_close(barrier);
    /* A barrier still. */
    MUST(stillpoint_open(place, 0, NULL, &barrier), 0);
    MUST(stillpoint_dirty_epoch(barrier), 0);
    stillpoint_close(barrier);
    return 0;
}
