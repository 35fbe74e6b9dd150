/* Leaks a share in the way that its second argument names, and comes to an assertion. */
#include "locks.h"

static int (*const lock_nowhere)(stillpoint *) = stillpoint_lock_shared;

static int taken;

#define TAKEN(how)          \
    do {                    \
        taken = __LINE__;   \
        EXPECT(how, 0);     \
    } while (0)

static int enter_elsewhere(stillpoint *b)
{
    taken = __LINE__ + 1;
    return stillpoint_lock_shared(b);
}

static bool is(const char *word, const char *other) { return strcmp(word, other) == 0; }

int main(int argc, char **argv)
{
    stillpoint *b;
    struct worker other;
    struct flock whole = whole_file(WRITE);
    begin(argc, argv);
    HOLDS(argc == 3);
    const char *leak = argv[2];
    snprintf(path, sizeof path, "%s/assertions.barrier", folder);
    EXPECT(stillpoint_open(path, STILLPOINT_CREATE, "check", &b), 0);
    int fd = file("mailbox");

    stillpoint_assert_not_held(b);
    stillpoint_assert_idle(b);
    if (is(leak, "share")) {
        TAKEN(stillpoint_lock_shared(b));
    } else if (is(leak, "nested")) {
        TAKEN(stillpoint_trylock_shared(b));
        EXPECT(stillpoint_lock_shared(b), 0);
    } else if (is(leak, "timed")) {
        TAKEN(stillpoint_timedlock_shared(b, 100));
    } else if (is(leak, "nowhere")) {
        EXPECT(lock_nowhere(b), 0);
    } else if (is(leak, "flock")) {
        /* The second one takes another way than the first. */
        EXPECT(stillpoint_flock(b, fd, LOCK_EX), 0);
        EXPECT(stillpoint_flock(b, fd, LOCK_UN), 0);
        TAKEN(stillpoint_flock(b, fd, LOCK_EX));
    } else if (is(leak, "fcntl")) {
        TAKEN(stillpoint_fcntl_lock(b, fd, F_SETLK, &whole));
    } else if (is(leak, "closed")) {
        TAKEN(stillpoint_flock(b, fd, LOCK_EX));
        close(fd);
    } else if (is(leak, "thread")) {
        hire(&other);
        EXPECT(ask(&other, enter_elsewhere, b), 0);
        stillpoint_assert_not_held(b);
    } else {
        EXPECT(is(leak, "none"), 1);
    }
    printf("%d %d %d\n", getpid(), taken, __LINE__ + 2);
    fflush(stdout);
    is(leak, "thread") ? stillpoint_assert_idle(b) : stillpoint_assert_not_held(b);
    puts("survived");
    return 0;
}
