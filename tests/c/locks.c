/* Write locks that bring a share: when they do, when it ends, and what a failed attempt leaves. */
#include "locks.h"

#include <limits.h>

static void a_write_lock_brings_one_share(stillpoint *b)
{
    EACH_KIND(kind) {
        int fd = file("mailbox"), rival = file("mailbox");
        for (int wait = 0; wait <= 1; wait++) {
            EXPECT(wrapped(b, *kind, fd, WRITE, wait), 0);
            EXPECT(stillpoint_depth(b), 1);
            EXPECT(found(*kind, rival), 'w');
            EXPECT(wrapped(b, *kind, fd, WRITE, wait), 0);
            EXPECT(stillpoint_depth(b), 1);
            EXPECT(wrapped(b, *kind, fd, UNLOCK, wait), 0);
            EXPECT(stillpoint_depth(b), 0);
            EXPECT(found(*kind, rival), '-');
            EXPECT(wrapped(b, *kind, fd, UNLOCK, wait), 0);
        }
        EXPECT(seen_inside(), 0);
        close(fd);
        close(rival);
    }
}

static void a_read_lock_brings_none(stillpoint *b)
{
    EACH_KIND(kind) {
        int fd = file("mailbox"), rival = file("mailbox");
        EXPECT(wrapped(b, *kind, fd, READ, true), 0);
        EXPECT(stillpoint_depth(b), 0);
        EXPECT(found(*kind, rival), 'r');
        EXPECT(wrapped(b, *kind, fd, WRITE, true), 0);
        EXPECT(stillpoint_depth(b), 1);
        EXPECT(found(*kind, rival), 'w');
        EXPECT(wrapped(b, *kind, fd, READ, true), 0);
        EXPECT(stillpoint_depth(b), 0);
        EXPECT(found(*kind, rival), 'r');
        EXPECT(wrapped(b, *kind, fd, UNLOCK, true), 0);
        EXPECT(found(*kind, rival), '-');
        close(fd);
        close(rival);
    }
}

static void a_lock_within_a_share_is_one_more(stillpoint *b)
{
    EACH_KIND(kind) {
        int fd = file("mailbox"), other = file("index");
        EXPECT(stillpoint_lock_shared(b), 0);
        EXPECT(wrapped(b, *kind, fd, WRITE, true), 0);
        EXPECT(wrapped(b, *kind, other, WRITE, true), 0);
        EXPECT(stillpoint_depth(b), 3);
        EXPECT(wrapped(b, *kind, fd, UNLOCK, true), 0);
        EXPECT(wrapped(b, *kind, other, UNLOCK, true), 0);
        EXPECT(stillpoint_depth(b), 1);
        EXPECT(stillpoint_unlock_shared(b), 0);
        close(fd);
        close(other);
    }
}

static void a_failed_attempt_leaves_nothing_held(stillpoint *b)
{
    EACH_KIND(kind) {
        int fd = file("mailbox"), rival = file("mailbox");
        EXPECT(bare(*kind, rival, WRITE), 0);
        EXPECT(wrapped(b, *kind, fd, WRITE, false), -EAGAIN);
        EXPECT(stillpoint_depth(b), 0);
        EXPECT(wrapped(b, *kind, fd, READ, false), -EAGAIN);
        EXPECT(stillpoint_depth(b), 0);
        EXPECT(seen_inside(), 0);
        EXPECT(stillpoint_lock_exclusive(b, 5000, -1), 0);
        EXPECT(stillpoint_unlock_exclusive(b), 0);
        EXPECT(stillpoint_lock_shared(b), 0);
        EXPECT(wrapped(b, *kind, fd, WRITE, false), -EAGAIN);
        EXPECT(stillpoint_depth(b), 1);
        EXPECT(stillpoint_unlock_shared(b), 0);
        close(fd);
        close(rival);
    }
}

static void a_failed_upgrade_leaves_no_share(stillpoint *b)
{
    EACH_KIND(kind) {
        int fd = file("mailbox"), rival = file("mailbox");
        EXPECT(wrapped(b, *kind, fd, READ, true), 0);
        EXPECT(bare(*kind, rival, READ), 0);
        EXPECT(wrapped(b, *kind, fd, WRITE, false), -EAGAIN);
        EXPECT(stillpoint_depth(b), 0);
        EXPECT(bare(*kind, rival, UNLOCK), 0);
        /* flock(2) has lost the lock that it could not convert; fcntl(2) keeps it. */
        EXPECT(found(*kind, rival), *kind == FLOCK ? '-' : 'r');
        close(fd);
        close(rival);
    }
}

static void a_failed_downgrade_keeps_the_share_with_the_lock(stillpoint *b)
{
    char place[600];
    snprintf(place, sizeof place, "%s/%s-mailbox", folder, running);
    EACH_KIND(kind) {
        int rival = file("mailbox"), fd = open(place, O_WRONLY | O_CLOEXEC);
        EXPECT(wrapped(b, *kind, fd, WRITE, true), 0);
        if (*kind == FLOCK) {
            EXPECT(wrapped(b, *kind, fd, READ, true), 0);
        } else {
            /* fcntl(2) gives no read lock to a descriptor that cannot read, and keeps the old one. */
            EXPECT(wrapped(b, *kind, fd, READ, true), -EBADF);
            EXPECT(found(*kind, rival), 'w');
            EXPECT(stillpoint_depth(b), 1);
        }
        EXPECT(wrapped(b, *kind, fd, UNLOCK, true), 0);
        EXPECT(stillpoint_depth(b), 0);
        EXPECT(found(*kind, rival), '-');
        close(fd);
        close(rival);
    }
}

static void a_descriptor_that_cannot_write_brings_no_share(stillpoint *b)
{
    char place[600];
    snprintf(place, sizeof place, "%s/%s-mailbox", folder, running);
    int made = file("mailbox"), fd = open(place, O_RDONLY | O_CLOEXEC);
    EXPECT(wrapped(b, CLASSIC, fd, WRITE, true), -EBADF);
    EXPECT(wrapped(b, DESCRIPTION, fd, WRITE, true), -EBADF);
    EXPECT(stillpoint_depth(b), 0);
    close(fd);
    close(made);
}

static void a_closed_gate_comes_before_the_lock(stillpoint *b)
{
    struct worker tool;
    hire(&tool);
    EACH_KIND(kind) {
        int fd = file("mailbox"), rival = file("mailbox");
        EXPECT(ask(&tool, pause_all, b), 0);
        EXPECT(wrapped(b, *kind, fd, WRITE, false), -EAGAIN);
        EXPECT(stillpoint_depth(b), 0);
        EXPECT(found(*kind, rival), '-');
        /* Who only reads has nothing to do with the gate. */
        EXPECT(wrapped(b, *kind, fd, READ, true), 0);
        EXPECT(wrapped(b, *kind, fd, WRITE, false), -EAGAIN);
        EXPECT(found(*kind, rival), 'r');
        EXPECT(wrapped(b, *kind, fd, UNLOCK, true), 0);
        EXPECT(ask(&tool, resume_all, b), 0);
        close(fd);
        close(rival);
    }
    dismiss(&tool);
}

static int waiting_file;
static enum kind waiting_kind;

static int write_and_unlock(stillpoint *b)
{
    int result = wrapped(b, waiting_kind, waiting_file, WRITE, true);
    if (result == 0)
        result = wrapped(b, waiting_kind, waiting_file, UNLOCK, true);
    return result;
}

static void who_waits_at_the_gate_has_not_locked_the_file(stillpoint *b)
{
    struct worker tool, writer;
    hire(&tool);
    hire(&writer);
    EXPECT(ask(&writer, enter, b), 0);
    EXPECT(ask(&writer, leave, b), 0);
    for (int reads_before = 0; reads_before <= 1; reads_before++) {
        EACH_KIND(kind) {
            int rival = file("mailbox");
            waiting_file = file("mailbox");
            waiting_kind = *kind;
            if (reads_before)
                EXPECT(wrapped(b, *kind, waiting_file, READ, true), 0);
            EXPECT(ask(&tool, pause_all, b), 0);
            tell(&writer, write_and_unlock, b);
            UNTIL(seen("\"waiting_ms\":null") < seen("\"waiting_ms\":"));
            /* flock(2) would let go of the old lock anyway; fcntl(2) keeps it. */
            EXPECT(found(*kind, rival), reads_before && *kind != FLOCK ? 'r' : '-');
            EXPECT(ask(&tool, resume_all, b), 0);
            EXPECT(hear(&writer), 0);
            close(waiting_file);
            close(rival);
        }
    }
    dismiss(&tool);
    dismiss(&writer);
}

static void only_whole_files(stillpoint *b)
{
    int fd = file("mailbox");
    struct flock parts[] = {
        {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1},
        {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 5, .l_len = 0},
        {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = -1, .l_len = 0},
        {.l_type = F_WRLCK, .l_whence = SEEK_END, .l_start = 0, .l_len = 0},
        {.l_type = F_WRLCK, .l_whence = SEEK_CUR, .l_start = 0, .l_len = 0},
        {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1},
        {.l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1},
    };
    const int commands[] = {F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        for (size_t j = 0; j < sizeof commands / sizeof *commands; j++)
            EXPECT(stillpoint_fcntl_lock(b, fd, commands[j], &parts[i]), -ENOTSUP);
    EXPECT(stillpoint_depth(b), 0);
    close(fd);
}

static void a_question_is_passed_on(stillpoint *b)
{
    int fd = file("mailbox"), rival = file("mailbox");
    for (int ofd = 0; ofd <= 1; ofd++) {
        const int question = ofd ? F_OFD_GETLK : F_GETLK;
        struct flock asked = whole_file(WRITE);
        EXPECT(stillpoint_fcntl_lock(b, fd, question, &asked), 0);
        EXPECT(asked.l_type, F_UNLCK);
        EXPECT(bare(DESCRIPTION, rival, READ), 0);
        asked = whole_file(WRITE);
        EXPECT(stillpoint_fcntl_lock(b, fd, question, &asked), 0);
        EXPECT(asked.l_type, F_RDLCK);
        EXPECT(asked.l_pid, -1);
        /* A part of the file may be asked about. */
        asked = whole_file(WRITE);
        asked.l_len = 1;
        EXPECT(stillpoint_fcntl_lock(b, fd, question, &asked), 0);
        EXPECT(asked.l_type, F_RDLCK);
        EXPECT(bare(DESCRIPTION, rival, UNLOCK), 0);
        EXPECT(stillpoint_fcntl_lock(b, -1, question, &asked), -EBADF);
    }
    EXPECT(stillpoint_depth(b), 0);
    close(fd);
    close(rival);
}

static void what_makes_no_sense_is_refused(stillpoint *b)
{
    int fd = file("mailbox"), closed = file("mailbox");
    const int operations[] = {0, LOCK_NB, LOCK_EX | LOCK_SH, LOCK_EX | LOCK_UN, 64, -1, INT_MIN};
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        EXPECT(stillpoint_flock(b, fd, operations[i]), -EINVAL);
    struct flock whole = whole_file(WRITE), odd = whole_file(WRITE);
    odd.l_type = 77;
    EXPECT(stillpoint_fcntl_lock(b, fd, F_DUPFD, &whole), -EINVAL);
    EXPECT(stillpoint_fcntl_lock(b, fd, -1, &whole), -EINVAL);
    EXPECT(stillpoint_fcntl_lock(b, fd, F_SETLK, &odd), -EINVAL);
    EXPECT(stillpoint_fcntl_lock(b, fd, F_SETLK, NULL), -EINVAL);
    EXPECT(stillpoint_fcntl_lock(b, fd, F_GETLK, NULL), -EINVAL);
    close(closed);
    const int wrong[] = {-1, closed, INT_MAX, INT_MIN};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        EACH_KIND(kind) {
            EXPECT(wrapped(b, *kind, wrong[i], WRITE, true), -EBADF);
            EXPECT(wrapped(b, *kind, wrong[i], READ, true), -EBADF);
            EXPECT(wrapped(b, *kind, wrong[i], UNLOCK, true), -EBADF);
        }
        EXPECT(stillpoint_close_fd(b, wrong[i]), -EBADF);
    }
    EXPECT(stillpoint_depth(b), 0);
    close(fd);
}

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
    RUN(a_write_lock_brings_one_share);
    RUN(a_read_lock_brings_none);
    RUN(a_lock_within_a_share_is_one_more);
    RUN(a_failed_attempt_leaves_nothing_held);
    RUN(a_failed_upgrade_leaves_no_share);
    RUN(a_failed_downgrade_keeps_the_share_with_the_lock);
    RUN(a_descriptor_that_cannot_write_brings_no_share);
    RUN(a_closed_gate_comes_before_the_lock);
    RUN(who_waits_at_the_gate_has_not_locked_the_file);
    RUN(only_whole_files);
    RUN(a_question_is_passed_on);
    RUN(what_makes_no_sense_is_refused);
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
