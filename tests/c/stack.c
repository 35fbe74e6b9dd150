/*
 * Shares on a small signal stack, that of the kernel's least frame and what the manual says besides.
 *
 * Arguments: the folder, and how many bytes besides.
 */
#include "check.h"

#include <sys/mman.h>

static stillpoint *handled;
static volatile sig_atomic_t first, again, tried;

static void take_shares(int signal)
{
    (void)signal;
    first = stillpoint_lock_shared(handled) | stillpoint_unlock_shared(handled);
    again = stillpoint_lock_shared(handled) | stillpoint_unlock_shared(handled);
    tried = stillpoint_timedlock_shared(handled, 250);
    if (tried == 0)
        tried = stillpoint_unlock_shared(handled);
}

static size_t size;

static void *on_a_small_stack(void *argument)
{
    (void)argument;
    size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (size + page - 1) / page * page;
    char *memory = mmap(NULL, page + whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    HOLDS(memory != MAP_FAILED);
    /* One byte too many is not forgiven. */
    EXPECT(mprotect(memory, page, PROT_NONE), 0);
    stack_t stack = {.ss_sp = memory + page, .ss_size = size};
    EXPECT(sigaltstack(&stack, NULL), 0);
    struct sigaction action = {.sa_handler = take_shares, .sa_flags = SA_ONSTACK};
    EXPECT(sigaction(SIGUSR1, &action, NULL), 0);
    EXPECT(raise(SIGUSR1), 0);
    EXPECT(first, 0);
    EXPECT(again, 0);
    return NULL;
}

static void shares_on_a_small_stack(stillpoint *b)
{
    handled = b;
    in_thread(on_a_small_stack, NULL);
    EXPECT(tried, 0);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    HOLDS(argc == 3);
    size = (size_t)sysconf(_SC_MINSIGSTKSZ) + (size_t)atoi(argv[2]);
    RUN(shares_on_a_small_stack);
}
