/*
 * A set-user-ID program: what the user who starts it has in his environment decides nothing.
 *
 * Arguments: the folder, and what the barrier's pause covers by STILLPOINT_HELD, or nothing.
 */
#include "check.h"

#include <sys/auxv.h>

int main(int argc, char **argv)
{
    stillpoint *b;
    begin(argc, argv);
    HOLDS(getauxval(AT_SECURE) != 0);
    /* Nothing is made, and nothing is looked for where the user says. */
    EXPECT(stillpoint_open("no-such-barrier", 0, NULL, &b), -ENOENT);
    EXPECT(stillpoint_open("decoy", 0, NULL, &b), -ENOENT);
    snprintf(path, sizeof path, "%s/real.barrier", folder);
    EXPECT(stillpoint_open(path, 0, NULL, &b), 0);
    if (argc == 3) {
        /* Somebody's pause is not ours, whatever the user says. */
        EXPECT(stillpoint_trylock_shared(b), -EAGAIN);
        return 0;
    }
    EXPECT(stillpoint_lock_shared(b), 0);
    /* Goes on only if STILLPOINT_ASSERT is believed. */
    printf("asserting\n");
    fflush(stdout);
    stillpoint_assert_not_held(b);
    printf("survived\n");
    return 0;
}
