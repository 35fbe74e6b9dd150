/*
 * The accept loops: one session after the other, or one in each of several threads.
 *
 * Between two sessions nobody may hold a share, or no snapshot could be taken until the next client
 * comes. Without threads the process checks itself where it waits. With threads, others may rightly be
 * inside while this one waits, so a check of the whole process would fail without a fault. It is right
 * in two moments: when the last session under way has ended and the next cannot begin yet, and when all
 * threads have ended. There it finds what the check of the single threads cannot: a share that was
 * left by a session which ended without waiting for another command, or that no thread answers for.
 */
#define _GNU_SOURCE
#include "server.h"

#include "lmtp.h"
#include "stop.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* The next client; -1: this process is to stop. */
static int next_client(int listener)
{
    while (wait_for(listener, POLLIN, -1) != STOPPING) {
        int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (client >= 0)
            return client;
        /* Another process was faster; or descriptors are short, which passes. */
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return -1;
}

static bool serve_one_by_one(const struct server *server)
{
    int client;
    while ((client = next_client(server->listener)) >= 0) {
        lmtp_session(server, client);
        close(client);
        stillpoint_assert_not_held(server->store.barrier);
    }
    return true;
}

/* Threads that serve, and the client that the next of them is to take. */
struct crew {
    const struct server *server;
    pthread_mutex_t mutex;
    pthread_cond_t work, room;
    int client; /* -1: none */
    unsigned busy;
    bool over;
};

static void *work(void *argument)
{
    struct crew *crew = argument;
    pthread_mutex_lock(&crew->mutex);
    for (;;) {
        while (crew->client < 0 && !crew->over)
            pthread_cond_wait(&crew->work, &crew->mutex);
        if (crew->client < 0)
            break;
        int client = crew->client;
        crew->client = -1;
        crew->busy++;
        pthread_cond_signal(&crew->room);
        pthread_mutex_unlock(&crew->mutex);

        lmtp_session(crew->server, client);
        close(client);

        pthread_mutex_lock(&crew->mutex);
        /* No other thread serves, and none begins before this one lets go of the mutex. */
        if (--crew->busy == 0)
            stillpoint_assert_idle(crew->server->store.barrier);
        pthread_cond_signal(&crew->room);
    }
    pthread_mutex_unlock(&crew->mutex);
    return NULL;
}

/* Hands each client to a thread that is free, and takes none from the kernel while none is. */
static void hand_out(struct crew *crew)
{
    const struct server *server = crew->server;
    for (;;) {
        pthread_mutex_lock(&crew->mutex);
        while (crew->client >= 0 || crew->busy == server->threads)
            pthread_cond_wait(&crew->room, &crew->mutex);
        pthread_mutex_unlock(&crew->mutex);
        int client = next_client(server->listener);
        pthread_mutex_lock(&crew->mutex);
        crew->client = client;
        crew->over = client < 0;
        pthread_cond_broadcast(&crew->work);
        pthread_mutex_unlock(&crew->mutex);
        if (client < 0)
            return;
    }
}

static bool serve_by_threads(const struct server *server)
{
    struct crew crew = {.server = server, .client = -1};
    pthread_t *threads = calloc(server->threads, sizeof *threads);
    unsigned started = 0;
    pthread_mutex_init(&crew.mutex, NULL);
    pthread_cond_init(&crew.work, NULL);
    pthread_cond_init(&crew.room, NULL);
    while (threads != NULL && started < server->threads
           && pthread_create(&threads[started], NULL, work, &crew) == 0)
        started++;
    bool whole = threads != NULL && started == server->threads;
    if (whole)
        hand_out(&crew);
    pthread_mutex_lock(&crew.mutex);
    crew.over = true;
    pthread_cond_broadcast(&crew.work);
    pthread_mutex_unlock(&crew.mutex);
    while (started > 0)
        pthread_join(threads[--started], NULL);
    free(threads);
    stillpoint_assert_idle(server->store.barrier);
    return whole;
}

bool serve(const struct server *server)
{
    return server->threads > 0 ? serve_by_threads(server) : serve_one_by_one(server);
}
