/*
 * One call at the gate, or a few. Says what it is about to do and what came of it, a line each.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int __fcntl(int, int, ...);

static void say(const char *word)
{
    dprintf(1, "%s\n", word);
}

static void line(void)
{
    char byte;
    if (read(0, &byte, 1) != 1)
        _exit(1);
}

static void ends_well(int signal)
{
    (void)signal;
    _exit(0);
}

static int opened(const char *file)
{
    int fd = open(file, O_RDWR | O_CREAT, 0666);
    if (fd < 0)
        _exit(2);
    return fd;
}

static volatile int over;

static void *writes(void *file)
{
    int fd = opened(file);
    struct timespec rest = {.tv_nsec = 200000};
    while (!over) {
        if (flock(fd, LOCK_EX) != 0)
            _exit(7);
        (void)!write(fd, "x", 1);
        flock(fd, LOCK_UN);
        nanosleep(&rest, NULL);
    }
    return NULL;
}

static int set(int fd, int command, int kind)
{
    struct flock lock = {.l_type = (short)kind, .l_whence = SEEK_SET};
    return fcntl(fd, command, &lock);
}

static int call(const char *how, int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct flock64 lock64 = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (!strcmp(how, "setlk"))
        return fcntl(fd, F_SETLK, &lock);
    if (!strcmp(how, "setlkw"))
        return fcntl(fd, F_SETLKW, &lock);
    if (!strcmp(how, "ofd"))
        return fcntl(fd, F_OFD_SETLK, &lock);
    if (!strcmp(how, "ofdw"))
        return fcntl(fd, F_OFD_SETLKW, &lock);
    if (!strcmp(how, "fcntl64"))
        return fcntl64(fd, F_SETLKW, &lock64);
    if (!strcmp(how, "__fcntl"))
        return __fcntl(fd, F_SETLKW, &lock);
    if (!strcmp(how, "flock"))
        return flock(fd, LOCK_EX);
    if (!strcmp(how, "flock_nb"))
        return flock(fd, LOCK_EX | LOCK_NB);
    if (!strcmp(how, "lockf"))
        return lockf(fd, F_LOCK, 0);
    if (!strcmp(how, "tlock"))
        return lockf(fd, F_TLOCK, 0);
    if (!strcmp(how, "lockf64"))
        return lockf64(fd, F_LOCK, 0);
    if (!strcmp(how, "read"))
        return set(fd, F_SETLKW, F_RDLCK);
    if (!strcmp(how, "unlock"))
        return set(fd, F_SETLK, F_UNLCK);
    if (!strcmp(how, "ask"))
        return fcntl(fd, F_GETLK, &lock);
    if (!strcmp(how, "shared"))
        return flock(fd, LOCK_SH);
    if (!strcmp(how, "flags"))
        return fcntl(fd, F_GETFL) < 0 || fcntl(fd, F_DUPFD_CLOEXEC, 100) < 100 ? -1 : 0;
    _exit(64);
}

static void answer(int result)
{
    const char *words = strerrorname_np(errno);
    say(result == 0 ? "got" : words);
}

static volatile sig_atomic_t asking, strikes;

static void struck(int signal)
{
    (void)signal;
    strikes += asking;
}

static void in_a_child(void (*work)(const char *), const char *file)
{
    pid_t pid = fork();
    if (pid == 0) {
        work(file);
        _exit(0);
    }
    waitpid(pid, NULL, 0);
}

static void lock_another(const char *file)
{
    char other[4096];
    snprintf(other, sizeof other, "%s.other", file);
    answer(call("setlkw", opened(other)));
}

static sigjmp_buf out;

static void jump(int signal)
{
    (void)signal;
    siglongjmp(out, 1);
}

/* A handler jumps out of the wait at the gate; then it asks again. */
static void *jumps_and_waits(void *fd)
{
    if (sigsetjmp(out, 1) == 0)
        call("setlkw", *(int *)fd);
    say("out");
    call("setlkw", *(int *)fd);
    return NULL;
}

static void *waits(void *fd)
{
    call("setlkw", *(int *)fd);
    return NULL;
}

/* As the parts of another C library would: counted while it matters. */
static bool counting;
static unsigned taken;
void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);

void *malloc(size_t size)
{
    taken += counting;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    taken += counting;
    return __libc_calloc(count, size);
}

void *realloc(void *block, size_t size)
{
    taken += counting;
    return __libc_realloc(block, size);
}

static void takes_none(const char *file)
{
    int fd = opened(file);
    counting = true;
    int result = call("setlk", fd);
    counting = false;
    if (result != 0 && errno != EAGAIN)
        _exit(3);
    say(taken == 0 ? "none" : "some");
    set(fd, F_SETLK, F_UNLCK);
}

static void *takes_none_in_a_thread(void *file)
{
    takes_none(file);
    return NULL;
}

int main(int count, char **arguments)
{
    const char *how = arguments[1], *file = arguments[2];
    if (count < 3)
        return 64;
    if (!strcmp(how, "alarm") || !strcmp(how, "restarted")) {
        struct sigaction action = {.sa_handler = struck, .sa_flags = *how == 'r' ? SA_RESTART : 0};
        int fd = opened(file);
        sigaction(SIGALRM, &action, NULL);
        ualarm(200000, 200000);
        answer(call(arguments[3], fd));
    } else if (!strcmp(how, "nested") || !strcmp(how, "child")) {
        int fd = opened(file);
        call(arguments[3], fd);
        say("holding");
        line();
        if (*how == 'n')
            lock_another(file);
        else
            in_a_child(lock_another, file);
        line();
    } else if (!strcmp(how, "cancelled")) {
        pthread_t thread;
        void *result;
        int fd = opened(file);
        pthread_create(&thread, NULL, waits, &fd);
        say("asking");
        line();
        pthread_cancel(thread);
        pthread_join(thread, &result);
        say(result == PTHREAD_CANCELED ? "cancelled" : "returned");
    } else if (!strcmp(how, "each")) {
        /* A lock for each line. */
        int fd = opened(file);
        for (;;) {
            say("ready");
            line();
            answer(call("setlkw", fd));
            set(fd, F_SETLK, F_UNLCK);
        }
    } else if (!strcmp(how, "often")) {
        int fd = opened(file);
        for (int count = atoi(arguments[3]); count > 0; count--) {
            call("setlk", fd);
            set(fd, F_SETLK, F_UNLCK);
        }
    } else if (!strcmp(how, "closed")) {
        /* What a daemon opens after it has closed its standard streams. */
        close(2);
        int fd = opened(file);
        if (fd != 2)
            return 5;
        answer(call("setlkw", fd));
    } else if (!strcmp(how, "bus")) {
        /* A fault of its own, or one that is sent, and what it has set for that. */
        int fd = opened(file);
        struct sigaction action = {.sa_handler = SIG_DFL};
        answer(call("setlk", fd));
        if (arguments[3][0] == 'h') {
            action.sa_handler = ends_well;
            sigaction(SIGBUS, &action, NULL);
        }
        if (arguments[3][0] == 's')
            raise(SIGBUS);
        char *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        memory[0] = 1;
    } else if (!strcmp(how, "threads")) {
        /* Each writes again and again, under a lock of its own; until they are told. */
        pthread_t threads[64];
        pthread_attr_t small;
        pthread_attr_init(&small);
        pthread_attr_setstacksize(&small, 65536);
        for (long i = 0; i < 64; i++)
            if (pthread_create(&threads[i], &small, writes, (void *)file) != 0)
                return 6;
        say("writing");
        line();
        over = 1;
        for (int i = 0; i < 64; i++)
            pthread_join(threads[i], NULL);
        say("over");
    } else if (!strcmp(how, "alarms")) {
        /* Each strikes a little later; to look whether something is held takes long. */
        struct sigaction action = {.sa_handler = struck};
        int fd = opened(file), missed = 0;
        for (int i = 0; i < 900; i++)
            (void)!dup(fd);
        sigaction(SIGALRM, &action, NULL);
        say("asking");
        line();
        for (int milliseconds = 1; milliseconds <= 15; milliseconds++) {
            /* The next comes so late that no load of the machine can be the reason. */
            struct itimerval alarms = {{.tv_sec = 3}, {.tv_usec = milliseconds * 1000}};
            setitimer(ITIMER_REAL, &alarms, NULL);
            strikes = 0;
            asking = 1;
            int result = call("setlkw", fd);
            asking = 0;
            /* It ends with the first; the next comes if that was missed. */
            missed += result != -1 || errno != EINTR || strikes > 1;
        }
        setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL);
        /* One may have struck just before the call. */
        say(missed > 1 ? "missed" : "interrupted");
    } else if (!strcmp(how, "jumps")) {
        pthread_t thread;
        void *result;
        int fd = opened(file);
        struct sigaction action = {.sa_handler = jump};
        sigaction(SIGUSR1, &action, NULL);
        pthread_create(&thread, NULL, jumps_and_waits, &fd);
        say("asking");
        line();
        pthread_kill(thread, SIGUSR1);
        line();
        pthread_cancel(thread);
        pthread_join(thread, &result);
        say(result == PTHREAD_CANCELED ? "cancelled" : "returned");
        /* What was left behind is given back by now. */
        line();
    } else if (!strcmp(how, "memory")) {
        pthread_t thread;
        takes_none(file);
        pthread_create(&thread, NULL, takes_none_in_a_thread, (void *)file);
        pthread_join(thread, NULL);
        in_a_child(takes_none, file);
        say("ready");
        line();
        /* The gate is closed: a signal ends the wait. */
        struct sigaction action = {.sa_handler = struck};
        sigaction(SIGALRM, &action, NULL);
        ualarm(200000, 200000);
        takes_none(file);
    } else if (!strcmp(how, "confined")) {
        int fd = opened(file);
        if (chroot(".") != 0 || chdir("/") != 0 || setgid(65534) != 0 || setuid(65534) != 0)
            return 4;
        say("asking");
        answer(call("setlkw", fd));
        set(fd, F_SETLK, F_UNLCK);
        if (fork() == 0) {
            answer(call("setlkw", fd));
            _exit(0);
        }
        wait(NULL);
    } else if (!strcmp(how, "drops")) {
        /* As mail servers deliver: a child of root becomes the user. */
        int fd = opened(file);
        say("asking");
        if (fork() == 0) {
            if (setgid(65534) != 0 || setuid(65534) != 0)
                _exit(4);
            answer(call("setlkw", fd));
            _exit(0);
        }
        wait(NULL);
    } else {
        int fd = opened(file);
        say("asking");
        errno = 0;
        answer(call(how, fd));
    }
    return 0;
}
