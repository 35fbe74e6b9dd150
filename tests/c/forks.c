/* What a forked child has of its parent's: nothing but the handle. */
#include "check.h"

#include <grp.h>
#include <sys/resource.h>
#include <sys/stat.h>

static void a_child_holds_nothing(stillpoint *b)
{
    EXPECT(stillpoint_lock_shared(b), 0);
    EXPECT(stillpoint_lock_shared(b), 0);
    IN_CHILD({
        EXPECT(stillpoint_depth(b), 0);
        EXPECT(stillpoint_unlock_shared(b), -EPERM);
        stillpoint_assert_not_held(b);
        stillpoint_assert_idle(b);
        EXPECT(seen_inside(), 1);
        EXPECT(stillpoint_lock_shared(b), 0);
        EXPECT(stillpoint_lock_shared(b), 0);
        EXPECT(stillpoint_depth(b), 2);
        EXPECT(seen_inside(), 2);
        EXPECT(stillpoint_unlock_shared(b), 0);
        EXPECT(stillpoint_unlock_shared(b), 0);
        EXPECT(stillpoint_unlock_shared(b), -EPERM);
        EXPECT(stillpoint_should_yield(b), 0);
        EXPECT(stillpoint_dirty_epoch(b), 0);
    });
    EXPECT(stillpoint_depth(b), 2);
    EXPECT(seen_inside(), 1);
    EXPECT(stillpoint_unlock_shared(b), 0);
    EXPECT(stillpoint_unlock_shared(b), 0);
}

static void a_child_that_closes_takes_nothing_along(stillpoint *b)
{
    EXPECT(stillpoint_lock_shared(b), 0);
    IN_CHILD({
        stillpoint_close(b);
        EXPECT(stillpoint_lock_shared(b), -EBADF);
    });
    EXPECT(stillpoint_depth(b), 1);
    EXPECT(seen_inside(), 1);
    EXPECT(stillpoint_dirty_epoch(b), 0);
    EXPECT(stillpoint_unlock_shared(b), 0);
}

static void a_pause_is_not_inherited(stillpoint *b)
{
    EXPECT(stillpoint_lock_exclusive(b, 1000, -1), 0);
    IN_CHILD({
        EXPECT(stillpoint_unlock_exclusive(b), -EPERM);
        EXPECT(stillpoint_trylock_shared(b), -EAGAIN);
        EXPECT(stillpoint_lock_exclusive(b, 20, -1), -ETIMEDOUT);
    });
    IN_CHILD(stillpoint_close(b));
    EXPECT(stillpoint_unlock_exclusive(b), 0);
    /* The child has its turn afterwards, by the handle that its parent paused with. */
    EXPECT(stillpoint_lock_exclusive(b, 1000, -1), 0);
    int go[2];
    EXPECT(pipe(go), 0);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        HOLDS(read(go[0], &byte, 1) == 1);
        EXPECT(stillpoint_lock_exclusive(b, 5000, -1), 0);
        EXPECT(stillpoint_unlock_exclusive(b), 0);
        _exit(0);
    }
    EXPECT(stillpoint_unlock_exclusive(b), 0);
    HOLDS(write(go[1], "g", 1) == 1);
    ends_well(child);
    close(go[0]);
    close(go[1]);
}

static void children_deliver_side_by_side(stillpoint *b)
{
    pid_t children[4];
    for (int i = 0; i < 4; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            for (int round = 0; round < 1000; round++) {
                EXPECT(stillpoint_lock_shared(b), 0);
                EXPECT(stillpoint_unlock_shared(b), 0);
            }
            _exit(0);
        }
    }
    for (int round = 0; round < 20; round++) {
        EXPECT(stillpoint_lock_exclusive(b, 5000, -1), 0);
        EXPECT(stillpoint_unlock_exclusive(b), 0);
    }
    for (int i = 0; i < 4; i++)
        ends_well(children[i]);
}

static void a_child_that_is_killed_inside_is_a_lost_writer(stillpoint *b)
{
    int inside[2], status;
    EXPECT(pipe(inside), 0);
    pid_t child = fork();
    if (child == 0) {
        EXPECT(stillpoint_lock_shared(b), 0);
        HOLDS(write(inside[1], "i", 1) == 1);
        for (;;)
            pause();
    }
    char byte;
    HOLDS(read(inside[0], &byte, 1) == 1);
    EXPECT(kill(child, SIGKILL), 0);
    EXPECT(waitpid(child, &status, 0), child);
    EXPECT(stillpoint_lock_exclusive(b, 5000, -1), 0);
    EXPECT(stillpoint_unlock_exclusive(b), 0);
    EXPECT(stillpoint_dirty_epoch(b), 1);
    losses = 1;
    close(inside[0]);
    close(inside[1]);
}

static void become_nobody(void)
{
    HOLDS(setgroups(0, NULL) == 0 && setgid(65534) == 0 && setuid(65534) == 0);
}

static void change_root(void)
{
    char empty[600];
    snprintf(empty, sizeof empty, "%s/empty", folder);
    mkdir(empty, 0755);
    HOLDS(chroot(empty) == 0 && chdir("/") == 0);
}

static void a_confined_child_needs_to_have_joined(stillpoint *b)
{
    if (geteuid() != 0) {
        fprintf(stderr, "SKIPPED: %s: not root\n", running);
        HOLDS(getenv("CI") == NULL);
        return;
    }
    int fd = file("mailbox");
    void (*const ways[])(void) = {become_nobody, change_root};
    EXPECT(stillpoint_lock_shared(b), 0);
    for (int way = 0; way < 2; way++) {
        IN_CHILD({
            ways[way]();
            EXPECT(stillpoint_lock_shared(b), -ENOTCONN);
            EXPECT(stillpoint_trylock_shared(b), -ENOTCONN);
            EXPECT(stillpoint_timedlock_shared(b, 10), -ENOTCONN);
            EXPECT(stillpoint_lock_exclusive(b, 10, -1), -ENOTCONN);
            EXPECT(stillpoint_flock(b, fd, LOCK_EX), -ENOTCONN);
            EXPECT(stillpoint_join(b), -ENOTCONN);
            EXPECT(stillpoint_unlock_shared(b), -EPERM);
            EXPECT(stillpoint_depth(b), 0);
            stillpoint_assert_idle(b);
        });
        IN_CHILD({
            EXPECT(stillpoint_join(b), 0);
            EXPECT(stillpoint_join(b), 0);
            ways[way]();
            EXPECT(stillpoint_lock_shared(b), 0);
            EXPECT(stillpoint_flock(b, fd, LOCK_EX), 0);
            EXPECT(stillpoint_depth(b), 2);
            EXPECT(stillpoint_flock(b, fd, LOCK_UN), 0);
            EXPECT(stillpoint_unlock_shared(b), 0);
        });
    }
    EXPECT(stillpoint_unlock_shared(b), 0);
    close(fd);
}

/* What keeps a child from joining is said by its own name. */
static void a_child_is_told_what_stands_in_the_way(stillpoint *b)
{
    char path[600], aside[600];
    snprintf(path, sizeof path, "%s/told.barrier", folder);
    snprintf(aside, sizeof aside, "%s/told.aside", folder);
    stillpoint *told;
    EXPECT(stillpoint_open(path, STILLPOINT_CREATE, NULL, &told), 0);
    EXPECT(stillpoint_check(told), 0);
    struct rlimit few;
    HOLDS(getrlimit(RLIMIT_NOFILE, &few) == 0);
    few.rlim_cur = 3;
    IN_CHILD({
        HOLDS(setrlimit(RLIMIT_NOFILE, &few) == 0);
        EXPECT(stillpoint_lock_shared(told), -EMFILE);
    });
    HOLDS(rename(path, aside) == 0);
    EXPECT(stillpoint_check(told), -ENOENT);
    IN_CHILD({
        EXPECT(stillpoint_lock_shared(told), -ENOENT);
        EXPECT(stillpoint_join(told), -ENOENT);
    });
    HOLDS(rename(aside, path) == 0);
    EXPECT(stillpoint_check(told), 0);
    IN_CHILD({
        EXPECT(stillpoint_lock_shared(told), 0);
        EXPECT(stillpoint_unlock_shared(told), 0);
    });
    stillpoint_close(told);
    EXPECT(stillpoint_check(b), 0);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    RUN(a_child_holds_nothing);
    RUN(a_child_that_closes_takes_nothing_along);
    RUN(a_pause_is_not_inherited);
    RUN(children_deliver_side_by_side);
    RUN(a_child_that_is_killed_inside_is_a_lost_writer);
    RUN(a_confined_child_needs_to_have_joined);
    RUN(a_child_is_told_what_stands_in_the_way);
}
