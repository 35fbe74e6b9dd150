/*
 * Locks taken, kept and lost in every way that programs know. At each step the program says whether the kernel holds
 * a write lock for it now, "held" or "free", and goes on when it reads a line: whoever wants the exclusive side is to
 * find the same.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
static const char *file, *self;

#define EXPECT(what)                                                                              \
    do {                                                                                          \
        if (!(what)) {                                                                            \
            fprintf(stderr, "%s:%d: not so: %s (%s)\n", __FILE__, __LINE__, #what, strerror(errno)); \
            _exit(1);                                                                             \
        }                                                                                         \
    } while (0)

static void say(const char *word)
{
    char line[8];
    dprintf(1, "%s\n", word);
    EXPECT(read(0, line, 1) == 1);
}

#define HELD say("held")
#define FREE say("free")

static int opened(void)
{
    int fd = open(file, O_RDWR | O_CREAT, 0666);
    EXPECT(fd >= 0);
    return fd;
}

static int set(int fd, int command, int kind, off_t start, off_t length)
{
    struct flock lock = {.l_type = (short)kind, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    return fcntl(fd, command, &lock);
}

static int locked(void)
{
    int fd = opened();
    EXPECT(set(fd, F_SETLKW, F_WRLCK, 0, 0) == 0);
    return fd;
}

static int flocked(void)
{
    int fd = opened();
    EXPECT(flock(fd, LOCK_EX) == 0);
    return fd;
}

static void nap(long milliseconds)
{
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* A child that waits until its end of the pipe is closed. */
static pid_t child_that_waits(int *end)
{
    int ends[2];
    EXPECT(pipe(ends) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        char byte;
        close(ends[1]);
        _exit((int)read(ends[0], &byte, 1));
    }
    close(ends[0]);
    *end = ends[1];
    return pid;
}

static void part_of_a_range_is_unlocked(void)
{
    int fd = opened();
    EXPECT(set(fd, F_SETLK, F_WRLCK, 0, 100) == 0);
    EXPECT(set(fd, F_SETLK, F_UNLCK, 0, 50) == 0);
    HELD;
    EXPECT(set(fd, F_SETLK, F_UNLCK, 50, 50) == 0);
    FREE;
}

static void overlapping_locks_are_undone_by_one_unlock(void)
{
    int fd = opened();
    EXPECT(set(fd, F_SETLK, F_WRLCK, 0, 10) == 0);
    EXPECT(set(fd, F_SETLK, F_WRLCK, 5, 15) == 0);
    HELD;
    EXPECT(set(fd, F_SETLK, F_UNLCK, 0, 20) == 0);
    FREE;
}

static void a_write_lock_becomes_a_read_lock(void)
{
    int fd = locked();
    HELD;
    EXPECT(set(fd, F_SETLK, F_RDLCK, 0, 0) == 0);
    FREE;
}

static void an_exclusive_flock_becomes_a_shared_one(void)
{
    int fd = flocked();
    HELD;
    EXPECT(flock(fd, LOCK_SH) == 0);
    FREE;
}

static void a_flock_taken_twice_is_given_back_once(void)
{
    int fd = flocked();
    EXPECT(flock(fd, LOCK_EX | LOCK_NB) == 0);
    HELD;
    EXPECT(flock(fd, LOCK_UN) == 0);
    FREE;
}

static void half_of_a_descriptions_range_is_unlocked(void)
{
    int fd = opened();
    EXPECT(set(fd, F_OFD_SETLKW, F_WRLCK, 0, 100) == 0);
    EXPECT(set(fd, F_OFD_SETLK, F_UNLCK, 0, 50) == 0);
    HELD;
    EXPECT(set(fd, F_OFD_SETLK, F_UNLCK, 50, 50) == 0);
    FREE;
}

static void another_descriptor_of_the_file_is_closed(void)
{
    locked();
    int other = opened();
    HELD;
    close(other);
    FREE;
}

static void another_file_is_put_over_the_descriptor(void)
{
    int fd = locked();
    HELD;
    int other = open("/dev/null", O_RDWR);
    EXPECT(dup2(other, fd) == fd);
    FREE;
}

static void a_stream_is_closed(void)
{
    FILE *stream = fopen(file, "w+");
    EXPECT(set(fileno(stream), F_SETLKW, F_WRLCK, 0, 0) == 0);
    HELD;
    fclose(stream);
    FREE;
}

static void a_range_of_descriptors_is_closed(void)
{
    int fd = flocked();
    HELD;
    EXPECT(close_range((unsigned)fd, (unsigned)fd + 10, 0) == 0);
    FREE;
}

static void every_descriptor_is_closed(void)
{
    locked();
    HELD;
    for (int fd = 3; fd < 1024; fd++)
        close(fd);
    FREE;
    int fd = flocked();
    HELD;
    flock(fd, LOCK_UN);
    FREE;
}

static void the_owner_of_a_classic_lock_exits_before_its_child(void)
{
    int to_owner[2], end;
    EXPECT(pipe(to_owner) == 0);
    pid_t owner = fork();
    if (owner == 0) {
        char byte;
        close(to_owner[1]);
        locked();
        child_that_waits(&end);
        HELD;
        _exit((int)read(to_owner[0], &byte, 1));
    }
    close(to_owner[0]);
    close(to_owner[1]);
    waitpid(owner, NULL, 0);
    FREE;
}

static void a_child_has_the_flock_longer_than_its_parent(void)
{
    int fd = flocked(), end;
    pid_t pid = child_that_waits(&end);
    close(fd);
    HELD;
    close(end);
    waitpid(pid, NULL, 0);
    FREE;
}

static void the_last_duplicate_is_closed(void)
{
    int fd = flocked(), other = dup(fd);
    close(fd);
    HELD;
    close(other);
    FREE;
}

static void a_parent_exits_and_leaves_its_flock(void)
{
    int ends[2];
    EXPECT(pipe(ends) == 0);
    pid_t parent = fork();
    if (parent == 0) {
        flocked();
        if (fork() == 0) {
            char byte;
            close(ends[1]);
            _exit((int)read(ends[0], &byte, 1));
        }
        _exit(0);
    }
    waitpid(parent, NULL, 0);
    HELD;
    close(ends[1]);
    nap(100);
    FREE;
}

static void a_child_unlocks_what_it_shares(void)
{
    int fd = flocked();
    HELD;
    pid_t pid = fork();
    if (pid == 0)
        _exit(flock(fd, LOCK_UN));
    waitpid(pid, NULL, 0);
    FREE;
}

/* As "flock -x 9" in a shell script does. */
static void a_child_locks_for_its_parent(void)
{
    int fd = opened();
    pid_t pid = fork();
    if (pid == 0)
        _exit(flock(fd, LOCK_EX));
    waitpid(pid, NULL, 0);
    HELD;
    close(fd);
    FREE;
}

static void a_locked_descriptor_is_sent_away(void)
{
    int pair[2];
    EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        char byte, room[CMSG_SPACE(sizeof(int))];
        struct iovec piece = {&byte, 1};
        struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof room};
        close(pair[0]);
        EXPECT(recvmsg(pair[1], &message, 0) == 1);
        _exit((int)read(pair[1], &byte, 1));
    }
    close(pair[1]);
    int fd = flocked();
    char byte = 0;
    union {
        char room[CMSG_SPACE(sizeof(int))];
        struct cmsghdr aligned;
    } control;
    struct iovec piece = {&byte, 1};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof control.room};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(head), &fd, sizeof fd);
    EXPECT(sendmsg(pair[0], &message, 0) == 1);
    close(fd);
    HELD;
    close(pair[0]);
    waitpid(pid, NULL, 0);
    FREE;
}

/* Becomes a program that says this and waits. */
static void becomes(const char *word)
{
    execl(self, self, file, "says", word, (char *)NULL);
    _exit(127);
}

static void in_a_child(void (*work)(void), const char *word)
{
    pid_t pid = fork();
    if (pid == 0) {
        work();
        becomes(word);
    }
    waitpid(pid, NULL, 0);
    FREE;
}

static void take_flock(void)
{
    flocked();
}

static void take_flock_until_exec(void)
{
    fcntl(flocked(), F_SETFD, FD_CLOEXEC);
}

static void take_classic(void)
{
    locked();
}

static void a_flock_is_kept_over_exec(void)
{
    in_a_child(take_flock, "held");
}

static void a_flock_ends_at_exec(void)
{
    in_a_child(take_flock_until_exec, "free");
}

static void a_classic_lock_is_kept_over_exec(void)
{
    in_a_child(take_classic, "held");
}

static void a_spawned_child_has_the_flock(void)
{
    int fd = flocked();
    pid_t pid;
    char *arguments[] = {(char *)self, (char *)file, "says", "held", NULL};
    EXPECT(posix_spawn(&pid, self, NULL, NULL, arguments, environ) == 0);
    close(fd);
    waitpid(pid, NULL, 0);
    FREE;
}

static void a_child_of_vfork_locks(void)
{
    int fd = opened();
    pid_t pid = vfork();
    if (pid == 0)
        _exit(flock(fd, LOCK_EX));
    waitpid(pid, NULL, 0);
    HELD;
    close(fd);
    FREE;
}

static void a_lock_that_no_function_of_libc_took(void)
{
    int fd = opened();
    EXPECT(syscall(SYS_flock, fd, LOCK_EX) == 0);
    HELD;
    EXPECT(flock(fd, LOCK_UN) == 0);
    FREE;
}

static void a_holder_is_killed(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        locked();
        HELD;
        raise(SIGKILL);
    }
    waitpid(pid, NULL, 0);
    FREE;
}

static void what_is_no_descriptor(void)
{
    EXPECT(set(999, F_SETLKW, F_WRLCK, 0, 0) == -1 && errno == EBADF);
    EXPECT(flock(999, LOCK_EX) == -1 && errno == EBADF);
    EXPECT(lockf(999, F_LOCK, 0) == -1 && errno == EBADF);
    FREE;
}

static void somebody_else_holds_it(void)
{
    int fd = flocked(), other = opened();
    EXPECT(flock(other, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK);
    HELD;
    close(fd);
    FREE;
}

static void *takes_flock(void *unused)
{
    (void)unused;
    return (void *)(long)flocked();
}

static void the_thread_that_locked_ends(void)
{
    pthread_t thread;
    void *fd;
    pthread_create(&thread, NULL, takes_flock, NULL);
    pthread_join(thread, &fd);
    HELD;
    close((int)(long)fd);
    FREE;
}

static void lockf_of_a_section(void)
{
    int fd = opened();
    EXPECT(lockf(fd, F_LOCK, 10) == 0);
    HELD;
    EXPECT(lockf(fd, F_ULOCK, 10) == 0);
    EXPECT(lockf64(fd, F_TLOCK, 0) == 0);
    HELD;
    EXPECT(lockf64(fd, F_ULOCK, 0) == 0);
    FREE;
}

static void locks_to_read(void)
{
    int fd = opened();
    EXPECT(set(fd, F_SETLKW, F_RDLCK, 0, 0) == 0);
    FREE;
    EXPECT(flock(fd, LOCK_SH) == 0);
    FREE;
}

static sigjmp_buf out;

static void jump(int signal)
{
    (void)signal;
    siglongjmp(out, 1);
}

/* A child has the lock that is waited for, until its parent is told. */
static pid_t rival(int *end)
{
    int ready[2], ends[2];
    EXPECT(pipe(ready) == 0 && pipe(ends) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        char byte;
        close(ends[1]);
        locked();
        EXPECT(write(ready[1], "x", 1) == 1);
        _exit((int)read(ends[0], &byte, 1));
    }
    char byte;
    EXPECT(read(ready[0], &byte, 1) == 1);
    close(ends[0]);
    *end = ends[1];
    return pid;
}

static void over(pid_t pid, int end)
{
    close(end);
    waitpid(pid, NULL, 0);
}

static void a_handler_jumps_out_of_the_wait(void)
{
    int end;
    pid_t pid = rival(&end);
    struct sigaction action = {.sa_handler = jump};
    sigaction(SIGALRM, &action, NULL);
    int fd = opened();
    if (sigsetjmp(out, 1) == 0) {
        alarm(1);
        set(fd, F_SETLKW, F_WRLCK, 0, 0);
        EXPECT(0);
    }
    over(pid, end);
    /* The next call finds out. */
    EXPECT(set(fd, F_SETLK, F_WRLCK, 0, 0) == 0);
    HELD;
    EXPECT(set(fd, F_SETLK, F_UNLCK, 0, 0) == 0);
    FREE;
}

static void *waits(void *unused)
{
    (void)unused;
    locked();
    return NULL;
}

static void a_thread_is_cancelled_in_the_wait(void)
{
    int end;
    pid_t pid = rival(&end);
    pthread_t thread;
    void *result;
    pthread_create(&thread, NULL, waits, NULL);
    nap(200);
    pthread_cancel(thread);
    pthread_join(thread, &result);
    EXPECT(result == PTHREAD_CANCELED);
    HELD;
    over(pid, end);
    FREE;
}

#define SCENARIO(name) {#name, name}
static const struct {
    const char *name;
    void (*play)(void);
} scenarios[] = {
    SCENARIO(part_of_a_range_is_unlocked),
    SCENARIO(overlapping_locks_are_undone_by_one_unlock),
    SCENARIO(a_write_lock_becomes_a_read_lock),
    SCENARIO(an_exclusive_flock_becomes_a_shared_one),
    SCENARIO(a_flock_taken_twice_is_given_back_once),
    SCENARIO(half_of_a_descriptions_range_is_unlocked),
    SCENARIO(another_descriptor_of_the_file_is_closed),
    SCENARIO(another_file_is_put_over_the_descriptor),
    SCENARIO(a_stream_is_closed),
    SCENARIO(a_range_of_descriptors_is_closed),
    SCENARIO(every_descriptor_is_closed),
    SCENARIO(the_owner_of_a_classic_lock_exits_before_its_child),
    SCENARIO(a_child_has_the_flock_longer_than_its_parent),
    SCENARIO(the_last_duplicate_is_closed),
    SCENARIO(a_parent_exits_and_leaves_its_flock),
    SCENARIO(a_child_unlocks_what_it_shares),
    SCENARIO(a_child_locks_for_its_parent),
    SCENARIO(a_locked_descriptor_is_sent_away),
    SCENARIO(a_flock_is_kept_over_exec),
    SCENARIO(a_flock_ends_at_exec),
    SCENARIO(a_classic_lock_is_kept_over_exec),
    SCENARIO(a_spawned_child_has_the_flock),
    SCENARIO(a_child_of_vfork_locks),
    SCENARIO(a_lock_that_no_function_of_libc_took),
    SCENARIO(a_holder_is_killed),
    SCENARIO(what_is_no_descriptor),
    SCENARIO(somebody_else_holds_it),
    SCENARIO(the_thread_that_locked_ends),
    SCENARIO(lockf_of_a_section),
    SCENARIO(locks_to_read),
    SCENARIO(a_handler_jumps_out_of_the_wait),
    SCENARIO(a_thread_is_cancelled_in_the_wait),
};

int main(int count, char **arguments)
{
    EXPECT(count >= 3);
    self = arguments[0];
    file = arguments[1];
    if (count == 4) {
        say(arguments[3]);
        return 0;
    }
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        if (strcmp(scenarios[i].name, arguments[2]) == 0) {
            scenarios[i].play();
            say("over");
            return 0;
        }
    }
    fprintf(stderr, "no scenario %s\n", arguments[2]);
    return 64;
}
