/*
 * The master: starts the processes that serve, replaces those that end, ends them all.
 *
 * It opened the barrier, but holds no share, ever. Each child joins the barrier at once, while it still
 * is root and still sees the barrier's file: once it is another user, it might reach neither.
 */
#define _GNU_SOURCE
#include "master.h"

#include "stop.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

/* Longer than any delivery takes. */
#define GRACE_SECONDS 20

static int child(const struct server *server, pid_t parent)
{
    int joined = stillpoint_join(server->store.barrier);
    if (joined < 0) {
        fprintf(stderr, "maildropd[%d]: barrier: %s\n", (int)getpid(), stillpoint_strerror(joined));
        return EX_TEMPFAIL;
    }
    if (server->other_user
        && (setgroups(0, NULL) != 0 || setgid(server->gid) != 0 || setuid(server->uid) != 0)) {
        fprintf(stderr, "maildropd[%d]: setuid: %s\n", (int)getpid(), strerror(errno));
        return EX_NOPERM;
    }
    /* No child outlives the master, however that ends. */
    if (stop_watch() != 0 || prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent)
        return EX_OSERR;
    return serve(server) ? EXIT_SUCCESS : EX_OSERR;
}

static pid_t start(const struct server *server)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0)
        exit(child(server, parent));
    if (pid < 0)
        fprintf(stderr, "maildropd[%d]: fork: %s\n", (int)parent, strerror(errno));
    return pid;
}

/* True: it ended as it should. */
static bool report(pid_t pid, int status)
{
    if (WIFSIGNALED(status))
        fprintf(stderr, "maildropd[%d]: child %d was ended by signal %d (%s)\n", (int)getpid(),
                (int)pid, WTERMSIG(status), strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) != 0)
        fprintf(stderr, "maildropd[%d]: child %d ended with status %d\n", (int)getpid(), (int)pid,
                WEXITSTATUS(status));
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Replaces the children that have ended; a fault that strikes at once makes no storm of forks. */
static void replace_ended(const struct server *server, pid_t *pids)
{
    for (unsigned i = 0; i < server->children; i++) {
        int status;
        if (pids[i] > 0) {
            if (waitpid(pids[i], &status, WNOHANG) != pids[i])
                continue;
            if (!report(pids[i], status))
                nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
        }
        pids[i] = start(server);
    }
}

/* True: all have ended as they should. */
static bool end_all(const struct server *server, pid_t *pids)
{
    bool good = true;
    time_t limit = time(NULL) + GRACE_SECONDS;
    for (unsigned i = 0; i < server->children; i++)
        if (pids[i] > 0)
            kill(pids[i], SIGTERM);
    for (unsigned i = 0; i < server->children; i++) {
        int status;
        if (pids[i] <= 0)
            continue;
        while (waitpid(pids[i], &status, WNOHANG) == 0) {
            if (time(NULL) > limit)
                kill(pids[i], SIGKILL);
            nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
        }
        good = report(pids[i], status) && good;
    }
    return good;
}

int master(const struct server *server)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    pid_t *pids = calloc(server->children, sizeof *pids);
    if (pids == NULL)
        return EX_OSERR;
    do
        replace_ended(server, pids);
    while (sigwaitinfo(&signals, NULL) == SIGCHLD);
    bool good = end_all(server, pids);
    free(pids);
    return good ? EXIT_SUCCESS : EX_SOFTWARE;
}
