/*
 * Numbers of descriptors are used again, by whoever comes next: what a lock brought belongs to the
 * thread that took it, and a number alone leads nobody to it.
 */
#include "locks.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static stillpoint *barrier;
static volatile bool enough;
static _Atomic long deliveries, refusals;

/* As the manual's example does it: each thread its own file, and all the same few numbers. */
static void *deliver(void *argument)
{
    char place[600];
    snprintf(place, sizeof place, "%s/%s-%d", folder, running, *(int *)argument);
    while (!enough) {
        int fd = open(place, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0 || stillpoint_flock(barrier, fd, LOCK_EX) != 0)
            refusals++;
        if (stillpoint_close_fd(barrier, fd) != 0)
            refusals++;
        if (stillpoint_depth(barrier) != 0)
            refusals++;
        deliveries++;
    }
    return NULL;
}

#define THREADS 4

static void threads_that_deliver_never_meet(stillpoint *b)
{
    pthread_t threads[THREADS];
    int names[THREADS];
    barrier = b;
    enough = false;
    deliveries = refusals = 0;
    int first = file("first");
    for (int i = 0; i < THREADS; i++) {
        names[i] = i;
        EXPECT(pthread_create(&threads[i], NULL, deliver, &names[i]), 0);
    }
    for (int left = 20000; deliveries < 20000 && refusals == 0 && left > 0; left--)
        nap(1);
    enough = true;
    for (int i = 0; i < THREADS; i++)
        EXPECT(pthread_join(threads[i], NULL), 0);
    EXPECT(refusals, 0);
    /* None was left open. */
    int last = file("last");
    EXPECT(last, first + 1);
    close(first);
    close(last);
}

static int number;
static enum kind number_kind;
static int lock_the_number(stillpoint *b) { return wrapped(b, number_kind, number, WRITE, false); }
static int unlock_the_number(stillpoint *b) { return wrapped(b, number_kind, number, UNLOCK, false); }
static int close_the_number(stillpoint *b) { return stillpoint_close_fd(b, number); }

/* Closes the number behind the library's back, each in a way of its own, and leaves another file there. */
static void by_close(int fd)
{
    close(fd);
    EXPECT(file("other"), fd);
}

static void by_dup2(int fd)
{
    int other = file("other");
    EXPECT(dup2(other, fd), fd);
    close(other);
}

static void by_dup3(int fd)
{
    int other = file("other");
    EXPECT(dup3(other, fd, O_CLOEXEC), fd);
    close(other);
}

static void by_close_range(int fd)
{
    if (syscall(SYS_close_range, fd, fd, 0) != 0)
        close(fd);
    EXPECT(file("other"), fd);
}

/* A descriptor of another process, whose lock came with it. */
static void by_a_message(int fd)
{
    int ends[2];
    EXPECT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr header;
    } control;
    char byte = 'b';
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    pid_t child = fork();
    if (child == 0) {
        int other = file("other");
        EXPECT(flock(other, LOCK_EX), 0);
        memset(&control, 0, sizeof control);
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof other);
        memcpy(CMSG_DATA(&control.header), &other, sizeof other);
        EXPECT(sendmsg(ends[1], &message, 0), 1);
        _exit(0);
    }
    close(fd);
    EXPECT(recvmsg(ends[0], &message, MSG_CMSG_CLOEXEC), 1);
    int received;
    memcpy(&received, CMSG_DATA(&control.header), sizeof received);
    EXPECT(received, fd);
    ends_well(child);
    close(ends[0]);
    close(ends[1]);
}

static void (*const ways[])(int) = {by_close, by_dup2, by_dup3, by_close_range, by_a_message};

/* Whose file the number is now locks, unlocks and closes it as any other. */
static void a_number_that_was_closed_behind_ones_back(stillpoint *b)
{
    struct worker other;
    hire(&other);
    EACH_KIND(kind) {
        for (size_t way = 0; way < sizeof ways / sizeof *ways; way++) {
            int rival = file("other");
            number = file("mailbox");
            number_kind = *kind;
            EXPECT(lock_the_number(b), 0);
            ways[way](number);
            EXPECT(stillpoint_depth(b), 1);
            EXPECT(ask(&other, lock_the_number, b), 0);
            EXPECT(ask(&other, depth, b), 1);
            EXPECT(found(*kind, rival), 'w');
            EXPECT(ask(&other, unlock_the_number, b), 0);
            EXPECT(ask(&other, depth, b), 0);
            EXPECT(ask(&other, unlock_the_number, b), 0);
            EXPECT(ask(&other, lock_the_number, b), 0);
            EXPECT(ask(&other, close_the_number, b), 0);
            EXPECT(ask(&other, depth, b), 0);
            EXPECT(found(*kind, rival), '-');
            /* The first thread's share is its own to give back. */
            EXPECT(stillpoint_depth(b), 1);
            EXPECT(close_the_number(b), -EBADF);
            EXPECT(stillpoint_depth(b), 0);
            close(rival);
        }
    }
    dismiss(&other);
}

#define MANY 1000

/* However many there are, each brings one and takes one along. */
static void many_locks_of_one_thread(stillpoint *b)
{
    static int fds[MANY];
    char name[40];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < MANY; i++) {
            snprintf(name, sizeof name, "%d", i);
            fds[i] = file(name);
            EXPECT(stillpoint_flock(b, fds[i], LOCK_EX), 0);
            EXPECT(stillpoint_depth(b), i + 1);
            EXPECT(stillpoint_flock(b, fds[i / 2], LOCK_EX), 0);
            EXPECT(stillpoint_depth(b), i + 1);
        }
        /* In another order than they came. */
        for (int i = 0; i < MANY; i++) {
            int fd = fds[i * 7 % MANY];
            if (i % 3 == 0)
                EXPECT(stillpoint_flock(b, fd, LOCK_UN), 0);
            EXPECT(stillpoint_close_fd(b, fd), 0);
            EXPECT(stillpoint_depth(b), MANY - i - 1);
        }
    }
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/* The least of some batches: what a lock and the closing of its descriptor cost by this number. */
static double cost(stillpoint *b, int from, int fd)
{
    double best = 1e18;
    for (int batch = 0; batch < 20; batch++) {
        double start = now();
        for (int i = 0; i < 50; i++) {
            EXPECT(dup2(from, fd), fd);
            EXPECT(stillpoint_flock(b, fd, LOCK_EX), 0);
            EXPECT(stillpoint_close_fd(b, fd), 0);
        }
        double each = (now() - start) / 50;
        if (each < best)
            best = each;
    }
    return best;
}

/* It was 37 us a pair, and grew with each higher number. */
static void a_high_number_costs_no_more(stillpoint *b)
{
    struct rlimit limit;
    EXPECT(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < 20000)
        limit.rlim_cur = limit.rlim_max = 20000;
    setrlimit(RLIMIT_NOFILE, &limit);
    int from = file("mailbox"), high = fcntl(from, F_DUPFD, 19999);
    if (high < 0 && getenv("UNDER_VALGRIND") != NULL) {
        /* It keeps the high numbers for itself; the plain run has them. */
        close(from);
        return;
    }
    if (high < 0) {
        fprintf(stderr, "SKIPPED: %s: no descriptor is as high\n", running);
        HOLDS(getenv("CI") == NULL);
        return;
    }
    close(high);
    double low = cost(b, from, from + 1), much = cost(b, from, high);
    if (much > 5 * low)
        fail(__FILE__, __LINE__, "nanoseconds by a high number", (long)much, (long)low);
    close(from);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    RUN(threads_that_deliver_never_meet);
    RUN(a_number_that_was_closed_behind_ones_back);
    RUN(many_locks_of_one_thread);
    RUN(a_high_number_costs_no_more);
}
