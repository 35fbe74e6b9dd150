/* Every function of the header, used as C and as C++. Compiled only. */
/* Names of the program, which the header's own functions shadow nowhere. */
extern int copy, depth, gate, slot, seat, place, odd, even, came;

#include "stillpoint.h"

#include <stdio.h>

int use_everything(const char *name, int fd);

int use_everything(const char *name, int fd)
{
    stillpoint *b = NULL;
    struct flock whole;
    uint64_t cookie;
    int sum, (*lock)(stillpoint *), (*wrapped)(stillpoint *, int, int);
    whole.l_type = F_WRLCK;
    whole.l_whence = SEEK_SET;
    whole.l_start = 0;
    whole.l_len = 0;
    sum = stillpoint_open(name, 0, NULL, &b);
    sum += stillpoint_open(name, STILLPOINT_CREATE, "label", &b);
    sum += stillpoint_join(b);
    sum += stillpoint_lock_shared(b);
    sum += stillpoint_trylock_shared(b);
    sum += stillpoint_timedlock_shared(b, 100);
    sum += stillpoint_unlock_shared(b);
    sum += stillpoint_begin(b, &cookie);
    sum += stillpoint_try_begin(b, &cookie);
    sum += stillpoint_timed_begin(b, 100, &cookie);
    sum += stillpoint_end(b, cookie);
    sum += stillpoint_gate_fd(b);
    sum += stillpoint_depth(b);
    sum += stillpoint_should_yield(b);
    sum += stillpoint_lock_exclusive(b, 100, -1);
    sum += stillpoint_unlock_exclusive(b);
    sum += stillpoint_flock(b, fd, LOCK_EX | LOCK_NB);
    sum += stillpoint_fcntl_lock(b, fd, F_SETLK, &whole);
    sum += stillpoint_close_fd(b, fd);
    sum += (int)stillpoint_dirty_epoch(b);
    sum += *stillpoint_strerror(sum);
    stillpoint_assert_not_held(b);
    stillpoint_assert_idle(b);
    if (sum == 0)
        stillpoint_assert_not_held(b);
    else
        stillpoint_assert_idle(b);
    /* Through a pointer the functions are those without a place. */
    lock = stillpoint_lock_shared;
    wrapped = stillpoint_flock;
    sum += lock(b) + wrapped(b, fd, LOCK_UN);
    stillpoint_close(b);
    return sum;
}
