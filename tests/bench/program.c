/*
 * What a program in C does, as its compiler makes it of the header.
 */
#include "stillpoint.h"

int program_pairs(stillpoint *b, uint64_t count);
int program_nested_pairs(stillpoint *b, uint64_t count);

/* Gives 0 if all went well. */
int program_pairs(stillpoint *b, uint64_t count)
{
    int failed = 0;
    while (count-- > 0) {
        failed |= stillpoint_lock_shared(b);
        __asm__ volatile("" ::: "memory");
        failed |= stillpoint_unlock_shared(b);
    }
    return failed;
}

int program_nested_pairs(stillpoint *b, uint64_t count)
{
    int failed = stillpoint_lock_shared(b);
    failed |= program_pairs(b, count);
    return failed | stillpoint_unlock_shared(b);
}
