/* The exclusive side from C: how it ends with its thread, and what its failures are called. */
#include "check.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static void *pause_and_return(void *argument)
{
    EXPECT(stillpoint_lock_exclusive((stillpoint *)argument, 1000, -1), 0);
    return NULL;
}

static void *pause_and_exit(void *argument)
{
    EXPECT(stillpoint_lock_exclusive((stillpoint *)argument, 1000, -1), 0);
    pthread_exit(NULL);
}

static int ready[2];

static void *pause_and_be_cancelled(void *argument)
{
    EXPECT(stillpoint_lock_exclusive((stillpoint *)argument, 1000, -1), 0);
    HOLDS(write(ready[1], "r", 1) == 1);
    for (;;)
        pause();
    return NULL;
}

/* The gate that such a thread has closed is open as soon as the thread has ended. */
static void a_pause_ends_with_its_thread(stillpoint *b)
{
    void *(*const ways[])(void *) = {pause_and_return, pause_and_exit, pause_and_be_cancelled};
    for (size_t way = 0; way < sizeof ways / sizeof *ways; way++) {
        pthread_t thread;
        char byte;
        EXPECT(pipe(ready), 0);
        EXPECT(pthread_create(&thread, NULL, ways[way], b), 0);
        if (ways[way] == pause_and_be_cancelled) {
            HOLDS(read(ready[0], &byte, 1) == 1);
            EXPECT(pthread_cancel(thread), 0);
        }
        EXPECT(pthread_join(thread, NULL), 0);
        EXPECT(stillpoint_unlock_exclusive(b), -EPERM);
        EXPECT(stillpoint_trylock_shared(b), 0);
        EXPECT(stillpoint_unlock_shared(b), 0);
        EXPECT(stillpoint_lock_exclusive(b, 1000, -1), 0);
        EXPECT(stillpoint_unlock_exclusive(b), 0);
        EXPECT(stillpoint_dirty_epoch(b), 0);
        close(ready[0]);
        close(ready[1]);
    }
}

/* A share that keeps the exclusive side out, and what is answered then, however little it would wait. */
static void not_quiet_is_a_time_out(stillpoint *b)
{
    EXPECT(stillpoint_lock_shared(b), 0);
    IN_CHILD({
        EXPECT(stillpoint_lock_exclusive(b, 30, -1), -ETIMEDOUT);
        /* The gate must stay open for a while now, and this does not wait for that. */
        EXPECT(stillpoint_lock_exclusive(b, 0, -1), -ETIMEDOUT);
        EXPECT(stillpoint_lock_exclusive(b, 0, 0), -ETIMEDOUT);
    });
    EXPECT(stillpoint_unlock_shared(b), 0);
    struct worker tool;
    hire(&tool);
    EXPECT(ask(&tool, pause_all, b), 0);
    EXPECT(stillpoint_lock_exclusive(b, 0, -1), -ETIMEDOUT);
    EXPECT(stillpoint_lock_exclusive(b, 20, -1), -ETIMEDOUT);
    EXPECT(ask(&tool, resume_all, b), 0);
    dismiss(&tool);
}

static void refuse(unsigned call)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof rules / sizeof *rules, rules};
    EXPECT(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    EXPECT(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

static void *first_share(void *argument)
{
    int result = stillpoint_lock_shared((stillpoint *)argument);
    if (result == 0)
        EXPECT(stillpoint_unlock_shared((stillpoint *)argument), 0);
    return (void *)(long)result;
}

/* EPERM is about who holds something, and about nothing else. */
static void a_refused_system_call_is_called_so(stillpoint *b)
{
    static const unsigned calls[] = {SYS_madvise, SYS_mmap, SYS_flock};
#if defined(__SANITIZE_ADDRESS__)
    return;
#endif
    if (getenv("UNDER_VALGRIND") != NULL)
        return;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        int fd = file("mailbox");
        IN_CHILD({
            alarm(20);
            refuse(calls[i]);
            int result = calls[i] == SYS_flock ? stillpoint_flock(b, fd, LOCK_EX)
                                               : (int)(long)first_share(b);
            EXPECT(result, -ENOSYS);
            EXPECT(stillpoint_unlock_shared(b), -EPERM);
        });
        close(fd);
    }
}

static void what_it_says(stillpoint *b)
{
    (void)b;
    HOLDS(strstr(stillpoint_strerror(-ENOTSUP), "whole file") != NULL);
    HOLDS(strstr(stillpoint_strerror(-ENOTSUP), "file system") == NULL);
    HOLDS(strstr(stillpoint_strerror(-ENODEV), "file system") != NULL);
    HOLDS(strstr(stillpoint_strerror(-ENOSYS), "refused") != NULL);
    HOLDS(strstr(stillpoint_strerror(-EPERM), "not held") != NULL);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    RUN(a_pause_ends_with_its_thread);
    RUN(not_quiet_is_a_time_out);
    RUN(a_refused_system_call_is_called_so);
    RUN(what_it_says);
}
