/*
 * Waiting, and being told to stop while one waits.
 *
 * The signals that ask a process to stop stay blocked and are only looked for, by a signalfd that is
 * never read: once it is readable it stays so, for every thread. So a stop never falls into the middle
 * of a delivery; it is seen at the next wait, and a wait for a slow client ends at once.
 */
#define _GNU_SOURCE
#include "stop.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/signalfd.h>

static int requests = -1;

int stop_watch(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    if (pthread_sigmask(SIG_BLOCK, &signals, NULL) != 0)
        return -1;
    requests = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    return requests < 0 ? -1 : 0;
}

bool stop_requested(void)
{
    struct pollfd request = {.fd = requests, .events = POLLIN};
    return poll(&request, 1, 0) > 0;
}

enum waited wait_for(int descriptor, short events, int timeout_ms)
{
    struct pollfd both[2] = {{.fd = requests, .events = POLLIN},
                             {.fd = descriptor, .events = events}};
    int ready;
    do
        ready = poll(both, 2, timeout_ms);
    while (ready < 0 && errno == EINTR);
    if (both[0].revents != 0)
        return STOPPING;
    return ready == 0 ? TIMED_OUT : READY;
}
