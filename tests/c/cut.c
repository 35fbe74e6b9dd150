/*
 * The barrier file is cut under a program: one that waits hears of it in any case, and one that has a handler
 * of SIGBUS which asks the library survives it at every moment.
 */
#include "check.h"

#include <stdint.h>
#include <sys/mman.h>

static volatile sig_atomic_t faults;

/* What the manual says. */
static void on_sigbus(int signal, siginfo_t *fault, void *context)
{
    (void)context;
    faults++;
    if (!stillpoint_survive(fault->si_addr)) {
        struct sigaction none = {.sa_handler = SIG_DFL};
        sigaction(signal, &none, NULL);
    }
}

static void handle_faults(void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction action = {.sa_flags = SA_SIGINFO};
    sigemptyset(&action.sa_mask);
    if (handler == NULL)
        action.sa_handler = SIG_DFL;
    else
        action.sa_sigaction = handler;
    EXPECT(sigaction(SIGBUS, &action, NULL), 0);
    faults = 0;
}

static void shell(const char *command)
{
    char line[2000];
    snprintf(line, sizeof line, command, path, path);
    EXPECT(system(line), 0);
}

/* Ways to do it; %s is the barrier. */
static void cut_by_ftruncate(void)
{
    int fd = open(path, O_RDWR);
    HOLDS(fd >= 0 && ftruncate(fd, 0) == 0);
    close(fd);
}
static void cut_by_the_shell(void) { shell(": > '%s'"); }
static void cut_by_a_copy(void) { shell("cp /etc/passwd '%s'"); }
static void cut_to_the_gate(void) { shell("truncate -s 8192 '%s'"); }
static void cut_by_a_page(void) { shell("truncate -s -4096 '%s'"); }

static void (*const ways[])(void) = {
    cut_by_ftruncate, cut_by_the_shell, cut_by_a_copy, cut_to_the_gate, cut_by_a_page,
};
#define WAYS (sizeof ways / sizeof *ways)

/* Once anything has asked, every use is an error, and none a fault. */
static void is_over(stillpoint *b)
{
    struct worker other;
    uint64_t cookie;
    int before = faults;
    EXPECT(stillpoint_check(b), -EBADMSG);
    EXPECT(stillpoint_lock_shared(b), -EBADMSG);
    EXPECT(stillpoint_trylock_shared(b), -EBADMSG);
    EXPECT(stillpoint_timedlock_shared(b, 10), -EBADMSG);
    EXPECT(stillpoint_begin(b, &cookie), -EBADMSG);
    EXPECT(stillpoint_gate_fd(b), -EBADMSG);
    EXPECT(stillpoint_lock_exclusive(b, 10, 10), -EBADMSG);
    EXPECT(stillpoint_join(b), -EBADMSG);
    hire(&other);
    EXPECT(ask(&other, enter, b), -EBADMSG);
    dismiss(&other);
    EXPECT(stillpoint_depth(b), 0);
    (void)stillpoint_should_yield(b);
    (void)stillpoint_dirty_epoch(b);
    EXPECT(faults, before);
}

/* Until somebody makes another one, to which the same handle then leads. */
static void goes_on_with_another(stillpoint *b)
{
    stillpoint *anew;
    EXPECT(unlink(path), 0);
    EXPECT(stillpoint_open(path, STILLPOINT_CREATE, "anew", &anew), 0);
    EXPECT(stillpoint_lock_shared(b), 0);
    EXPECT(seen_inside(), 1);
    EXPECT(stillpoint_unlock_shared(b), 0);
    EXPECT(stillpoint_lock_exclusive(anew, 1000, 1000), 0);
    EXPECT(stillpoint_trylock_shared(b), -EAGAIN);
    EXPECT(stillpoint_unlock_exclusive(anew), 0);
    stillpoint_close(anew);
}

/* The fast path asks nothing: it goes on as long as it misses nothing, and no tool opens such a file. */
static void enters_or_not(stillpoint *b)
{
    int entered = stillpoint_lock_shared(b);
    if (entered == 0)
        EXPECT(stillpoint_unlock_shared(b), 0);
    else
        EXPECT(entered, -EBADMSG);
}

static void while_it_holds(stillpoint *b, void (*cut)(void))
{
    EXPECT(stillpoint_lock_shared(b), 0);
    EXPECT(stillpoint_lock_shared(b), 0);
    cut();
    EXPECT(stillpoint_unlock_shared(b), 0);
    EXPECT(stillpoint_unlock_shared(b), 0);
    EXPECT(stillpoint_unlock_shared(b), -EPERM);
    enters_or_not(b);
}

static void while_it_counts(stillpoint *b, void (*cut)(void))
{
    uint64_t first, second;
    EXPECT(stillpoint_begin(b, &first), 0);
    EXPECT(stillpoint_begin(b, &second), 0);
    cut();
    EXPECT(stillpoint_end(b, first), 0);
    EXPECT(stillpoint_end(b, second), 0);
}

static void between_shares(stillpoint *b, void (*cut)(void))
{
    EXPECT(stillpoint_lock_shared(b), 0);
    EXPECT(stillpoint_unlock_shared(b), 0);
    cut();
    enters_or_not(b);
}

static void before_the_first(stillpoint *b, void (*cut)(void))
{
    (void)b;
    cut();
}

static void in_a_pause(stillpoint *b, void (*cut)(void))
{
    EXPECT(stillpoint_lock_exclusive(b, 1000, -1), 0);
    cut();
    EXPECT(stillpoint_unlock_exclusive(b), -ECANCELED);
}

/* No handler is needed by those who sleep, or have time to ask: here is none. */
static void at_the_gate(stillpoint *b, void (*cut)(void))
{
    struct worker waiters[2];
    int ready[2];
    handle_faults(NULL);
    HOLDS(pipe(ready) == 0);
    pid_t tool = fork();
    HOLDS(tool >= 0);
    if (tool == 0) {
        /* Ended by a signal, so it needs nothing back. */
        EXPECT(stillpoint_lock_exclusive(b, 1000, -1), 0);
        HOLDS(write(ready[1], "", 1) == 1);
        for (;;)
            pause();
    }
    char byte;
    close(ready[1]);
    HOLDS(read(ready[0], &byte, 1) == 1);
    for (int i = 0; i < 2; i++) {
        hire(&waiters[i]);
        tell(&waiters[i], enter, b);
    }
    UNTIL(seen("\"waiting_ms\":") - seen("\"waiting_ms\":null") >= 2);
    cut();
    for (int i = 0; i < 2; i++) {
        EXPECT(hear(&waiters[i]), -EBADMSG);
        dismiss(&waiters[i]);
    }
    is_over(b);
    EXPECT(kill(tool, SIGKILL), 0);
    EXPECT(waitpid(tool, NULL, 0), tool);
    close(ready[0]);
}

/* The same of a thread that ends, and of one that had none yet. */
static void *takes_a_share(void *b)
{
    EXPECT(stillpoint_lock_shared(b), 0);
    EXPECT(stillpoint_unlock_shared(b), 0);
    return NULL;
}

static void while_a_thread_ends(stillpoint *b, void (*cut)(void))
{
    struct worker worker;
    handle_faults(NULL);
    takes_a_share(b);
    hire(&worker);
    EXPECT(ask(&worker, enter, b), 0);
    EXPECT(ask(&worker, leave, b), 0);
    cut();
    dismiss(&worker);
    is_over(b);
}

static void run_cut(const char *name, void (*test)(stillpoint *, void (*)(void)))
{
    /* Which takes its time. */
    size_t last = getenv("UNDER_VALGRIND") != NULL ? 1 : WAYS;
    for (size_t way = 0; way < last; way++) {
        stillpoint *b;
        running = name;
        snprintf(path, sizeof path, "%s/%s-%zu.barrier", folder, name, way);
        EXPECT(stillpoint_open(path, STILLPOINT_CREATE, "cut", &b), 0);
        handle_faults(on_sigbus);
        test(b, ways[way]);
        is_over(b);
        goes_on_with_another(b);
        stillpoint_close(b);
        handle_faults(NULL);
    }
}

/* A fault that is none of ours stays one, and nothing is changed by the question. */
static void strange_faults(void)
{
    stillpoint *b;
    running = "strange faults";
    snprintf(path, sizeof path, "%s/strange.barrier", folder);
    EXPECT(stillpoint_survive(NULL), 0);
    EXPECT(stillpoint_open(path, STILLPOINT_CREATE, "cut", &b), 0);
    errno = 77;
    EXPECT(stillpoint_survive(&b), 0);
    EXPECT(stillpoint_survive((void *)UINTPTR_MAX), 0);
    EXPECT(errno, 77);
    EXPECT(stillpoint_lock_shared(b), 0);
    EXPECT(stillpoint_unlock_shared(b), 0);
    pid_t child = fork();
    HOLDS(child >= 0);
    if (child == 0) {
        handle_faults(on_sigbus);
        FILE *other = tmpfile();
        HOLDS(other != NULL);
        volatile char *gone = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fileno(other), 0);
        HOLDS(gone != MAP_FAILED);
        _exit(*gone);
    }
    int status;
    EXPECT(waitpid(child, &status, 0), child);
    HOLDS(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
    stillpoint_close(b);
}

#define RUN_CUT(test) run_cut(#test, test)

int main(int argc, char **argv)
{
    begin(argc, argv);
    RUN_CUT(while_it_holds);
    RUN_CUT(while_it_counts);
    RUN_CUT(between_shares);
    RUN_CUT(before_the_first);
    RUN_CUT(in_a_pause);
    RUN_CUT(at_the_gate);
    RUN_CUT(while_a_thread_ends);
    strange_faults();
}
