/*
 * Programs with handlers of their own for forks, on locks of their own: whichever is registered first, no
 * order of the locks makes anybody wait for ever, and a signal is handled meanwhile.
 *
 * Not linked with the library, which is loaded before or after the handlers are registered.
 *
 * Arguments: the folder, and "before" or "after".
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HOLDS(what)                                                          \
    do {                                                                     \
        if (!(what)) {                                                       \
            fprintf(stderr, "prefork.c:%d: not so: %s\n", __LINE__, #what);  \
            _exit(1);                                                        \
        }                                                                    \
    } while (0)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void before_fork(void) { pthread_mutex_lock(&lock); }
static void after_fork(void) { pthread_mutex_unlock(&lock); }

static void *b;
static int (*open_barrier)(const char *, unsigned, const char *, void **);
static int (*lock_shared)(void *), (*unlock_shared)(void *), (*lock_exclusive)(void *, int, int),
    (*unlock_exclusive)(void *);
static void (*close_barrier)(void *);

static void load(void)
{
    void *library = dlopen("libstillpoint.so.0", RTLD_NOW);
    HOLDS(library != NULL);
#define FIND(what, name) HOLDS((*(void **)&(what) = dlsym(library, name)) != NULL)
    FIND(open_barrier, "stillpoint_open");
    FIND(lock_shared, "stillpoint_lock_shared");
    FIND(unlock_shared, "stillpoint_unlock_shared");
    FIND(lock_exclusive, "stillpoint_lock_exclusive");
    FIND(unlock_exclusive, "stillpoint_unlock_exclusive");
    FIND(close_barrier, "stillpoint_close");
}

static char path[600];
static volatile bool locked, forking;
static volatile sig_atomic_t handled;
static void (*doing)(void);

static void share(void) { HOLDS(lock_shared(b) == 0 && unlock_shared(b) == 0); }
static void pause_it(void)
{
    HOLDS(lock_exclusive(b, 5000, -1) == 0 && unlock_exclusive(b) == 0);
}
static void open_it(void)
{
    void *again;
    HOLDS(open_barrier(path, 0, NULL, &again) == 0);
    close_barrier(again);
}

static void nap(long milliseconds)
{
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* Does it under the program's lock, once somebody is about to fork. */
static void *under_the_lock(void *argument)
{
    (void)argument;
    pthread_mutex_lock(&lock);
    locked = true;
    while (!forking)
        nap(1);
    nap(20);
    doing();
    pthread_mutex_unlock(&lock);
    /* Ends the thread, which has something to give back. */
    return NULL;
}

static void handle(int signal)
{
    (void)signal;
    handled = handled + 1;
}

static void fork_meanwhile(void (*what)(void))
{
    pthread_t thread;
    int status;
    doing = what;
    locked = forking = false;
    HOLDS(pthread_create(&thread, NULL, under_the_lock, NULL) == 0);
    while (!locked)
        nap(1);
    forking = true;
    pid_t child = fork();
    HOLDS(child >= 0);
    if (child == 0) {
        alarm(20);
        share();
        pause_it();
        open_it();
        _exit(0);
    }
    HOLDS(pthread_join(thread, NULL) == 0);
    HOLDS(waitpid(child, &status, 0) == child && status == 0);
    HOLDS(pthread_kill(pthread_self(), SIGUSR1) == 0);
}

static volatile bool enough;

static void *join_and_end(void *argument)
{
    (void)argument;
    share();
    return NULL;
}

static void *threads_come_and_go(void *argument)
{
    (void)argument;
    while (!enough) {
        pthread_t thread;
        pthread_mutex_lock(&lock);
        share();
        pthread_mutex_unlock(&lock);
        HOLDS(pthread_create(&thread, NULL, join_and_end, NULL) == 0);
        HOLDS(pthread_join(thread, NULL) == 0);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    HOLDS(argc == 3);
    alarm(100);
    signal(SIGUSR1, handle);
    snprintf(path, sizeof path, "%s/prefork.barrier", argv[1]);
    bool first = strcmp(argv[2], "before") == 0;
    if (first)
        load();
    HOLDS(pthread_atfork(before_fork, after_fork, after_fork) == 0);
    if (!first)
        load();
    HOLDS(open_barrier(path, 1, NULL, &b) == 0);
    for (int round = 0; round < 3; round++) {
        fork_meanwhile(share);
        fork_meanwhile(pause_it);
        fork_meanwhile(open_it);
    }
    HOLDS(handled == 9);
    /* Many at once. */
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        HOLDS(pthread_create(&threads[i], NULL, threads_come_and_go, NULL) == 0);
    for (int round = 0; round < 50; round++) {
        int status;
        pid_t child = fork();
        HOLDS(child >= 0);
        if (child == 0) {
            alarm(20);
            share();
            _exit(0);
        }
        HOLDS(waitpid(child, &status, 0) == child && status == 0);
    }
    enough = true;
    for (int i = 0; i < 3; i++)
        HOLDS(pthread_join(threads[i], NULL) == 0);
    pause_it();
    return 0;
}
