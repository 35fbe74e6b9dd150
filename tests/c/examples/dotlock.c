/* Somebody else's dot-lock keeps nobody inside, and a pause keeps nobody's dot-lock. */
#include "../check.h"
#include "dotlock.example"

static char name[600];

static int lock_it(stillpoint *b) { return lock_mailbox(b, name, 60); }

static void nothing_is_held_while_somebody_else_has_it(stillpoint *b)
{
    struct worker other;
    snprintf(name, sizeof name, "%s/mailbox.lock", folder);
    EXPECT(lock_mailbox(b, name, 0), 0);
    EXPECT(stillpoint_depth(b), 1);
    unlock_mailbox(b, name);
    EXPECT(stillpoint_depth(b), 0);
    HOLDS(access(name, F_OK) != 0);

    /* One that a crash has left. */
    EXPECT(close(open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)), 0);
    EXPECT(lock_mailbox(b, name, 0), -EEXIST);
    EXPECT(stillpoint_depth(b), 0);
    hire(&other);
    tell(&other, lock_it, b);
    EXPECT(stillpoint_lock_exclusive(b, 20000, 20000), 0);
    EXPECT(unlink(name), 0);
    nap(1500);
    HOLDS(access(name, F_OK) != 0);
    EXPECT(stillpoint_unlock_exclusive(b), 0);
    EXPECT(hear(&other), 0);
    HOLDS(access(name, F_OK) == 0);
    EXPECT(ask(&other, depth, b), 1);
    EXPECT(ask(&other, leave, b), 0);
    dismiss(&other);
    EXPECT(lock_mailbox(b, "/nowhere/lock", 5), -ENOENT);
    EXPECT(stillpoint_depth(b), 0);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    RUN(nothing_is_held_while_somebody_else_has_it);
}
