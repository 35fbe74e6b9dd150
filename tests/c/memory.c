/*
 * Short of memory: with so many bytes of address space left, and nothing left to allocate, each call does
 * what it is to do or answers ENOMEM. None ends the process.
 *
 * The steps go from nothing to a mebibyte; each is a child of its own.
 */
#include "locks.h"

#include <sys/resource.h>

static int pipes[4];
static stillpoint *barrier;
static int mailbox, second_file, many[200];

/* Allowed: done, or no memory. */
#define ALLOWED(what)                                                \
    do {                                                             \
        int got_ = (what);                                           \
        if (got_ < 0 && got_ != -ENOMEM) {                           \
            dprintf(2, "memory.c:%d: %s is %d\n", __LINE__, #what, got_); \
            _exit(1);                                                \
        }                                                            \
    } while (0)

static void leave_space(long bytes)
{
    long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    HOLDS(statm != NULL && fscanf(statm, "%ld", &pages) == 1);
    fclose(statm);
    rlim_t limit = (rlim_t)(pages * sysconf(_SC_PAGESIZE) + bytes);
    struct rlimit space = {limit, limit};
    EXPECT(setrlimit(RLIMIT_AS, &space), 0);
}

/* Takes what the heap has. What is left by RLIMIT_AS is left for maps alone if `all` is false. */
static void exhaust_the_heap(void)
{
    for (size_t size = 1 << 20; size >= 16; size /= 2)
        while (malloc(size) != NULL)
            ;
}

static void the_calls(stillpoint *b)
{
    struct flock whole = whole_file(WRITE);
    int result = stillpoint_lock_shared(b);
    ALLOWED(result);
    if (result == 0)
        EXPECT(stillpoint_unlock_shared(b), 0);
    uint64_t cookie;
    result = stillpoint_begin(b, &cookie);
    ALLOWED(result);
    if (result == 0)
        EXPECT(stillpoint_end(b, cookie), 0);
    result = stillpoint_gate_fd(b);
    ALLOWED(result);
    if (result >= 0)
        close(result);
    stillpoint_assert_not_held(b);
    stillpoint_assert_idle(b);
    ALLOWED(stillpoint_flock(b, mailbox, LOCK_EX));
    ALLOWED(stillpoint_flock(b, mailbox, LOCK_UN));
    ALLOWED(stillpoint_fcntl_lock(b, mailbox, F_SETLKW, &whole));
    for (int i = 0; i < 200; i++)
        ALLOWED(stillpoint_flock(b, many[i], LOCK_EX));
    for (int i = 0; i < 200; i++)
        ALLOWED(stillpoint_close_fd(b, many[i]));
    ALLOWED(stillpoint_close_fd(b, second_file));
    ALLOWED(stillpoint_fcntl_lock(b, mailbox, F_OFD_SETLK, &whole));
    ALLOWED(stillpoint_close_fd(b, mailbox));
    result = stillpoint_depth(b);
    EXPECT(result, 0);
    result = stillpoint_lock_exclusive(b, 1000, -1);
    ALLOWED(result);
    if (result == 0)
        EXPECT(stillpoint_unlock_exclusive(b), 0);
    ALLOWED(stillpoint_join(b));
    stillpoint *again;
    result = stillpoint_open(path, 0, NULL, &again);
    ALLOWED(result);
    if (result == 0)
        stillpoint_close(again);
    result = stillpoint_open("no-such-barrier-at-all", 0, "label", &again);
    HOLDS(result == -ENOENT || result == -ENOMEM);
}

static void *in_a_thread(void *argument)
{
    char byte;
    HOLDS(read(pipes[0], &byte, 1) == 1);
    the_calls((stillpoint *)argument);
    HOLDS(write(pipes[3], "d", 1) == 1);
    return NULL;
}

static void one_step(stillpoint *b, long bytes, bool first_here)
{
    pthread_t thread;
    HOLDS(pipe(pipes) == 0 && pipe(pipes + 2) == 0);
    mailbox = file("mailbox");
    second_file = file("second");
    for (int i = 0; i < 200; i++)
        many[i] = fcntl(second_file, F_DUPFD_CLOEXEC, 10);
    EXPECT(pthread_create(&thread, NULL, in_a_thread, b), 0);
    leave_space(bytes);
    exhaust_the_heap();
    char byte = 'b';
    if (first_here) {
        /* This process is a child, so that this joins anew. */
        the_calls(b);
    } else {
        HOLDS(write(pipes[1], &byte, 1) == 1);
        HOLDS(read(pipes[2], &byte, 1) == 1);
        EXPECT(pthread_join(thread, NULL), 0);
    }
    _exit(0);
}

static void short_of_memory(stillpoint *b)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    barrier = b;
    for (long left = 0; left <= 1 << 20; left += 32 << 10) {
        for (int way = 0; way < 3; way++) {
            int status;
            pid_t child = fork();
            if (child == 0) {
                alarm(30);
                if (way == 2)
                    EXPECT(stillpoint_join(b), 0);
                one_step(b, left, way == 0);
            }
            EXPECT(waitpid(child, &status, 0), child);
            if (status != 0) {
                fprintf(stderr, "%ld bytes, way %d: status %x\n", left, way, status);
                _exit(1);
            }
        }
    }
    losses = stillpoint_dirty_epoch(b);
    EXPECT(losses, 0);
    EXPECT(stillpoint_lock_exclusive(b, 5000, -1), 0);
    EXPECT(stillpoint_unlock_exclusive(b), 0);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    RUN(short_of_memory);
}
