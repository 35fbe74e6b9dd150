/*
 * The library, loaded by a program that was not linked with it, and unloaded while threads that used
 * it go on: it stays.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "stillpoint.h"

#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>

#define HOLDS(what)                                                     \
    do {                                                                \
        if (!(what)) {                                                  \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);  \
            exit(1);                                                    \
        }                                                               \
    } while (0)

static __typeof__(&(stillpoint_open)) open_barrier;
static __typeof__(&(stillpoint_close)) close_barrier;
static __typeof__(&(stillpoint_lock_shared)) lock_shared;
static __typeof__(&(stillpoint_unlock_shared)) unlock_shared;
static __typeof__(&(stillpoint_dirty_epoch)) dirty_epoch;

static stillpoint *b;
static sem_t loaded, used, unloaded;

static void find(void *library, const char *name, void *where)
{
    *(void **)where = dlsym(library, name);
    HOLDS(*(void **)where != NULL);
}

static void *load(void)
{
    void *library = dlopen("libstillpoint.so.0", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        fprintf(stderr, "%s\n", dlerror());
    HOLDS(library != NULL);
    find(library, "stillpoint_open", &open_barrier);
    find(library, "stillpoint_close", &close_barrier);
    find(library, "stillpoint_lock_shared", &lock_shared);
    find(library, "stillpoint_unlock_shared", &unlock_shared);
    find(library, "stillpoint_dirty_epoch", &dirty_epoch);
    return library;
}

/* Older than the library, and ends after it was unloaded: outside a share, or inside one. */
static void *outlive(void *inside)
{
    HOLDS(sem_wait(&loaded) == 0);
    for (int round = 0; round < 3; round++) {
        HOLDS(lock_shared(b) == 0);
        HOLDS(unlock_shared(b) == 0);
    }
    if (inside != NULL)
        HOLDS(lock_shared(b) == 0);
    HOLDS(sem_post(&used) == 0);
    HOLDS(sem_wait(&unloaded) == 0);
    return NULL;
}

int main(int argc, char **argv)
{
    char path[500];
    pthread_t threads[2];
    HOLDS(argc == 2);
    snprintf(path, sizeof path, "%s/plugin.barrier", argv[1]);
    sem_init(&loaded, 0, 0);
    sem_init(&used, 0, 0);
    sem_init(&unloaded, 0, 0);
    HOLDS(pthread_create(&threads[0], NULL, outlive, NULL) == 0);
    HOLDS(pthread_create(&threads[1], NULL, outlive, &threads) == 0);

    void *library = load();
    HOLDS(open_barrier(path, STILLPOINT_CREATE, "plugin", &b) == 0);
    for (int i = 0; i < 2; i++)
        HOLDS(sem_post(&loaded) == 0);
    for (int i = 0; i < 2; i++)
        HOLDS(sem_wait(&used) == 0);
    HOLDS(dlclose(library) == 0);
    for (int i = 0; i < 2; i++)
        HOLDS(sem_post(&unloaded) == 0);
    for (int i = 0; i < 2; i++)
        HOLDS(pthread_join(threads[i], NULL) == 0);

    /* It is still there, with all that was open, and the share of the second thread was lost. */
    HOLDS(dlopen("libstillpoint.so.0", RTLD_NOW | RTLD_NOLOAD) == library);
    HOLDS(load() == library);
    HOLDS(dirty_epoch(b) == 1);
    HOLDS(lock_shared(b) == 0);
    HOLDS(unlock_shared(b) == 0);
    close_barrier(b);
    return 0;
}
