/* An event loop of four tasks whose shares overlap, and a tool: it gets in, and the loop's timer goes on. */
#include "loop.example"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>

#define MUST(what) \
    do { \
        if (!(what)) { \
            fprintf(stderr, "loop.c:%d: %s\n", __LINE__, #what); \
            exit(1); \
        } \
    } while (0)

enum { TASKS = 4 };
static stillpoint *barrier;
static _Atomic int sets, ticks, over;
static struct task *writing[TASKS];
static int count;

static void begin_to_write(struct task *task) { writing[count++] = task; }

static void await(_Atomic int *number, int wanted)
{
    for (int left = 20000; *number < wanted; left--) {
        MUST(left > 0);
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
}

static void *tool(void *argument)
{
    (void)argument;
    for (int round = 0; round < 3; round++) {
        await(&sets, sets + 20);
        MUST(stillpoint_lock_exclusive(barrier, 10000, -1) == 0);
        int before = sets;
        await(&ticks, ticks + 10);
        MUST(sets == before);
        MUST(stillpoint_unlock_exclusive(barrier) == 0);
    }
    over = 1;
    return NULL;
}

int main(int argc, char **argv)
{
    char place[600];
    struct task tasks[TASKS];
    pthread_t thread;
    MUST(argc == 2);
    alarm(100);
    snprintf(place, sizeof place, "%s/loop.barrier", argv[1]);
    MUST(stillpoint_open(place, STILLPOINT_CREATE, "loop", &barrier) == 0);
    int loop = epoll_create1(EPOLL_CLOEXEC);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    struct itimerspec often = {{0, 2000000}, {0, 2000000}};
    MUST(timerfd_settime(timer, 0, &often, NULL) == 0);
    MUST(epoll_ctl(loop, EPOLL_CTL_ADD, timer, &(struct epoll_event){.events = EPOLLIN}) == 0);
    for (int i = 0; i < TASKS; i++) {
        tasks[i] = (struct task){barrier, 0, -1, begin_to_write};
        MUST(try_to_begin(loop, &tasks[i]) == 0);
    }
    MUST(pthread_create(&thread, NULL, tool, NULL) == 0);
    while (!over) {
        struct epoll_event event;
        uint64_t expired;
        MUST(epoll_wait(loop, &event, 1, 10000) == 1);
        if (event.data.ptr != NULL) {
            MUST(try_to_begin(loop, event.data.ptr) == 0);
            continue;
        }
        MUST(read(timer, &expired, sizeof expired) == sizeof expired);
        ticks++;
        if (count == 0)
            continue;
        /* The one that began first has written all, and begins again: the others are inside meanwhile. */
        struct task *done = writing[0];
        count--;
        for (int i = 0; i < count; i++)
            writing[i] = writing[i + 1];
        sets++;
        MUST(stillpoint_end(barrier, done->share) == 0);
        MUST(try_to_begin(loop, done) == 0);
    }
    MUST(pthread_join(thread, NULL) == 0);
    while (count > 0)
        MUST(stillpoint_end(barrier, writing[--count]->share) == 0);
    stillpoint_assert_idle(barrier);
    MUST(stillpoint_dirty_epoch(barrier) == 0);
    stillpoint_close(barrier);
    return 0;
}
