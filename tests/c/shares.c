/* The shared and the exclusive side, as a program uses them. */
#include "check.h"

#include <limits.h>

/* What is called without the macros: by other languages, and through pointers. */
static int (*const plain_lock)(stillpoint *) = stillpoint_lock_shared;
static int (*const plain_trylock)(stillpoint *) = stillpoint_trylock_shared;
static int (*const plain_timedlock)(stillpoint *, int) = stillpoint_timedlock_shared;
static int (*const plain_exclusive)(stillpoint *, int, int) = stillpoint_lock_exclusive;

static void shares_nest(stillpoint *b)
{
    EXPECT(stillpoint_depth(b), 0);
    EXPECT(stillpoint_lock_shared(b), 0);
    EXPECT(stillpoint_trylock_shared(b), 0);
    EXPECT(stillpoint_timedlock_shared(b, 0), 0);
    EXPECT(plain_lock(b), 0);
    EXPECT(plain_trylock(b), 0);
    EXPECT(plain_timedlock(b, 0), 0);
    EXPECT(stillpoint_depth(b), 6);
    EXPECT(seen_inside(), 1);
    for (int depth = 5; depth >= 0; depth--) {
        EXPECT(stillpoint_unlock_shared(b), 0);
        EXPECT(stillpoint_depth(b), depth);
        EXPECT(seen_inside(), depth > 0);
    }
}

static void one_unlock_too_many_is_an_error(stillpoint *b)
{
    EXPECT(stillpoint_unlock_shared(b), -EPERM);
    EXPECT(stillpoint_lock_shared(b), 0);
    EXPECT(stillpoint_unlock_shared(b), 0);
    EXPECT(stillpoint_unlock_shared(b), -EPERM);
    EXPECT(stillpoint_depth(b), 0);
}

static void a_share_belongs_to_its_thread(stillpoint *b)
{
    struct worker other;
    hire(&other);
    EXPECT(stillpoint_lock_shared(b), 0);
    EXPECT(ask(&other, depth, b), 0);
    EXPECT(ask(&other, leave, b), -EPERM);
    EXPECT(ask(&other, enter, b), 0);
    EXPECT(ask(&other, leave, b), 0);
    EXPECT(ask(&other, leave, b), -EPERM);
    EXPECT(stillpoint_depth(b), 1);
    EXPECT(seen_inside(), 1);
    EXPECT(stillpoint_unlock_shared(b), 0);
    dismiss(&other);
}

static void a_closed_gate_keeps_writers_out(stillpoint *b)
{
    struct worker tool, writer;
    hire(&tool);
    hire(&writer);
    EXPECT(ask(&tool, pause_all, b), 0);
    EXPECT(stillpoint_trylock_shared(b), -EAGAIN);
    EXPECT(stillpoint_timedlock_shared(b, 0), -ETIMEDOUT);
    EXPECT(stillpoint_timedlock_shared(b, 30), -ETIMEDOUT);
    EXPECT(stillpoint_depth(b), 0);
    EXPECT(stillpoint_unlock_shared(b), -EPERM);
    EXPECT(seen_inside(), 0);
    tell(&writer, enter, b);
    EXPECT(ask(&tool, resume_all, b), 0);
    EXPECT(hear(&writer), 0);
    EXPECT(ask(&writer, leave, b), 0);
    dismiss(&tool);
    dismiss(&writer);
}

static void limits_must_make_sense(stillpoint *b)
{
    EXPECT(stillpoint_timedlock_shared(b, -1), -EINVAL);
    EXPECT(stillpoint_timedlock_shared(b, INT_MIN), -EINVAL);
    EXPECT(stillpoint_lock_exclusive(b, -1, -1), -EINVAL);
    EXPECT(stillpoint_lock_exclusive(b, 100, -2), -EINVAL);
    EXPECT(stillpoint_lock_exclusive(b, INT_MIN, INT_MIN), -EINVAL);
    EXPECT(stillpoint_lock_shared(b), 0);
    EXPECT(stillpoint_timedlock_shared(b, -1), -EINVAL);
    EXPECT(stillpoint_unlock_shared(b), 0);
    EXPECT(stillpoint_timedlock_shared(b, INT_MAX), 0);
    EXPECT(stillpoint_unlock_shared(b), 0);
    EXPECT(stillpoint_lock_exclusive(b, INT_MAX, INT_MAX), 0);
    EXPECT(stillpoint_unlock_exclusive(b), 0);
}

static void a_pause_belongs_to_its_thread(stillpoint *b)
{
    struct worker other;
    hire(&other);
    EXPECT(stillpoint_unlock_exclusive(b), -EPERM);
    EXPECT(plain_exclusive(b, 1000, -1), 0);
    EXPECT(ask(&other, resume_all, b), -EPERM);
    EXPECT(ask(&other, try_to_enter, b), -EAGAIN);
    EXPECT(stillpoint_unlock_exclusive(b), 0);
    EXPECT(stillpoint_unlock_exclusive(b), -EPERM);
    EXPECT(ask(&other, try_to_enter, b), 0);
    EXPECT(ask(&other, leave, b), 0);
    dismiss(&other);
}

static int pause_briefly(stillpoint *b) { return stillpoint_lock_exclusive(b, 20, -1); }

static void a_thread_never_waits_for_itself(stillpoint *b)
{
    EXPECT(stillpoint_lock_shared(b), 0);
    EXPECT(stillpoint_lock_exclusive(b, 5000, -1), -EDEADLK);
    EXPECT(stillpoint_unlock_shared(b), 0);
    EXPECT(stillpoint_lock_exclusive(b, 5000, -1), 0);
    EXPECT(stillpoint_lock_exclusive(b, 5000, -1), -EDEADLK);
    EXPECT(stillpoint_unlock_exclusive(b), 0);
}

static void the_exclusive_side_has_limits(stillpoint *b)
{
    struct worker other;
    hire(&other);
    EXPECT(ask(&other, enter, b), 0);
    EXPECT(stillpoint_lock_exclusive(b, 20, -1), -ETIMEDOUT);
    EXPECT(stillpoint_unlock_exclusive(b), -EPERM);
    EXPECT(ask(&other, leave, b), 0);
    EXPECT(stillpoint_lock_exclusive(b, 5000, -1), 0);
    EXPECT(ask(&other, pause_briefly, b), -ETIMEDOUT);
    EXPECT(stillpoint_unlock_exclusive(b), 0);
    dismiss(&other);
}

static void a_pause_that_did_not_last_is_no_success(stillpoint *b)
{
    struct worker writer;
    hire(&writer);
    EXPECT(stillpoint_lock_exclusive(b, 20, 30), 0);
    /* The writer opens the gate when the pause has had its time. */
    EXPECT(ask(&writer, enter, b), 0);
    EXPECT(stillpoint_unlock_exclusive(b), -ECANCELED);
    EXPECT(stillpoint_unlock_exclusive(b), -EPERM);
    EXPECT(ask(&writer, leave, b), 0);
    dismiss(&writer);
}

static void who_stays_long_can_see_that_somebody_waits(stillpoint *b)
{
    struct worker tool;
    hire(&tool);
    EXPECT(stillpoint_should_yield(b), 0);
    EXPECT(stillpoint_lock_shared(b), 0);
    EXPECT(stillpoint_should_yield(b), 0);
    tell(&tool, pause_all, b);
    UNTIL(stillpoint_should_yield(b) == 1);
    EXPECT(stillpoint_unlock_shared(b), 0);
    EXPECT(hear(&tool), 0);
    EXPECT(stillpoint_trylock_shared(b), -EAGAIN);
    EXPECT(ask(&tool, resume_all, b), 0);
    EXPECT(stillpoint_should_yield(b), 0);
    dismiss(&tool);
}

static void a_thread_that_ends_inside_is_a_lost_writer(stillpoint *b)
{
    struct worker writer;
    hire(&writer);
    EXPECT(ask(&writer, enter, b), 0);
    EXPECT(stillpoint_dirty_epoch(b), 0);
    dismiss(&writer);
    losses = 1;
    EXPECT(stillpoint_dirty_epoch(b), 1);
    EXPECT(stillpoint_lock_exclusive(b, 5000, -1), 0);
    EXPECT(stillpoint_unlock_exclusive(b), 0);
}

static void a_share_is_lost_when_its_barrier_is_closed(stillpoint *b)
{
    stillpoint *again;
    EXPECT(stillpoint_lock_shared(b), 0);
    stillpoint_close(b);
    losses = 1;
    EXPECT(seen_inside(), 0);
    EXPECT(stillpoint_unlock_shared(b), -EBADF);
    EXPECT(stillpoint_open(path, 0, NULL, &again), 0);
    EXPECT(stillpoint_dirty_epoch(again), 1);
    EXPECT(stillpoint_unlock_shared(again), -EPERM);
    EXPECT(stillpoint_lock_shared(again), 0);
    EXPECT(stillpoint_unlock_shared(again), 0);
    stillpoint_close(again);
}

static void a_pause_ends_when_its_barrier_is_closed(stillpoint *b)
{
    stillpoint *again;
    EXPECT(stillpoint_lock_exclusive(b, 1000, -1), 0);
    stillpoint_close(b);
    EXPECT(stillpoint_open(path, 0, NULL, &again), 0);
    EXPECT(stillpoint_trylock_shared(again), 0);
    EXPECT(stillpoint_unlock_shared(again), 0);
    EXPECT(stillpoint_unlock_exclusive(again), -EPERM);
    stillpoint_close(again);
}

static void handles_of_one_barrier_are_one_barrier(stillpoint *b)
{
    stillpoint *same;
    EXPECT(stillpoint_open(path, 0, NULL, &same), 0);
    HOLDS(same != b);
    EXPECT(stillpoint_lock_shared(b), 0);
    EXPECT(stillpoint_depth(same), 1);
    EXPECT(stillpoint_lock_exclusive(same, 100, -1), -EDEADLK);
    stillpoint_close(b);
    EXPECT(stillpoint_unlock_shared(same), 0);
    EXPECT(stillpoint_unlock_shared(same), -EPERM);
    stillpoint_close(same);
}

static void every_errno_has_a_text(stillpoint *b)
{
    static const int known[] = {ENOENT, EBADMSG,   EPROTO,  EPROTONOSUPPORT, EOPNOTSUPP, EACCES,
                                EEXIST, EBUSY,     EUSERS,  EAGAIN,          ETIMEDOUT,  EDEADLK,
                                EPERM,  ECANCELED, ENOTCONN, EBADF,          EINVAL,     EMFILE};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        HOLDS(strcmp(stillpoint_strerror(-known[i]), strerror(known[i])) != 0);
        HOLDS(strlen(stillpoint_strerror(-known[i])) > 5);
    }
    EXPECT(strcmp(stillpoint_strerror(-ENOMEM), strerror(ENOMEM)), 0);
    EXPECT(strcmp(stillpoint_strerror(0), "success"), 0);
    EXPECT(strcmp(stillpoint_strerror(7), "success"), 0);
    HOLDS(*stillpoint_strerror(INT_MIN) && *stillpoint_strerror(-4000));
    (void)b;
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    RUN(shares_nest);
    RUN(one_unlock_too_many_is_an_error);
    RUN(a_share_belongs_to_its_thread);
    RUN(a_closed_gate_keeps_writers_out);
    RUN(limits_must_make_sense);
    RUN(a_pause_belongs_to_its_thread);
    RUN(a_thread_never_waits_for_itself);
    RUN(the_exclusive_side_has_limits);
    RUN(a_pause_that_did_not_last_is_no_success);
    RUN(who_stays_long_can_see_that_somebody_waits);
    RUN(a_thread_that_ends_inside_is_a_lost_writer);
    RUN(a_share_is_lost_when_its_barrier_is_closed);
    RUN(a_pause_ends_when_its_barrier_is_closed);
    RUN(handles_of_one_barrier_are_one_barrier);
    RUN(every_errno_has_a_text);
}
