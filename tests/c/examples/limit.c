/* The limit ends the wait for the lock, also where it went off at the gate already. */
#include "../check.h"
#include "limit.example"

static int fd;

static void the_limit_ends_the_wait(stillpoint *b)
{
    int other = file("mailbox");
    fd = file("mailbox");
    EXPECT(lock_within(b, fd, 5), 0);
    EXPECT(stillpoint_depth(b), 1);
    EXPECT(stillpoint_flock(b, fd, LOCK_UN), 0);
    EXPECT(flock(other, LOCK_EX), 0);
    EXPECT(lock_within(b, fd, 1), -EINTR);
    EXPECT(stillpoint_depth(b), 0);
    EXPECT(close(other), 0);
    EXPECT(stillpoint_close_fd(b, fd), 0);
}

static void it_ends_it_after_a_wait_at_the_gate(stillpoint *b)
{
    int other = file("mailbox"), word[2];
    fd = file("mailbox");
    EXPECT(flock(other, LOCK_EX), 0);
    EXPECT(stillpoint_lock_exclusive(b, 20000, 30000), 0);
    HOLDS(pipe(word) == 0);
    pid_t child = fork();
    HOLDS(child >= 0);
    if (child == 0) {
        EXPECT(lock_within(b, fd, 1), -EINTR);
        EXPECT(stillpoint_depth(b), 0);
        _exit(0);
    }
    nap(2500);
    EXPECT(waitpid(child, NULL, WNOHANG), 0);
    EXPECT(stillpoint_unlock_exclusive(b), 0);
    ends_well(child);
    close(other);
    EXPECT(stillpoint_close_fd(b, fd), 0);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    RUN(the_limit_ends_the_wait);
    RUN(it_ends_it_after_a_wait_at_the_gate);
}
