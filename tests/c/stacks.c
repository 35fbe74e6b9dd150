/*
 * How much of its stack a thread needs for the library's calls.
 *
 * Arguments: the folder, and how many bytes each call may need; opening and the exclusive side, in the third.
 */
#include "locks.h"

#include <sys/mman.h>

#define STACK (1 << 20)

static stillpoint *barrier, *opened, *later;
static int descriptor;
static char missing[550];

static void nothing(void) {}
static void share(void) { HOLDS(stillpoint_lock_shared(barrier) == 0 && stillpoint_unlock_shared(barrier) == 0); }
static void wait_in_vain(void) { EXPECT(stillpoint_timedlock_shared(barrier, 150), -ETIMEDOUT); }
static void check(void) { EXPECT(stillpoint_check(barrier), 0); }
static void lock_file(void)
{
    EXPECT(stillpoint_flock(barrier, descriptor, LOCK_EX), 0);
    EXPECT(stillpoint_flock(barrier, descriptor, LOCK_UN), 0);
}
static void assert_nothing(void)
{
    stillpoint_assert_not_held(barrier);
    stillpoint_assert_idle(barrier);
}
static void open_it(void) { EXPECT(stillpoint_open(path, 0, "stacks", &opened), 0); }
static void find_it(void) { HOLDS(stillpoint_lock_shared(later) == 0 && stillpoint_unlock_shared(later) == 0); }
static void pause_it(void)
{
    EXPECT(stillpoint_lock_exclusive(barrier, 2000, 2000), 0);
    EXPECT(stillpoint_unlock_exclusive(barrier), 0);
}

static void *call(void *function)
{
    void (*what)(void);
    memcpy(&what, &function, sizeof what);
    what();
    return NULL;
}

/* Runs it in a thread whose stack is painted, and sees how deep the paint is gone. */
static long depth_of(void (*what)(void))
{
    char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_attr_t attributes;
    pthread_t thread;
    void *function;
    long clean = 0;
    HOLDS(stack != MAP_FAILED);
    memset(stack, 0xa5, STACK);
    memcpy(&function, &what, sizeof what);
    EXPECT(pthread_attr_init(&attributes), 0);
    EXPECT(pthread_attr_setstack(&attributes, stack, STACK), 0);
    EXPECT(pthread_create(&thread, &attributes, call, function), 0);
    EXPECT(pthread_join(thread, NULL), 0);
    while (clean < STACK && (unsigned char)stack[clean] == 0xa5)
        clean++;
    EXPECT(munmap(stack, STACK), 0);
    return STACK - clean;
}

static long base;

static void within(const char *name, void (*what)(void), const char *limit)
{
    long needed = depth_of(what) - base;
    printf("%s %ld\n", name, needed);
    if (needed > atol(limit)) {
        fprintf(stderr, "%s needs %ld bytes of stack, not %s\n", name, needed, limit);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    HOLDS(argc == 4);
    running = "stacks";
    snprintf(path, sizeof path, "%s/stacks.barrier", folder);
    snprintf(missing, sizeof missing, "%s/later.barrier", folder);
    EXPECT(stillpoint_open(path, STILLPOINT_CREATE, NULL, &barrier), 0);
    EXPECT(stillpoint_open(missing, STILLPOINT_OPTIONAL, NULL, &later), 0);
    EXPECT(stillpoint_open(missing, STILLPOINT_CREATE, NULL, &opened), 0);
    stillpoint_close(opened);
    descriptor = file("mailbox");
    depth_of(share);
    base = depth_of(nothing);
    within("share", share, argv[2]);
    within("lock", lock_file, argv[2]);
    within("assert", assert_nothing, argv[2]);
    within("check", check, argv[3]);
    within("find", find_it, argv[3]);
    within("open", open_it, argv[3]);
    within("pause", pause_it, argv[3]);
    EXPECT(stillpoint_lock_exclusive(barrier, 2000, 20000), 0);
    within("wait", wait_in_vain, argv[2]);
    EXPECT(stillpoint_unlock_exclusive(barrier), 0);
}
