/* When the share of a write lock ends: by which descriptor, which thread and which process. */
#include "locks.h"

static void a_classic_lock_ends_by_any_descriptor_of_the_file(stillpoint *b)
{
    int fd = file("mailbox"), same = file("mailbox"), other = file("index"), rival = file("mailbox");
    EXPECT(wrapped(b, CLASSIC, fd, WRITE, true), 0);
    EXPECT(wrapped(b, CLASSIC, other, WRITE, true), 0);
    EXPECT(stillpoint_depth(b), 2);
    EXPECT(wrapped(b, CLASSIC, same, UNLOCK, true), 0);
    EXPECT(stillpoint_depth(b), 1);
    EXPECT(found(CLASSIC, rival), '-');
    EXPECT(wrapped(b, CLASSIC, fd, WRITE, true), 0);
    EXPECT(stillpoint_depth(b), 2);
    EXPECT(stillpoint_close_fd(b, same), 0);
    EXPECT(stillpoint_depth(b), 1);
    EXPECT(found(CLASSIC, rival), '-');
    EXPECT(wrapped(b, CLASSIC, other, UNLOCK, true), 0);
    EXPECT(stillpoint_depth(b), 0);
    close(fd);
    close(other);
    close(rival);
}

/* The search for such descriptors must know of the highest, however that came to have its lock. */
static void a_classic_lock_ends_by_a_lower_descriptor(stillpoint *b)
{
    int first = file("mailbox"), rival = file("mailbox"), high = fcntl(first, F_DUPFD, 500);
    EXPECT(wrapped(b, FLOCK, first, WRITE, true), 0);
    EXPECT(wrapped(b, FLOCK, first, UNLOCK, true), 0);
    EXPECT(wrapped(b, CLASSIC, high, WRITE, true), 0);
    EXPECT(stillpoint_close_fd(b, rival), 0);
    EXPECT(stillpoint_depth(b), 0);
    close(first);
    close(high);
}

static void an_ofd_lock_ends_by_its_own_descriptor(stillpoint *b)
{
    int fd = file("mailbox"), same = file("mailbox");
    EXPECT(wrapped(b, DESCRIPTION, fd, WRITE, true), 0);
    EXPECT(wrapped(b, DESCRIPTION, same, UNLOCK, true), 0);
    EXPECT(stillpoint_close_fd(b, same), 0);
    EXPECT(stillpoint_depth(b), 1);
    EXPECT(wrapped(b, DESCRIPTION, fd, UNLOCK, true), 0);
    EXPECT(stillpoint_depth(b), 0);
    close(fd);
}

static void closing_gives_the_share_back(stillpoint *b)
{
    EACH_KIND(kind) {
        int fd = file("mailbox"), rival = file("mailbox");
        EXPECT(wrapped(b, *kind, fd, WRITE, true), 0);
        EXPECT(stillpoint_close_fd(b, fd), 0);
        EXPECT(stillpoint_depth(b), 0);
        EXPECT(found(*kind, rival), '-');
        EXPECT(stillpoint_close_fd(b, fd), -EBADF);
        EXPECT(stillpoint_depth(b), 0);
        EXPECT(stillpoint_close_fd(b, rival), 0);
    }
}

static void several_kinds_by_one_descriptor(stillpoint *b)
{
    int fd = file("mailbox");
    EXPECT(wrapped(b, FLOCK, fd, WRITE, true), 0);
    EXPECT(wrapped(b, DESCRIPTION, fd, WRITE, true), 0);
    EXPECT(stillpoint_depth(b), 2);
    EXPECT(wrapped(b, FLOCK, fd, UNLOCK, true), 0);
    EXPECT(stillpoint_depth(b), 1);
    EXPECT(wrapped(b, FLOCK, fd, WRITE, true), 0);
    EXPECT(stillpoint_close_fd(b, fd), 0);
    EXPECT(stillpoint_depth(b), 0);
}

/* close(2) says nothing to the library: the share stays until the number is unlocked or closed by it. */
static void a_plain_close_leaves_the_share(stillpoint *b)
{
    EACH_KIND(kind) {
        int fd = file("mailbox");
        EXPECT(wrapped(b, *kind, fd, WRITE, true), 0);
        close(fd);
        EXPECT(stillpoint_depth(b), 1);
        EXPECT(wrapped(b, *kind, fd, UNLOCK, true), -EBADF);
        EXPECT(stillpoint_depth(b), 0);

        fd = file("mailbox");
        EXPECT(wrapped(b, *kind, fd, WRITE, true), 0);
        close(fd);
        EXPECT(stillpoint_close_fd(b, fd), -EBADF);
        EXPECT(stillpoint_depth(b), 0);

        fd = file("mailbox");
        EXPECT(wrapped(b, *kind, fd, WRITE, true), 0);
        close(fd);
        /* The number is used again, by a file whose lock then has that share. */
        EXPECT(file("index"), fd);
        EXPECT(wrapped(b, *kind, fd, WRITE, true), 0);
        EXPECT(stillpoint_depth(b), 1);
        EXPECT(wrapped(b, *kind, fd, UNLOCK, true), 0);
        EXPECT(stillpoint_depth(b), 0);
        close(fd);
    }
}

/* A copy leads to the same lock; the share goes with the number by which it was locked. */
static void a_copy_of_the_descriptor(stillpoint *b)
{
    int fd = file("mailbox"), copy = dup(fd), rival = file("mailbox");
    EXPECT(wrapped(b, FLOCK, fd, WRITE, true), 0);
    EXPECT(wrapped(b, FLOCK, copy, UNLOCK, true), 0);
    EXPECT(found(FLOCK, rival), '-');
    EXPECT(stillpoint_depth(b), 1);
    EXPECT(wrapped(b, FLOCK, fd, UNLOCK, true), 0);
    EXPECT(stillpoint_depth(b), 0);
    /* By either number: one share each. */
    EXPECT(wrapped(b, FLOCK, fd, WRITE, true), 0);
    EXPECT(wrapped(b, FLOCK, copy, WRITE, true), 0);
    EXPECT(stillpoint_depth(b), 2);
    EXPECT(stillpoint_close_fd(b, copy), 0);
    EXPECT(stillpoint_depth(b), 1);
    EXPECT(found(FLOCK, rival), 'w');
    EXPECT(stillpoint_close_fd(b, fd), 0);
    EXPECT(stillpoint_depth(b), 0);
    EXPECT(found(FLOCK, rival), '-');
    close(rival);
}

static int shared_file;
static enum kind shared_kind;
static int lock_it(stillpoint *b) { return wrapped(b, shared_kind, shared_file, WRITE, false); }
static int read_it(stillpoint *b) { return wrapped(b, shared_kind, shared_file, READ, false); }
static int unlock_it(stillpoint *b) { return wrapped(b, shared_kind, shared_file, UNLOCK, false); }
static int close_it(stillpoint *b) { return stillpoint_close_fd(b, shared_file); }

/* As flock(2) and fcntl(2) have it. What a lock brought is the thread's that asked for it. */
static void another_thread_by_the_same_number(stillpoint *b)
{
    struct worker other;
    hire(&other);
    EACH_KIND(kind) {
        int rival = file("mailbox");
        shared_file = file("mailbox");
        shared_kind = *kind;
        EXPECT(lock_it(b), 0);
        EXPECT(ask(&other, lock_it, b), 0);
        EXPECT(ask(&other, depth, b), 1);
        EXPECT(stillpoint_depth(b), 1);
        /* The one ends the lock of both, and not the other's share. */
        EXPECT(ask(&other, unlock_it, b), 0);
        EXPECT(ask(&other, depth, b), 0);
        EXPECT(found(*kind, rival), '-');
        EXPECT(stillpoint_depth(b), 1);
        EXPECT(ask(&other, read_it, b), 0);
        EXPECT(ask(&other, unlock_it, b), 0);
        EXPECT(stillpoint_depth(b), 1);
        EXPECT(unlock_it(b), 0);
        EXPECT(stillpoint_depth(b), 0);
        /* One after the other, and closed by one who did not lock it. */
        EXPECT(ask(&other, lock_it, b), 0);
        EXPECT(close_it(b), 0);
        EXPECT(found(*kind, rival), '-');
        EXPECT(ask(&other, depth, b), 1);
        EXPECT(ask(&other, close_it, b), -EBADF);
        EXPECT(ask(&other, depth, b), 0);
        close(rival);
    }
    dismiss(&other);
}

/* A thread that ended with a lock is a lost writer; the file can be unlocked by any thread then. */
static void the_lock_of_a_thread_that_has_ended(stillpoint *b)
{
    int rival = file("mailbox");
    shared_file = file("mailbox");
    shared_kind = FLOCK;
    struct worker other;
    hire(&other);
    EXPECT(ask(&other, lock_it, b), 0);
    dismiss(&other);
    losses = 1;
    EXPECT(stillpoint_dirty_epoch(b), 1);
    EXPECT(found(FLOCK, rival), 'w');
    EXPECT(unlock_it(b), 0);
    EXPECT(found(FLOCK, rival), '-');
    EXPECT(stillpoint_depth(b), 0);
    EXPECT(lock_it(b), 0);
    EXPECT(stillpoint_depth(b), 1);
    EXPECT(unlock_it(b), 0);
    close(shared_file);
    close(rival);
}

static void a_file_of_two_barriers(stillpoint *b)
{
    char place[600];
    stillpoint *second;
    snprintf(place, sizeof place, "%s/second.barrier", folder);
    EXPECT(stillpoint_open(place, STILLPOINT_CREATE, NULL, &second), 0);
    EACH_KIND(kind) {
        int fd = file("mailbox");
        EXPECT(wrapped(b, *kind, fd, WRITE, true), 0);
        EXPECT(wrapped(second, *kind, fd, WRITE, true), 0);
        EXPECT(stillpoint_depth(b), 1);
        EXPECT(stillpoint_depth(second), 1);
        EXPECT(wrapped(second, *kind, fd, UNLOCK, true), 0);
        EXPECT(stillpoint_depth(b), 1);
        EXPECT(stillpoint_depth(second), 0);
        EXPECT(wrapped(b, *kind, fd, UNLOCK, true), 0);
        EXPECT(stillpoint_depth(b), 0);
        /* Closed by one handle it is closed for all. */
        EXPECT(wrapped(b, *kind, fd, WRITE, true), 0);
        EXPECT(wrapped(second, *kind, fd, WRITE, true), 0);
        EXPECT(stillpoint_close_fd(second, fd), 0);
        EXPECT(stillpoint_depth(b), 0);
        EXPECT(stillpoint_depth(second), 0);
        fd = file("mailbox");
        EXPECT(wrapped(b, *kind, fd, WRITE, true), 0);
        EXPECT(stillpoint_close_fd(second, fd), 0);
        EXPECT(stillpoint_depth(b), 0);
    }
    stillpoint_close(second);
}

static void in_a_forked_child(stillpoint *b)
{
    EACH_KIND(kind) {
        int fd = file("mailbox"), rival = file("mailbox");
        EXPECT(wrapped(b, *kind, fd, WRITE, true), 0);
        /* The child has its parent's descriptor, and neither its share nor its classic lock. */
        IN_CHILD({
            EXPECT(stillpoint_depth(b), 0);
            EXPECT(wrapped(b, *kind, fd, WRITE, false), *kind == CLASSIC ? -EAGAIN : 0);
            EXPECT(stillpoint_depth(b), *kind != CLASSIC);
            EXPECT(seen_inside(), *kind == CLASSIC ? 1 : 2);
            if (*kind != CLASSIC)
                EXPECT(stillpoint_unlock_shared(b), 0);
            EXPECT(close(fd), 0);
        });
        EXPECT(stillpoint_depth(b), 1);
        EXPECT(found(*kind, rival), 'w');
        IN_CHILD(EXPECT(stillpoint_close_fd(b, fd), 0));
        EXPECT(found(*kind, rival), 'w');
        EXPECT(stillpoint_depth(b), 1);
        /* Unlocking does in the child what the system call does there. */
        IN_CHILD(EXPECT(wrapped(b, *kind, fd, UNLOCK, true), 0));
        EXPECT(found(*kind, rival), *kind == CLASSIC ? 'w' : '-');
        EXPECT(stillpoint_depth(b), 1);
        EXPECT(wrapped(b, *kind, fd, UNLOCK, true), 0);
        EXPECT(stillpoint_depth(b), 0);
        close(fd);
        close(rival);
    }
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    RUN(a_classic_lock_ends_by_any_descriptor_of_the_file);
    RUN(a_classic_lock_ends_by_a_lower_descriptor);
    RUN(an_ofd_lock_ends_by_its_own_descriptor);
    RUN(closing_gives_the_share_back);
    RUN(several_kinds_by_one_descriptor);
    RUN(a_plain_close_leaves_the_share);
    RUN(a_copy_of_the_descriptor);
    RUN(another_thread_by_the_same_number);
    RUN(the_lock_of_a_thread_that_has_ended);
    RUN(a_file_of_two_barriers);
    RUN(in_a_forked_child);
}
