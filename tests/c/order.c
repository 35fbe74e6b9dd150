/*
 * The order of share and lock, seen at the system calls: the program's own flock, fcntl and close
 * stand before the C library's, look around, and pass the call on.
 */
#include "locks.h"

#include <stdarg.h>
#include <sys/syscall.h>

static stillpoint *watched;
/* What was seen at each call: the depth of the share, and how many writers are inside from outside. */
static int seen_depth, seen_outside, calls;

static void look(void)
{
    if (watched == NULL)
        return;
    stillpoint *b = watched;
    watched = NULL;
    seen_depth = stillpoint_depth(b);
    seen_outside = seen_inside();
    calls++;
    watched = b;
}

int flock(int fd, int operation)
{
    look();
    return (int)syscall(SYS_flock, fd, operation);
}

static int pass_fcntl(int fd, int command, void *argument)
{
    if (command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK || command == F_OFD_SETLKW)
        look();
    return (int)syscall(SYS_fcntl, fd, command, argument);
}

#define INTERPOSED(name)                             \
    int name(int fd, int command, ...)               \
    {                                                \
        va_list arguments;                           \
        va_start(arguments, command);                \
        void *argument = va_arg(arguments, void *);  \
        va_end(arguments);                           \
        return pass_fcntl(fd, command, argument);    \
    }

INTERPOSED(fcntl)
int fcntl64(int fd, int command, ...);
INTERPOSED(fcntl64)

static int closing = -1;

int close(int fd)
{
    if (fd == closing)
        look();
    return (int)syscall(SYS_close, fd);
}

static void calls_with_a_share(int count)
{
    EXPECT(calls, count);
    EXPECT(seen_depth, 1);
    EXPECT(seen_outside, 1);
    calls = seen_depth = seen_outside = 0;
}

static void the_share_is_outermost(stillpoint *b)
{
    /* The thread's first share joins, which locks bytes of the barrier. */
    EXPECT(stillpoint_lock_shared(b), 0);
    EXPECT(stillpoint_unlock_shared(b), 0);
    /* The first lock by a descriptor, and later ones, which take another way. */
    EACH_KIND(kind) {
        int fd = file("mailbox");
        for (int round = 0; round < 2; round++) {
            watched = b;
            EXPECT(wrapped(b, *kind, fd, WRITE, true), 0);
            calls_with_a_share(1);
            EXPECT(wrapped(b, *kind, fd, UNLOCK, true), 0);
            calls_with_a_share(1);
            EXPECT(wrapped(b, *kind, fd, READ, true), 0);
            EXPECT(calls, 1);
            EXPECT(seen_depth, 0);
            calls = 0;
            EXPECT(wrapped(b, *kind, fd, WRITE, true), 0);
            calls_with_a_share(1);
            EXPECT(wrapped(b, *kind, fd, READ, true), 0);
            calls_with_a_share(1);
            watched = NULL;
            EXPECT(wrapped(b, *kind, fd, UNLOCK, true), 0);
        }
        EXPECT(wrapped(b, *kind, fd, WRITE, true), 0);
        watched = b;
        closing = fd;
        EXPECT(stillpoint_close_fd(b, fd), 0);
        closing = -1;
        calls_with_a_share(1);
        watched = NULL;
        EXPECT(stillpoint_depth(b), 0);
    }
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    RUN(the_share_is_outermost);
}
