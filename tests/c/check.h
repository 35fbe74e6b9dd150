/*
 * What the suites share. A suite is a program: its main names its tests, each of which gets a barrier
 * of its own in the folder that is the program's argument.
 */
#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "stillpoint.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *folder;
static const char *running = "?";
/* The barrier of the test that is running. */
static char path[500];
/* How many shares this test loses on purpose. */
static unsigned losses;

__attribute__((noreturn)) static inline void fail(const char *file, int line, const char *what, long got,
                                                  long wanted)
{
    fprintf(stderr, "%s:%d: %s: %s is %ld (%s), not %ld (%s)\n", file, line, running, what, got,
            stillpoint_strerror((int)got), wanted, stillpoint_strerror((int)wanted));
    fflush(stderr);
    _exit(1);
}

#define EXPECT(what, wanted)                                   \
    do {                                                       \
        long got_ = (long)(what), wanted_ = (long)(wanted);    \
        if (got_ != wanted_)                                   \
            fail(__FILE__, __LINE__, #what, got_, wanted_);    \
    } while (0)

#define HOLDS(what) EXPECT(!!(what), 1)

static inline void nap(long milliseconds)
{
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    while (nanosleep(&time, &time) != 0)
        ;
}

/* Waits for something that is bound to happen. */
#define UNTIL(condition)                                         \
    do {                                                         \
        int left_ = 20000;                                       \
        while (!(condition)) {                                   \
            if (--left_ == 0)                                    \
                fail(__FILE__, __LINE__, #condition, 0, 1);      \
            nap(1);                                              \
        }                                                        \
    } while (0)

/* How often the command, which looks from outside, says this of the barrier. */
static inline int seen(const char *what)
{
    char command[600], text[65536];
    snprintf(command, sizeof command, "stillpoint status --json %s", path);
    FILE *status = popen(command, "r");
    HOLDS(status != NULL);
    size_t length = fread(text, 1, sizeof text - 1, status);
    text[length] = '\0';
    EXPECT(pclose(status), 0);
    int count = 0;
    for (char *at = text; (at = strstr(at, what)) != NULL; at++)
        count++;
    return count;
}

static inline int seen_inside(void) { return seen("\"inside\":true"); }

/* A file of this test, open to read and write. */
static inline int file(const char *name)
{
    char place[600];
    snprintf(place, sizeof place, "%s/%s-%s", folder, running, name);
    int fd = open(place, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    HOLDS(fd >= 0);
    return fd;
}

/* Whether there is something to read, within so long. */
static inline bool readable(int fd, int milliseconds)
{
    struct pollfd asked = {.fd = fd, .events = POLLIN};
    int count = poll(&asked, 1, milliseconds);
    HOLDS(count >= 0);
    HOLDS((asked.revents & (POLLERR | POLLNVAL)) == 0);
    return count == 1 && (asked.revents & POLLIN) != 0;
}

/* Waits for a child that is to end well. */
static inline void ends_well(pid_t child)
{
    int status;
    EXPECT(waitpid(child, &status, 0), child);
    EXPECT(status, 0);
}

/* Does it in a forked child. */
#define IN_CHILD(...)                 \
    do {                              \
        pid_t child_ = fork();        \
        HOLDS(child_ >= 0);           \
        if (child_ == 0) {            \
            __VA_ARGS__;              \
            _exit(0);                 \
        }                             \
        ends_well(child_);            \
    } while (0)

/* Runs it in a thread, to the end. */
static inline void in_thread(void *(*body)(void *), void *argument)
{
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, body, argument), 0);
    EXPECT(pthread_join(thread, NULL), 0);
}

/* A thread that does what it is told, one job at a time. */
typedef int job(stillpoint *b);

struct worker {
    pthread_t thread;
    int jobs[2], results[2];
};

struct order {
    job *job;
    stillpoint *b;
};

static inline void *work(void *argument)
{
    struct worker *worker = argument;
    struct order order;
    while (read(worker->jobs[0], &order, sizeof order) == sizeof order) {
        int result = order.job(order.b);
        HOLDS(write(worker->results[1], &result, sizeof result) == sizeof result);
    }
    return NULL;
}

static inline void hire(struct worker *worker)
{
    HOLDS(pipe(worker->jobs) == 0 && pipe(worker->results) == 0);
    EXPECT(pthread_create(&worker->thread, NULL, work, worker), 0);
}

/* Tells it to begin. */
static inline void tell(struct worker *worker, job *job, stillpoint *b)
{
    struct order order = {job, b};
    HOLDS(write(worker->jobs[1], &order, sizeof order) == sizeof order);
}

/* What came of it. */
static inline int hear(struct worker *worker)
{
    int result;
    HOLDS(read(worker->results[0], &result, sizeof result) == sizeof result);
    return result;
}

static inline int ask(struct worker *worker, job *job, stillpoint *b)
{
    tell(worker, job, b);
    return hear(worker);
}

/* Lets it end. */
static inline void dismiss(struct worker *worker)
{
    close(worker->jobs[1]);
    EXPECT(pthread_join(worker->thread, NULL), 0);
    close(worker->jobs[0]);
    close(worker->results[0]);
    close(worker->results[1]);
}

/* Jobs. */
static inline int enter(stillpoint *b) { return stillpoint_lock_shared(b); }
static inline int try_to_enter(stillpoint *b) { return stillpoint_trylock_shared(b); }
static inline int leave(stillpoint *b) { return stillpoint_unlock_shared(b); }
static inline int depth(stillpoint *b) { return stillpoint_depth(b); }
static inline int pause_all(stillpoint *b) { return stillpoint_lock_exclusive(b, 5000, -1); }
static inline int resume_all(stillpoint *b) { return stillpoint_unlock_exclusive(b); }

static inline void run(const char *name, void (*test)(stillpoint *b))
{
    stillpoint *b;
    running = name;
    losses = 0;
    snprintf(path, sizeof path, "%s/%s.barrier", folder, name);
    EXPECT(stillpoint_open(path, STILLPOINT_CREATE, "check", &b), 0);
    test(b);
    EXPECT(seen_inside(), 0);
    /* A share that the test has left is lost here. The test may have closed the handle itself. */
    stillpoint_close(b);
    EXPECT(stillpoint_open(path, 0, NULL, &b), 0);
    EXPECT(stillpoint_dirty_epoch(b), losses);
    stillpoint_close(b);
}

#define RUN(test) run(#test, test)

/* The first thing in main. */
static inline void begin(int argc, char **argv)
{
    HOLDS(argc >= 2);
    folder = argv[1];
    /* A test that hangs fails. */
    alarm(110);
}

#endif
