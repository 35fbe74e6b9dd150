/* Signals: handlers that take shares wherever they strike, and waits that are interrupted. */
#include "locks.h"

static stillpoint *handled;
static volatile sig_atomic_t struck, failures;

static void take_shares(int signal)
{
    (void)signal;
    int depth = stillpoint_depth(handled);
    if (stillpoint_lock_shared(handled) != 0 || stillpoint_depth(handled) != depth + 1)
        failures = failures + 1;
    if (stillpoint_unlock_shared(handled) != 0 || stillpoint_depth(handled) != depth)
        failures = failures + 1;
    struck = struck + 1;
}

static void handle(int signal, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    EXPECT(sigaction(signal, &action, NULL), 0);
}

static void a_handler_shares_wherever_it_strikes(stillpoint *b)
{
    int fd = file("mailbox");
    handled = b;
    struck = failures = 0;
    handle(SIGUSR2, take_shares, SA_RESTART);
    struct sigevent strike = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR2};
    struct itimerspec often = {{0, 1000000}, {0, 1000000}};
    timer_t timer;
    EXPECT(timer_create(CLOCK_MONOTONIC, &strike, &timer), 0);
    EXPECT(timer_settime(timer, 0, &often, NULL), 0);
    for (long round = 0; struck < 500; round++) {
        EXPECT(stillpoint_lock_shared(b), 0);
        EXPECT(stillpoint_lock_shared(b), 0);
        EXPECT(stillpoint_unlock_shared(b), 0);
        EXPECT(stillpoint_unlock_shared(b), 0);
        if (round % 16 == 0) {
            EXPECT(stillpoint_flock(b, fd, LOCK_EX), 0);
            EXPECT(stillpoint_flock(b, fd, LOCK_UN), 0);
        }
    }
    EXPECT(timer_delete(timer), 0);
    handle(SIGUSR2, SIG_IGN, 0);
    EXPECT(failures, 0);
    EXPECT(stillpoint_depth(b), 0);
    EXPECT(stillpoint_lock_exclusive(b, 5000, -1), 0);
    EXPECT(stillpoint_unlock_exclusive(b), 0);
    close(fd);
}

static void only_note(int signal)
{
    (void)signal;
    struck = struck + 1;
}

static pthread_t waiting_thread;
static int waiting_file;
static enum kind waiting_kind;
static volatile bool begun;

static int wait_for_the_lock(stillpoint *b)
{
    waiting_thread = pthread_self();
    begun = true;
    return wrapped(b, waiting_kind, waiting_file, WRITE, true);
}

/* Each wait is that of a thread's later locks, too, which take the fast way. */
static void interrupt_waits(stillpoint *b, void (*handler)(int))
{
    struct worker writer;
    handle(SIGUSR1, handler, 0);
    hire(&writer);
    EXPECT(ask(&writer, enter, b), 0);
    EXPECT(ask(&writer, leave, b), 0);
    EACH_KIND(kind) {
        /* valgrind does not know that F_OFD_SETLKW may wait: no other thread runs meanwhile. */
        if (*kind == DESCRIPTION && getenv("UNDER_VALGRIND") != NULL)
            continue;
        int rival = file("mailbox");
        waiting_file = file("mailbox");
        waiting_kind = *kind;
        begun = false;
        EXPECT(bare(*kind, rival, WRITE), 0);
        tell(&writer, wait_for_the_lock, b);
        UNTIL(begun && seen_inside() == 1);
        /* The signal may come before the wait: until it has been seen to end it. */
        int tries = 0;
        do
            pthread_kill(waiting_thread, SIGUSR1);
        while (!readable(writer.results[0], 5) && ++tries < 1000);
        EXPECT(hear(&writer), -EINTR);
        EXPECT(ask(&writer, depth, b), 0);
        EXPECT(bare(*kind, rival, UNLOCK), 0);
        EXPECT(found(*kind, rival), '-');
        close(waiting_file);
        close(rival);
    }
    dismiss(&writer);
}

static void an_interrupted_wait_for_a_lock_leaves_nothing(stillpoint *b)
{
    interrupt_waits(b, only_note);
}

/* The share is given back whatever the thread has used last. */
static void nor_does_one_whose_handler_shares_in_another_barrier(stillpoint *b)
{
    char place[600];
    snprintf(place, sizeof place, "%s/handled.barrier", folder);
    EXPECT(stillpoint_open(place, STILLPOINT_CREATE, NULL, &handled), 0);
    failures = 0;
    interrupt_waits(b, take_shares);
    EXPECT(failures, 0);
    stillpoint_close(handled);
}

static int enter_when_open(stillpoint *b)
{
    waiting_thread = pthread_self();
    begun = true;
    return stillpoint_lock_shared(b);
}

/* A signal does not end the wait at the gate: that ends by itself. */
static void an_interrupted_wait_at_the_gate_goes_on(stillpoint *b)
{
    struct worker tool, writer;
    struck = 0;
    begun = false;
    handle(SIGUSR1, only_note, 0);
    hire(&tool);
    hire(&writer);
    EXPECT(ask(&writer, enter, b), 0);
    EXPECT(ask(&writer, leave, b), 0);
    EXPECT(ask(&tool, pause_all, b), 0);
    tell(&writer, enter_when_open, b);
    UNTIL(begun);
    for (int signals = 1; signals <= 5; signals++) {
        pthread_kill(waiting_thread, SIGUSR1);
        UNTIL(struck >= signals);
    }
    EXPECT(seen_inside(), 0);
    EXPECT(ask(&tool, resume_all, b), 0);
    EXPECT(hear(&writer), 0);
    EXPECT(ask(&writer, depth, b), 1);
    EXPECT(ask(&writer, leave, b), 0);
    dismiss(&tool);
    dismiss(&writer);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    RUN(a_handler_shares_wherever_it_strikes);
    RUN(an_interrupted_wait_for_a_lock_leaves_nothing);
    RUN(nor_does_one_whose_handler_shares_in_another_barrier);
    RUN(an_interrupted_wait_at_the_gate_goes_on);
}
