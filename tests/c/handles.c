/* Opening, and handles that are none: each function answers with an errno, and follows nothing. */
#include "check.h"

#include <grp.h>
#include <stdint.h>

/* Every function that takes a handle, and what it answers to a wrong one. */
static void refused(stillpoint *wrong, int error)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    uint64_t cookie;
    int fd = file("refused");
    EXPECT(stillpoint_join(wrong), error);
    EXPECT(stillpoint_check(wrong), error);
    EXPECT(stillpoint_lock_shared(wrong), error);
    EXPECT(stillpoint_trylock_shared(wrong), error);
    EXPECT(stillpoint_timedlock_shared(wrong, 10), error);
    EXPECT(stillpoint_unlock_shared(wrong), error);
    EXPECT(stillpoint_begin(wrong, &cookie), error);
    EXPECT(stillpoint_try_begin(wrong, &cookie), error);
    EXPECT(stillpoint_timed_begin(wrong, 10, &cookie), error);
    EXPECT(stillpoint_end(wrong, cookie), error);
    EXPECT(stillpoint_gate_fd(wrong), error);
    EXPECT(stillpoint_depth(wrong), error);
    EXPECT(stillpoint_should_yield(wrong), error);
    EXPECT(stillpoint_lock_exclusive(wrong, 10, 10), error);
    EXPECT(stillpoint_unlock_exclusive(wrong), error);
    EXPECT(stillpoint_flock(wrong, fd, LOCK_EX), error);
    EXPECT(stillpoint_flock(wrong, fd, LOCK_UN), error);
    EXPECT(stillpoint_fcntl_lock(wrong, fd, F_SETLK, &whole), error);
    EXPECT(stillpoint_fcntl_lock(wrong, fd, F_GETLK, &whole), error);
    EXPECT(stillpoint_close_fd(wrong, fd), error);
    EXPECT(stillpoint_dirty_epoch(wrong), 0);
    stillpoint_assert_not_held(wrong);
    stillpoint_assert_idle(wrong);
    stillpoint_close(wrong);
    EXPECT(close(fd), 0);
}

static void null_is_no_handle(stillpoint *b)
{
    (void)b;
    refused(NULL, -EINVAL);
}

static void a_made_up_handle_is_not_followed(stillpoint *b)
{
    int here;
    uintptr_t real = (uintptr_t)b;
    uintptr_t wrong[] = {1,        8,         4096,           real + 1,       real + 8,      real - 1,
                         real + 64, real + 128, real + (1 << 20), real - (1 << 20), UINTPTR_MAX, UINTPTR_MAX - 63,
                         (uintptr_t)1 << 63, (uintptr_t)&here};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        refused((stillpoint *)wrong[i], -EBADF);
    EXPECT(stillpoint_lock_shared(b), 0);
    EXPECT(stillpoint_unlock_shared(b), 0);
}

static void a_closed_handle_is_none(stillpoint *b)
{
    EXPECT(stillpoint_lock_shared(b), 0);
    EXPECT(stillpoint_unlock_shared(b), 0);
    stillpoint_close(b);
    refused(b, -EBADF);
    stillpoint_close(b);
    stillpoint_close(NULL);
}

/* Always at one line, which is the fast way. */
static void share(stillpoint *b)
{
    EXPECT(enter(b), 0);
    EXPECT(seen_inside(), 1);
    EXPECT(stillpoint_depth(b), 1);
    EXPECT(stillpoint_unlock_shared(b), 0);
    EXPECT(seen_inside(), 0);
}

/* The barrier goes on by another handle, and the place of the closed one is used again. */
static void nor_is_the_one_that_was_used_last(stillpoint *b)
{
    char elsewhere[600];
    stillpoint *last, *again;
    snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere.barrier", folder);
    share(b);
    EXPECT(stillpoint_open(path, 0, NULL, &last), 0);
    share(last);
    stillpoint_close(last);
    EXPECT(enter(last), -EBADF);
    EXPECT(enter(b), 0);
    EXPECT(stillpoint_unlock_shared(last), -EBADF);
    EXPECT(stillpoint_unlock_shared(b), 0);
    refused(last, -EBADF);
    share(b);
    EXPECT(stillpoint_open(path, 0, NULL, &last), 0);
    share(last);
    EXPECT(stillpoint_lock_shared(b), 0);
    EXPECT(stillpoint_unlock_shared(last), 0);
    stillpoint_close(last);
    EXPECT(stillpoint_open(elsewhere, STILLPOINT_CREATE, NULL, &again), 0);
    HOLDS(again == last);
    EXPECT(stillpoint_lock_shared(again), 0);
    EXPECT(seen_inside(), 0);
    EXPECT(stillpoint_depth(b), 0);
    EXPECT(stillpoint_unlock_shared(b), -EPERM);
    EXPECT(stillpoint_unlock_shared(again), 0);
    stillpoint_close(again);
    share(b);
}

#define HANDLES 1024

static void handles_are_many_but_not_endless(stillpoint *b)
{
    static stillpoint *all[HANDLES];
    int opened = 1, result;
    all[0] = b;
    do {
        stillpoint *one;
        result = stillpoint_open(path, 0, NULL, &one);
        if (result == 0)
            all[opened++] = one;
        else
            HOLDS(one == NULL);
    } while (result == 0 && opened < HANDLES + 1);
    EXPECT(result, -EMFILE);
    EXPECT(opened, HANDLES);
    EXPECT(stillpoint_lock_shared(all[HANDLES - 1]), 0);
    EXPECT(stillpoint_unlock_shared(all[500]), 0);
    for (int i = 1; i < HANDLES; i++)
        stillpoint_close(all[i]);
    EXPECT(stillpoint_depth(b), 0);
}

static int open_at(const char *name, unsigned flags)
{
    stillpoint *opened = (stillpoint *)&opened;
    int result = stillpoint_open(name, flags, NULL, &opened);
    HOLDS((result == 0) == (opened != NULL));
    if (result == 0)
        stillpoint_close(opened);
    return result;
}

static void opening_says_what_is_wrong(stillpoint *b)
{
    char name[600];
    (void)b;
    EXPECT(open_at(NULL, 0), -EINVAL);
    EXPECT(stillpoint_open(path, 0, NULL, NULL), -EINVAL);
    EXPECT(open_at("", 0), -EINVAL);
    EXPECT(open_at(path, 0), 0);
    EXPECT(open_at(path, STILLPOINT_CREATE), 0);
    snprintf(name, sizeof name, "%s/missing.barrier", folder);
    EXPECT(open_at(name, 0), -ENOENT);
    EXPECT(open_at("no-such-barrier", 0), -ENOENT);
    snprintf(name, sizeof name, "%s/empty.barrier", folder);
    FILE *empty = fopen(name, "w");
    HOLDS(empty && fputs("not a barrier\n", empty) >= 0 && fclose(empty) == 0);
    EXPECT(open_at(name, 0), -EBADMSG);
    EXPECT(open_at(folder, 0), -EBADMSG);
}

static void flags_that_nobody_knows_are_refused(stillpoint *b)
{
    (void)b;
    for (unsigned bit = 2; bit < 24; bit++)
        EXPECT(open_at(path, 1u << bit), -EINVAL);
    EXPECT(open_at(path, STILLPOINT_CREATE | STILLPOINT_OPTIONAL), -EINVAL);
}

/* As a program would that was compiled with another header. */
static int open_by_header(unsigned interface)
{
    stillpoint *opened;
    int result = (stillpoint_open)(path, interface << 24, NULL, &opened);
    HOLDS((result == 0) == (opened != NULL));
    stillpoint_close(opened);
    return result;
}

static void another_headers_interface_is_refused(stillpoint *b)
{
    (void)b;
    EXPECT(open_by_header(0), 0);
    EXPECT(open_by_header(STILLPOINT_INTERFACE), 0);
    EXPECT(open_by_header(STILLPOINT_INTERFACE + 1), -EPROTONOSUPPORT);
    EXPECT(open_by_header(255), -EPROTONOSUPPORT);
}

static void a_user_without_permission_is_told_so(stillpoint *b)
{
    (void)b;
    if (geteuid() != 0) {
        fprintf(stderr, "SKIPPED: %s: not root\n", running);
        HOLDS(getenv("CI") == NULL);
        return;
    }
    IN_CHILD({
        HOLDS(setgroups(0, NULL) == 0 && setgid(65534) == 0 && setuid(65534) == 0);
        EXPECT(open_at(path, 0), -EACCES);
    });
}

static void a_label_may_be_anything(stillpoint *b)
{
    static const char *const labels[] = {"", "imapd", "\xff\xfe", "a label that is much longer than there is room for"};
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) {
        stillpoint *labelled;
        EXPECT(stillpoint_open(path, 0, labels[i], &labelled), 0);
        EXPECT(stillpoint_lock_shared(labelled), 0);
        EXPECT(seen_inside(), 1);
        EXPECT(stillpoint_unlock_shared(labelled), 0);
        stillpoint_close(labelled);
    }
    (void)b;
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    RUN(null_is_no_handle);
    RUN(a_made_up_handle_is_not_followed);
    RUN(a_closed_handle_is_none);
    RUN(nor_is_the_one_that_was_used_last);
    RUN(handles_are_many_but_not_endless);
    RUN(opening_says_what_is_wrong);
    RUN(flags_that_nobody_knows_are_refused);
    RUN(another_headers_interface_is_refused);
    RUN(a_user_without_permission_is_told_so);
    RUN(a_label_may_be_anything);
}
