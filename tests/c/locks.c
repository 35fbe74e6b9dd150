/* Write locks that bring a share: when they do, and what a failed attempt leaves. */
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
}
