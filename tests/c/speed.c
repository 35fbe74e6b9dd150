/*
 * What a share costs from C: a pair of the library's calls, and a pair of flock(2) with a share and
 * without. Each figure is the least of many short batches, so that what else goes on does not count;
 * the batches take turns, so that all meet the same machine.
 *
 * With an argument more, the number of rounds: prints the nanoseconds of one pair.
 */
#include "locks.h"

enum { SHARE, NESTED, BARE, WRAPPED, WHATS };
static const char *const names[WHATS] = {"share", "nested share", "flock", "flock with a share"};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void pairs(stillpoint *b, int what, int fd, int count)
{
    int failed = 0;
    for (int i = 0; i < count; i++) {
        switch (what) {
        case SHARE:
        case NESTED:
            failed |= stillpoint_lock_shared(b);
            failed |= stillpoint_unlock_shared(b);
            break;
        case BARE:
            failed |= flock(fd, LOCK_EX);
            failed |= flock(fd, LOCK_UN);
            break;
        default:
            failed |= stillpoint_flock(b, fd, LOCK_EX);
            failed |= stillpoint_flock(b, fd, LOCK_UN);
        }
    }
    EXPECT(failed, 0);
}

static double best[WHATS];
static int rounds = 3;

static void measure(stillpoint *b)
{
    int fd = file("mailbox");
    for (int what = 0; what < WHATS; what++)
        best[what] = 1e18;
    for (int round = 0; round < rounds; round++) {
        for (int what = 0; what < WHATS; what++) {
            int count = what < BARE ? 10000 : 1000;
            if (what == NESTED)
                EXPECT(stillpoint_lock_shared(b), 0);
            double start = now();
            pairs(b, what, fd, count);
            double each = (now() - start) / count;
            if (what == NESTED)
                EXPECT(stillpoint_unlock_shared(b), 0);
            if (each < best[what])
                best[what] = each;
        }
    }
    EXPECT(stillpoint_depth(b), 0);
    close(fd);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    if (argc == 3)
        rounds = atoi(argv[2]);
    HOLDS(rounds > 0);
    RUN(measure);
    for (int what = 0; what < WHATS; what++)
        printf("%-20s %9.2f ns\n", names[what], best[what]);
    printf("%-20s %9.3f\n", "flock, with : without", best[WRAPPED] / best[BARE]);
}
