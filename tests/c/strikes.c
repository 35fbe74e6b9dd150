/*
 * A signal handler at every instruction of entering and leaving.
 *
 * The processor itself raises the signal: with its trap flag set, after each instruction. So what the compiler has made
 * of the header's own functions is struck wherever it can be, and the library beneath it too. What the handler does
 * there is done once at each instruction in turn.
 */
#include "check.h"

#if defined __x86_64__

#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <ucontext.h>

/* The stack below its end belongs to the function that this is in. */
#define TRAP(change)                                                                                    \
    __asm__ volatile("subq $128, %%rsp\n\tpushfq\n\t" change "\n\tpopfq\n\taddq $128, %%rsp" ::: "memory", "cc")
#define STRIKE() TRAP("orq $0x100, (%%rsp)")
#define REST() TRAP("andq $~0x100, (%%rsp)")

static stillpoint *here, *elsewhere;
static volatile long steps, first, second;
static void (*at_first)(void), (*at_second)(void);
/* How many shares there are whose taker has been told of them. */
static atomic_int inside;
/* How long a share lasts that a tool might be beside, in milliseconds. */
static long lasts;

static void struck(int signal, siginfo_t *information, void *context)
{
    (void)signal;
    (void)information;
    long step = steps++;
    if (step == first)
        at_first();
    if (step == second)
        at_second();
    /* What comes after it may be thousands in the library. */
    if (step == (first > second ? first : second))
        ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~0x100LL;
}

static void leave_after_a_while(void)
{
    inside++;
    if (lasts > 0)
        nap(lasts);
    inside--;
    EXPECT(stillpoint_unlock_shared(here), 0);
}

/* The same line, whoever enters. */
__attribute__((noinline)) static void share(void)
{
    EXPECT(stillpoint_lock_shared(here), 0);
    leave_after_a_while();
}

__attribute__((noinline)) static void nested(void)
{
    EXPECT(stillpoint_lock_shared(here), 0);
    share();
    EXPECT(stillpoint_unlock_shared(here), 0);
}

__attribute__((noinline)) static void tried(void)
{
    int result = stillpoint_trylock_shared(here);
    if (result == 0)
        leave_after_a_while();
    else
        EXPECT(result, -EAGAIN);
}

static void share_of_another_line(void)
{
    EXPECT(stillpoint_lock_shared(here), 0);
    EXPECT(stillpoint_unlock_shared(here), 0);
}

static void share_of_another_barrier(void)
{
    EXPECT(stillpoint_lock_shared(elsewhere), 0);
    EXPECT(stillpoint_unlock_shared(elsewhere), 0);
}

static void share_of_a_child(void)
{
    IN_CHILD({
        EXPECT(stillpoint_depth(here), 0);
        share();
        EXPECT(stillpoint_depth(here), 0);
    });
}

/* A tool that closes the gate when it is told to, and is inside as soon as nobody else is. */
static sem_t begun, ended;
static atomic_int granted;

static void *tool(void *argument)
{
    while (sem_wait(&begun) == 0 && *(atomic_bool *)argument) {
        EXPECT(stillpoint_lock_exclusive(here, 5000, -1), 0);
        granted++;
        for (int i = 0; i < 3; i++) {
            EXPECT(inside, 0);
            nap(1);
        }
        EXPECT(stillpoint_unlock_exclusive(here), 0);
        HOLDS(sem_post(&ended) == 0);
    }
    return NULL;
}

/* The tool has closed the gate, and if nobody is inside it is. */
static void a_pause(void)
{
    int before = granted;
    HOLDS(sem_post(&begun) == 0);
    while (!stillpoint_should_yield(here) && granted == before)
        sched_yield();
    nap(1);
}

static void try_for_a_while(void)
{
    lasts = 2;
    tried();
    lasts = 0;
}

static void try_in_a_pause(void)
{
    a_pause();
    try_for_a_while();
}

static void pause_in_a_share(void)
{
    EXPECT(stillpoint_lock_shared(here), 0);
    inside++;
    a_pause();
    inside--;
    EXPECT(stillpoint_unlock_shared(here), 0);
}

static void nothing(void) {}

static bool pauses(void (*handler)(void))
{
    return handler == a_pause || handler == try_in_a_pause || handler == pause_in_a_share;
}

/* At most so many instructions: those of entering and of leaving, where that matters. */
enum { ENTERING = 40, BETWEEN = 20, ALL = 100000 };

/* One handler at each instruction in turn, and another one at each of those that come next. */
static void at_each_two(void (*what)(void), void (*one)(void), void (*other)(void), long least, long most, long between)
{
    at_first = one;
    at_second = other;
    what();
    for (first = 0; first < most; first++) {
        for (second = first + least; second <= first + between; second++) {
            steps = 0;
            STRIKE();
            what();
            REST();
            EXPECT(stillpoint_depth(here), 0);
            if (steps > first && pauses(one))
                HOLDS(sem_wait(&ended) == 0);
            if (steps > second && pauses(other))
                HOLDS(sem_wait(&ended) == 0);
            /* The next one is the common case again. */
            what();
            if (steps <= second)
                break;
        }
        if (steps <= first)
            break;
    }
    HOLDS(first > 20);
}

static void at_each(void (*what)(void), void (*handler)(void))
{
    at_each_two(what, handler, nothing, 0, ALL, 0);
}

static void in_handlers(stillpoint *b)
{
    char other[600];
    snprintf(other, sizeof other, "%s/elsewhere.barrier", folder);
    EXPECT(stillpoint_open(other, STILLPOINT_CREATE, "check", &elsewhere), 0);
    here = b;
    void (*const all[])(void) = {share, share_of_another_line, share_of_another_barrier, nested, tried};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        at_each(share, all[i]);
        at_each(nested, all[i]);
        at_each(tried, all[i]);
    }
    stillpoint_close(elsewhere);
}

static void in_children(stillpoint *b)
{
    here = b;
    at_each(share, share_of_a_child);
}

static void beside_a_tool(stillpoint *b, void (*test)(void))
{
    pthread_t thread;
    atomic_bool goes_on = true;
    here = b;
    HOLDS(sem_init(&begun, 0, 0) == 0 && sem_init(&ended, 0, 0) == 0);
    EXPECT(pthread_create(&thread, NULL, tool, &goes_on), 0);
    test();
    goes_on = false;
    HOLDS(sem_post(&begun) == 0);
    EXPECT(pthread_join(thread, NULL), 0);
}

static void one_pause(void)
{
    lasts = 2;
    at_each(share, a_pause);
    lasts = 0;
    at_each(tried, try_in_a_pause);
    at_each(nested, pause_in_a_share);
}

/* Numbers come again where a handler has had a whole share. */
static void share_and_pause(void)
{
    at_each_two(share, share, try_in_a_pause, 1, ENTERING, BETWEEN);
}

/* The tool is inside when the second one strikes. */
static void pause_and_share(void)
{
    at_each_two(tried, a_pause, try_for_a_while, 1, ENTERING, BETWEEN);
}

/* The tool sleeps on this word of the gate until somebody has left. */
static void who_leaves_tells(void)
{
#ifdef STILLPOINT_LAYOUT_
    for (int times = 0; times < 2; times++) {
        EXPECT(stillpoint_lock_shared(here), 0);
        a_pause();
        const uint32_t *drain = (*stillpoint_thread_)->gate + 1;
        uint32_t before = __atomic_load_n(drain, __ATOMIC_RELAXED);
        EXPECT(stillpoint_unlock_shared(here), 0);
        HOLDS(__atomic_load_n(drain, __ATOMIC_RELAXED) != before);
        HOLDS(sem_wait(&ended) == 0);
    }
#endif
}

static void with_a_pause(stillpoint *b) { beside_a_tool(b, one_pause); }
static void with_a_share_before_a_pause(stillpoint *b) { beside_a_tool(b, share_and_pause); }
static void with_a_share_in_a_pause(stillpoint *b) { beside_a_tool(b, pause_and_share); }
static void at_the_end_in_a_pause(stillpoint *b) { beside_a_tool(b, who_leaves_tells); }

int main(int argc, char **argv)
{
    begin(argc, argv);
    struct sigaction action = {.sa_sigaction = struck, .sa_flags = SA_RESTART | SA_SIGINFO};
    EXPECT(sigaction(SIGTRAP, &action, NULL), 0);
    RUN(in_handlers);
    RUN(in_children);
    RUN(with_a_pause);
    RUN(with_a_share_before_a_pause);
    RUN(with_a_share_in_a_pause);
    RUN(at_the_end_in_a_pause);
}

#else

int main(void)
{
    puts("no trap flag: skipped");
}

#endif
