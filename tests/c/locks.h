/*
 * The three kinds of write locks under one name each, and a look at them by another open file
 * description.
 */
#ifndef LOCKS_H
#define LOCKS_H

#include "check.h"

enum kind { FLOCK, CLASSIC, DESCRIPTION };
static const enum kind kinds[] = {FLOCK, CLASSIC, DESCRIPTION};
#define EACH_KIND(kind) for (const enum kind *kind = kinds; kind < kinds + 3; kind++)

enum wish { WRITE = LOCK_EX, READ = LOCK_SH, UNLOCK = LOCK_UN };

static inline struct flock whole_file(enum wish wish)
{
    struct flock whole = {.l_whence = SEEK_SET};
    whole.l_type = wish == WRITE ? F_WRLCK : wish == READ ? F_RDLCK : F_UNLCK;
    return whole;
}

/* By the library. */
static inline int wrapped(stillpoint *b, enum kind kind, int fd, enum wish wish, bool wait)
{
    struct flock whole = whole_file(wish);
    switch (kind) {
    case FLOCK:
        return stillpoint_flock(b, fd, wait ? (int)wish : (int)wish | LOCK_NB);
    case CLASSIC:
        return stillpoint_fcntl_lock(b, fd, wait ? F_SETLKW : F_SETLK, &whole);
    default:
        return stillpoint_fcntl_lock(b, fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &whole);
    }
}

/* By the system call, without waiting. */
static inline int bare(enum kind kind, int fd, enum wish wish)
{
    struct flock whole = whole_file(wish);
    int result = kind == FLOCK ? flock(fd, (int)wish | LOCK_NB) : fcntl(fd, F_OFD_SETLK, &whole);
    return result == 0 ? 0 : -errno;
}

/* What is locked, as another open file description finds it: 'w', 'r' or '-'. */
static inline int found(enum kind kind, int rival)
{
    if (bare(kind, rival, WRITE) == 0) {
        EXPECT(bare(kind, rival, UNLOCK), 0);
        return '-';
    }
    if (bare(kind, rival, READ) == 0) {
        EXPECT(bare(kind, rival, UNLOCK), 0);
        return 'r';
    }
    return 'w';
}

#endif
