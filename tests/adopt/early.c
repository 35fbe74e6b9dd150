/* A library that locks a file when it is loaded: before the constructors of those that were named earlier. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>

__attribute__((constructor)) static void lock(void)
{
    FILE *file = fopen(getenv("EARLY"), "w");
    puts("asking");
    fflush(stdout);
    puts(flock(fileno(file), LOCK_EX) == 0 ? "got" : "not");
    fflush(stdout);
}
