/*
 * Threads that deliver as the manual's example does, each to a file of its own, under a tool that pauses
 * them: nothing is refused, nobody is inside a pause, and no descriptor is left open.
 *
 * Arguments: the folder, for how many seconds, and how many threads.
 */
#include "locks.h"

#define MOST 64

static stillpoint *barrier;
static volatile bool enough;
static _Atomic bool inside[MOST];
static _Atomic long deliveries, opening, locking, closing;

static void *deliver(void *argument)
{
    _Atomic bool *here = argument;
    char place[600];
    snprintf(place, sizeof place, "%s/mailbox-%td", folder, here - inside);
    while (!enough) {
        int fd = open(place, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0) {
            opening++;
            continue;
        }
        if (stillpoint_flock(barrier, fd, LOCK_EX) == 0) {
            *here = true;
            if (pwrite(fd, "From ", 5, 0) == 5)
                deliveries++;
            *here = false;
        } else {
            locking++;
        }
        if (stillpoint_close_fd(barrier, fd) != 0)
            closing++;
    }
    EXPECT(stillpoint_depth(barrier), 0);
    return NULL;
}

static int seconds, count;

static void deliveries_under_pauses(stillpoint *b)
{
    pthread_t threads[MOST];
    int first = file("first");
    long pauses = 0;
    barrier = b;
    for (int i = 0; i < count; i++)
        EXPECT(pthread_create(&threads[i], NULL, deliver, &inside[i]), 0);
    for (time_t end = time(NULL) + seconds; time(NULL) < end;) {
        EXPECT(stillpoint_lock_exclusive(b, 5000, -1), 0);
        for (int look = 0; look < 20; look++)
            for (int i = 0; i < count; i++)
                HOLDS(!inside[i]);
        EXPECT(stillpoint_unlock_exclusive(b), 0);
        pauses++;
        nap(5);
    }
    enough = true;
    for (int i = 0; i < count; i++)
        EXPECT(pthread_join(threads[i], NULL), 0);
    printf("%d threads, %ld deliveries, %ld pauses; refused: %ld opened, %ld locked, %ld closed\n", count,
           deliveries, pauses, opening, locking, closing);
    EXPECT(opening + locking + closing, 0);
    /* The library may keep one to ask by; nobody else has left one. */
    int last = file("last");
    HOLDS(last <= first + 2);
    HOLDS(deliveries > 0 && pauses > 0);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    HOLDS(argc == 4);
    seconds = atoi(argv[2]);
    count = atoi(argv[3]);
    HOLDS(seconds > 0 && count > 0 && count <= MOST);
    alarm((unsigned)seconds + 110);
    RUN(deliveries_under_pauses);
}
