/* Counted shares: for event loops, and for whatever begins in one thread and ends in another. */
#include "check.h"

#include <stdint.h>
#include <sys/mman.h>

/* What is called without the macros. */
static int (*const plain_begin)(stillpoint *, uint64_t *) = stillpoint_begin;
static int (*const plain_try)(stillpoint *, uint64_t *) = stillpoint_try_begin;
static int (*const plain_timed)(stillpoint *, int, uint64_t *) = stillpoint_timed_begin;

static uint64_t given;

static int begin_one(stillpoint *b) { return stillpoint_begin(b, &given); }
static int end_given(stillpoint *b) { return stillpoint_end(b, given); }

static void any_thread_may_end_it(stillpoint *b)
{
    struct worker first, second;
    hire(&first);
    hire(&second);
    EXPECT(ask(&first, begin_one, b), 0);
    HOLDS(given != 0);
    EXPECT(seen_inside(), 1);
    EXPECT(ask(&first, depth, b), 0);
    /* It outlives the thread that began it. */
    dismiss(&first);
    EXPECT(seen_inside(), 1);
    EXPECT(stillpoint_lock_exclusive(b, 20, -1), -ETIMEDOUT);
    EXPECT(ask(&second, end_given, b), 0);
    EXPECT(seen_inside(), 0);
    EXPECT(ask(&second, end_given, b), -EPERM);
    dismiss(&second);
    EXPECT(stillpoint_dirty_epoch(b), 0);
}

static void a_wrong_cookie_ends_nothing(stillpoint *b)
{
    uint64_t mine, others = 7;
    stillpoint *other, *same;
    char place[600];
    snprintf(place, sizeof place, "%s/other.barrier", folder);
    EXPECT(stillpoint_open(place, STILLPOINT_CREATE, NULL, &other), 0);
    EXPECT(stillpoint_open(path, 0, NULL, &same), 0);
    EXPECT(stillpoint_begin(b, &mine), 0);
    EXPECT(stillpoint_begin(other, &others), 0);
    uint64_t wrong[] = {0, 1, mine + 1, mine - 1, ~mine, others, UINT64_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        EXPECT(stillpoint_end(b, wrong[i]), -EPERM);
    EXPECT(stillpoint_end(other, mine), -EPERM);
    EXPECT(seen_inside(), 1);
    EXPECT(stillpoint_end(same, mine), 0);
    EXPECT(stillpoint_end(b, mine), -EPERM);
    EXPECT(stillpoint_end(other, others), 0);
    EXPECT(stillpoint_begin(b, NULL), -EINVAL);
    EXPECT(stillpoint_timed_begin(b, -1, &mine), -EINVAL);
    EXPECT(mine, 0);
    stillpoint_close(other);
    stillpoint_close(same);
    unlink(place);
}

static void each_one_asks_the_gate(stillpoint *b)
{
    uint64_t held, another = 1;
    struct worker tool;
    hire(&tool);
    EXPECT(plain_begin(b, &held), 0);
    tell(&tool, pause_all, b);
    UNTIL(plain_try(b, &another) == -EAGAIN || stillpoint_end(b, another) != 0);
    EXPECT(another, 0);
    EXPECT(plain_timed(b, 20, &another), -ETIMEDOUT);
    EXPECT(stillpoint_should_yield(b), 1);
    /* One thread, and the exclusive side gets in. */
    EXPECT(stillpoint_end(b, held), 0);
    EXPECT(hear(&tool), 0);
    EXPECT(stillpoint_try_begin(b, &another), -EAGAIN);
    EXPECT(stillpoint_timed_begin(b, 0, &another), -ETIMEDOUT);
    EXPECT(ask(&tool, begin_one, b), -EDEADLK);
    EXPECT(ask(&tool, resume_all, b), 0);
    EXPECT(stillpoint_timed_begin(b, 5000, &another), 0);
    EXPECT(stillpoint_end(b, another), 0);
    dismiss(&tool);
}

/* An event loop's 4 tasks on one thread, whose sets of writes overlap without end. */
static void overlapping_ones_do_not_keep_the_gate_open(stillpoint *b)
{
    enum { TASKS = 4 };
    uint64_t held[TASKS] = {0};
    struct worker tool;
    int paused = 0;
    hire(&tool);
    for (int task = 0; task < TASKS; task++)
        EXPECT(stillpoint_begin(b, &held[task]), 0);
    tell(&tool, pause_all, b);
    while (!paused) {
        int left = 0;
        for (int task = 0; task < TASKS; task++) {
            if (held[task] != 0)
                EXPECT(stillpoint_end(b, held[task]), 0);
            int result = stillpoint_try_begin(b, &held[task]);
            HOLDS(result == 0 || result == -EAGAIN);
            left += result == 0;
        }
        paused = left == 0 && readable(tool.results[0], 50);
    }
    EXPECT(hear(&tool), 0);
    EXPECT(ask(&tool, resume_all, b), 0);
    dismiss(&tool);
}

static void a_child_has_none_of_its_parents(stillpoint *b)
{
    struct {
        uint64_t cookie;
        int go;
    } *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint64_t held;
    EXPECT(stillpoint_begin(b, &held), 0);
    IN_CHILD({
        EXPECT(stillpoint_end(b, held), -EPERM);
        EXPECT(stillpoint_begin(b, &shared->cookie), 0);
        HOLDS(shared->cookie != held);
        EXPECT(seen_inside(), 2);
        EXPECT(stillpoint_end(b, held), -EPERM);
        EXPECT(stillpoint_end(b, shared->cookie), 0);
    });
    /* What would come next, had the child gone on where its parent was. */
    for (uint64_t i = 0; i < 4; i++)
        EXPECT(stillpoint_end(b, shared->cookie - 2 + i), -EPERM);
    EXPECT(seen_inside(), 1);
    EXPECT(stillpoint_end(b, held), 0);
    munmap(shared, 4096);
}

/* However many are inside: one process, one loss. */
static void whoever_ends_with_some_is_lost_once(stillpoint *b)
{
    for (unsigned way = 0; way < 4; way++) {
        pid_t child = fork();
        if (child == 0) {
            uint64_t cookies[3];
            for (int i = 0; i < 3; i++)
                EXPECT(stillpoint_begin(b, &cookies[i]), 0);
            if (way == 0)
                _exit(0);
            if (way == 1)
                exit(0);
            if (way == 2)
                raise(SIGKILL);
            execlp("true", "true", (char *)NULL);
        }
        waitpid(child, NULL, 0);
        EXPECT(stillpoint_lock_exclusive(b, 5000, -1), 0);
        EXPECT(stillpoint_unlock_exclusive(b), 0);
        EXPECT(stillpoint_dirty_epoch(b), way + 1);
        losses = way + 1;
    }
}

static void it_is_lost_when_its_barrier_is_closed(stillpoint *b)
{
    uint64_t cookie;
    stillpoint *again;
    EXPECT(stillpoint_begin(b, &cookie), 0);
    IN_CHILD(EXPECT(stillpoint_lock_exclusive(b, 20, -1), -ETIMEDOUT));
    stillpoint_close(b);
    losses = 1;
    EXPECT(stillpoint_end(b, cookie), -EBADF);
    EXPECT(stillpoint_open(path, 0, NULL, &again), 0);
    EXPECT(stillpoint_end(again, cookie), -EPERM);
    EXPECT(stillpoint_dirty_epoch(again), 1);
    stillpoint_close(again);
}

static stillpoint *of_all;

static void *begin_and_end(void *argument)
{
    enum { MANY = 500 };
    uint64_t cookies[MANY];
    (void)argument;
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < MANY; i++)
            EXPECT(stillpoint_begin(of_all, &cookies[i]), 0);
        for (int i = 0; i < MANY; i++)
            EXPECT(stillpoint_end(of_all, cookies[(i * 7) % MANY]), 0);
    }
    return NULL;
}

static void thousands_at_once(stillpoint *b)
{
    pthread_t threads[4];
    of_all = b;
    for (int i = 0; i < 4; i++)
        EXPECT(pthread_create(&threads[i], NULL, begin_and_end, NULL), 0);
    for (int i = 0; i < 4; i++)
        EXPECT(pthread_join(threads[i], NULL), 0);
    EXPECT(seen_inside(), 0);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    RUN(any_thread_may_end_it);
    RUN(a_wrong_cookie_ends_nothing);
    RUN(each_one_asks_the_gate);
    RUN(overlapping_ones_do_not_keep_the_gate_open);
    RUN(a_child_has_none_of_its_parents);
    RUN(whoever_ends_with_some_is_lost_once);
    RUN(it_is_lost_when_its_barrier_is_closed);
    RUN(thousands_at_once);
}
