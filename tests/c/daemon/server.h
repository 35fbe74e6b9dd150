/*
 * What all parts of the daemon know, and the accept loops.
 */
#ifndef SERVER_H
#define SERVER_H

#include "mailbox.h"

#include <sys/types.h>

struct server {
    struct store store;
    int listener;
    unsigned children; /* how many processes serve */
    unsigned threads;  /* in each of them; 0: one session after the other, without threads */
    int timeout_ms;    /* how long a client may be silent */
    uint64_t size;     /* of the longest message that is taken */
    bool other_user;   /* the children become this one */
    uid_t uid;
    gid_t gid;
};

/* Serves clients until this process is asked to stop. False: it could not begin. */
bool serve(const struct server *server);

#endif
