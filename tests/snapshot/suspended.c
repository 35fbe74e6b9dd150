/* The clock of a machine that was suspended for an hour: from when the file that SUSPENDED names is
 * there, the clock that counts suspension is that much ahead, and no other one is. */
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *time)
{
    int (*real)(clockid_t, struct timespec *) =
        (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, time);
    const char *suspended = getenv("SUSPENDED");
    if (!failed && clock == CLOCK_BOOTTIME && suspended && !access(suspended, F_OK))
        time->tv_sec += 3600;
    return failed;
}
