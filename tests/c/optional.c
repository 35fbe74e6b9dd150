/* A handle for "none configured": it does nothing until the barrier is made, and is one like any other then. */
#include "locks.h"

#include <grp.h>
#include <sys/stat.h>

/* A barrier that is not there yet. */
static char later[550];

static stillpoint *without(void)
{
    stillpoint *b = NULL;
    snprintf(later, sizeof later, "%s/%s-later.barrier", folder, running);
    EXPECT(stillpoint_open(later, 0, NULL, &b), -ENOENT);
    EXPECT(stillpoint_open(later, STILLPOINT_OPTIONAL, "optional", &b), 0);
    HOLDS(b != NULL && access(later, F_OK) != 0);
    return b;
}

/* As an administrator makes it, after the program was started. */
static stillpoint *made(void)
{
    stillpoint *b;
    EXPECT(stillpoint_open(later, STILLPOINT_CREATE, NULL, &b), 0);
    return b;
}

static void the_functions_succeed_and_do_nothing(stillpoint *b)
{
    (void)b;
    stillpoint *none = without();
    EXPECT(stillpoint_lock_shared(none), 0);
    EXPECT(stillpoint_trylock_shared(none), 0);
    EXPECT(stillpoint_timedlock_shared(none, 10), 0);
    EXPECT(stillpoint_timedlock_shared(none, -1), -EINVAL);
    EXPECT((stillpoint_lock_shared)(none), 0);
    uint64_t cookie = 1;
    EXPECT(stillpoint_try_begin(none, &cookie), 0);
    EXPECT(cookie, 0);
    EXPECT(stillpoint_end(none, cookie), 0);
    EXPECT(stillpoint_end(none, 1), -EPERM);
    EXPECT(stillpoint_gate_fd(none), -ENOENT);
    EXPECT(stillpoint_depth(none), 0);
    for (int i = 0; i < 5; i++)
        EXPECT(stillpoint_unlock_shared(none), 0);
    EXPECT(stillpoint_should_yield(none), 0);
    EXPECT(stillpoint_join(none), 0);
    EXPECT(stillpoint_dirty_epoch(none), 0);
    EXPECT(stillpoint_check(none), -ENOENT);
    EXPECT(stillpoint_lock_shared(none), 0);
    stillpoint_assert_not_held(none);
    stillpoint_assert_idle(none);
    IN_CHILD(EXPECT(stillpoint_join(none), 0); EXPECT(stillpoint_lock_shared(none), 0);
             EXPECT(stillpoint_unlock_shared(none), 0));
    HOLDS(access(later, F_OK) != 0);
    stillpoint_close(none);
    EXPECT(stillpoint_lock_shared(none), -EBADF);
    EXPECT(stillpoint_unlock_shared(none), -EBADF);
    stillpoint_close(none);
}

static void a_pause_of_nothing_is_no_pause(stillpoint *b)
{
    (void)b;
    stillpoint *none = without();
    EXPECT(stillpoint_lock_exclusive(none, 100, 100), -ENOENT);
    EXPECT(stillpoint_unlock_exclusive(none), -EPERM);
    stillpoint *real = made();
    EXPECT(stillpoint_check(none), 0);
    EXPECT(stillpoint_lock_exclusive(none, 20000, 20000), 0);
    EXPECT(stillpoint_unlock_exclusive(none), 0);
    stillpoint_close(none);
    stillpoint_close(real);
}

static void locks_are_locked_as_without_the_library(stillpoint *b)
{
    (void)b;
    EACH_KIND(kind) {
        stillpoint *none = without();
        int fd = file("lock"), rival = file("lock");
        EXPECT(wrapped(none, *kind, fd, WRITE, true), 0);
        EXPECT(found(*kind, rival), 'w');
        EXPECT(wrapped(none, *kind, fd, READ, false), 0);
        EXPECT(found(*kind, rival), 'r');
        EXPECT(wrapped(none, *kind, fd, UNLOCK, true), 0);
        EXPECT(found(*kind, rival), '-');
        EXPECT(bare(*kind, rival, WRITE), 0);
        EXPECT(wrapped(none, *kind, fd, WRITE, false), -EAGAIN);
        EXPECT(close(rival), 0);
        rival = file("lock");
        EXPECT(wrapped(none, *kind, fd, WRITE, true), 0);
        EXPECT(stillpoint_close_fd(none, fd), 0);
        EXPECT(found(*kind, rival), '-');
        EXPECT(stillpoint_close_fd(none, fd), -EBADF);
        EXPECT(wrapped(none, *kind, fd, WRITE, true), -EBADF);
        EXPECT(close(rival), 0);
        stillpoint_close(none);
    }
    stillpoint *none = without();
    struct flock part = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    EXPECT(stillpoint_fcntl_lock(none, 0, F_SETLK, &part), -ENOTSUP);
    stillpoint_close(none);
}

static void a_share_finds_what_was_made_later(stillpoint *b)
{
    (void)b;
    stillpoint *none = without();
    EXPECT(stillpoint_lock_shared(none), 0);
    EXPECT(stillpoint_unlock_shared(none), 0);
    stillpoint *real = made();
    EXPECT(stillpoint_lock_shared(none), 0);
    EXPECT(stillpoint_depth(none), 1);
    EXPECT(stillpoint_depth(real), 1);
    EXPECT(stillpoint_lock_exclusive(real, 0, 100), -EDEADLK);
    EXPECT(stillpoint_unlock_shared(none), 0);
    EXPECT(stillpoint_depth(real), 0);
    stillpoint_close(none);
    stillpoint_close(real);
}

static void a_write_lock_finds_it_and_a_read_lock_does_not_look(stillpoint *b)
{
    (void)b;
    EACH_KIND(kind) {
        stillpoint *none = without();
        int fd = file("lock");
        stillpoint *real = made();
        EXPECT(wrapped(none, *kind, fd, READ, true), 0);
        EXPECT(wrapped(none, *kind, fd, UNLOCK, true), 0);
        EXPECT(stillpoint_depth(none), 0);
        EXPECT(wrapped(none, *kind, fd, WRITE, true), 0);
        EXPECT(stillpoint_depth(real), 1);
        EXPECT(stillpoint_close_fd(none, fd), 0);
        EXPECT(stillpoint_depth(real), 0);
        stillpoint_close(none);
        stillpoint_close(real);
        EXPECT(unlink(later), 0);
    }
}

/* What was begun without a barrier is ended when there is one, and another thread found it. */
static void what_was_begun_without_ends_well(stillpoint *b)
{
    (void)b;
    stillpoint *none = without();
    struct worker other;
    int fd = file("lock");
    EXPECT(stillpoint_lock_shared(none), 0);
    EXPECT(stillpoint_flock(none, fd, LOCK_EX), 0);
    stillpoint *real = made();
    hire(&other);
    EXPECT(ask(&other, enter, none), 0);
    EXPECT(stillpoint_depth(none), 0);
    EXPECT(stillpoint_lock_shared(none), 0);
    EXPECT(stillpoint_depth(none), 1);
    EXPECT(stillpoint_unlock_shared(none), 0);
    EXPECT(stillpoint_flock(none, fd, LOCK_UN), 0);
    EXPECT(stillpoint_unlock_shared(none), 0);
    EXPECT(stillpoint_depth(none), 0);
    EXPECT(ask(&other, depth, real), 1);
    EXPECT(ask(&other, leave, none), 0);
    /* Another handle was never without. */
    EXPECT(stillpoint_unlock_shared(real), -EPERM);
    dismiss(&other);
    EXPECT(stillpoint_close_fd(none, fd), 0);
    stillpoint_close(none);
    stillpoint_close(real);
}

#define THREADS 8

static pthread_barrier_t start;

static void *enter_and_stay(void *b)
{
    pthread_barrier_wait(&start);
    EXPECT(stillpoint_lock_shared(b), 0);
    EXPECT(stillpoint_depth(b), 1);
    pthread_barrier_wait(&start);
    pthread_barrier_wait(&start);
    EXPECT(stillpoint_unlock_shared(b), 0);
    return NULL;
}

static void threads_that_find_it_at_once_find_the_same(stillpoint *b)
{
    (void)b;
    for (int round = 0; round < 20; round++) {
        stillpoint *none = without(), *real = made();
        pthread_t threads[THREADS];
        pthread_barrier_init(&start, NULL, THREADS + 1);
        for (int i = 0; i < THREADS; i++)
            EXPECT(pthread_create(&threads[i], NULL, enter_and_stay, none), 0);
        pthread_barrier_wait(&start);
        pthread_barrier_wait(&start);
        EXPECT(stillpoint_lock_exclusive(real, 0, 100), -ETIMEDOUT);
        pthread_barrier_wait(&start);
        for (int i = 0; i < THREADS; i++)
            EXPECT(pthread_join(threads[i], NULL), 0);
        EXPECT(stillpoint_lock_exclusive(real, 20000, 20000), 0);
        EXPECT(stillpoint_trylock_shared(none), -EAGAIN);
        EXPECT(stillpoint_unlock_exclusive(real), 0);
        stillpoint_close(none);
        EXPECT(stillpoint_depth(real), 0);
        stillpoint_close(real);
        EXPECT(unlink(later), 0);
    }
}

static void a_child_finds_what_was_made_after_the_fork(stillpoint *b)
{
    (void)b;
    stillpoint *none = without(), *real;
    int go[2];
    HOLDS(pipe(go) == 0);
    pid_t child = fork();
    HOLDS(child >= 0);
    if (child == 0) {
        char word;
        HOLDS(read(go[0], &word, 1) == 1);
        EXPECT(stillpoint_lock_shared(none), 0);
        EXPECT(stillpoint_depth(none), 1);
        EXPECT(stillpoint_unlock_shared(none), 0);
        _exit(0);
    }
    real = made();
    HOLDS(write(go[1], "g", 1) == 1);
    ends_well(child);
    close(go[0]);
    close(go[1]);
    stillpoint_close(none);
    stillpoint_close(real);
}

static void a_path_is_that_of_the_folder_it_was_opened_in(stillpoint *b)
{
    (void)b;
    stillpoint *none;
    char here[500];
    HOLDS(getcwd(here, sizeof here) != NULL && chdir(folder) == 0);
    EXPECT(stillpoint_open("./elsewhere.barrier", STILLPOINT_OPTIONAL, NULL, &none), 0);
    HOLDS(chdir("/") == 0);
    snprintf(later, sizeof later, "%s/elsewhere.barrier", folder);
    stillpoint *real = made();
    EXPECT(stillpoint_lock_shared(none), 0);
    EXPECT(stillpoint_depth(real), 1);
    EXPECT(stillpoint_unlock_shared(none), 0);
    HOLDS(chdir(here) == 0);
    stillpoint_close(none);
    stillpoint_close(real);
}

/* Only a missing barrier is none. */
static void what_is_there_and_cannot_be_opened_is_an_error(stillpoint *b)
{
    (void)b;
    stillpoint *none = without(), *second;
    int fd = file("lock");
    FILE *garbage = fopen(later, "w");
    HOLDS(garbage && fputs("not a barrier\n", garbage) >= 0 && fclose(garbage) == 0);
    EXPECT(stillpoint_open(later, STILLPOINT_OPTIONAL, NULL, &second), -EBADMSG);
    HOLDS(second == NULL);
    EXPECT(stillpoint_open("", STILLPOINT_OPTIONAL, NULL, &second), -EINVAL);
    EXPECT(stillpoint_lock_shared(none), -EBADMSG);
    EXPECT(stillpoint_flock(none, fd, LOCK_EX), -EBADMSG);
    EXPECT(stillpoint_unlock_shared(none), 0);
    HOLDS(unlink(later) == 0);
    EXPECT(stillpoint_lock_shared(none), 0);
    EXPECT(stillpoint_unlock_shared(none), 0);
    if (geteuid() == 0) {
        stillpoint *real = made();
        HOLDS(chmod(later, 0600) == 0);
        IN_CHILD({
            HOLDS(setgroups(0, NULL) == 0 && setgid(65534) == 0 && setuid(65534) == 0);
            EXPECT(stillpoint_lock_shared(none), -EACCES);
        });
        stillpoint_close(real);
    }
    EXPECT(stillpoint_close_fd(none, fd), 0);
    stillpoint_close(none);
}

static void where_there_is_one_the_flag_changes_nothing(stillpoint *b)
{
    stillpoint *one;
    EXPECT(stillpoint_open(path, STILLPOINT_OPTIONAL, NULL, &one), 0);
    EXPECT(stillpoint_unlock_shared(one), -EPERM);
    EXPECT(stillpoint_lock_shared(one), 0);
    EXPECT(stillpoint_depth(b), 1);
    EXPECT(stillpoint_unlock_shared(one), 0);
    stillpoint_close(one);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    RUN(the_functions_succeed_and_do_nothing);
    RUN(a_pause_of_nothing_is_no_pause);
    RUN(locks_are_locked_as_without_the_library);
    RUN(a_share_finds_what_was_made_later);
    RUN(a_write_lock_finds_it_and_a_read_lock_does_not_look);
    RUN(what_was_begun_without_ends_well);
    RUN(threads_that_find_it_at_once_find_the_same);
    RUN(a_child_finds_what_was_made_after_the_fork);
    RUN(a_path_is_that_of_the_folder_it_was_opened_in);
    RUN(what_is_there_and_cannot_be_opened_is_an_error);
    RUN(where_there_is_one_the_flag_changes_nothing);
}
