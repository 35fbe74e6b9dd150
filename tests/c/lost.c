/* Ends inside a share, in the way that its second argument names, and prints the line that took it. */
#include "locks.h"

static int (*const lock_nowhere)(stillpoint *) = stillpoint_lock_shared;

#define TAKEN(how)                 \
    do {                           \
        printf("%d\n", __LINE__);  \
        fflush(stdout);            \
        EXPECT(how, 0);            \
    } while (0)

static bool is(const char *word, const char *other) { return strcmp(word, other) == 0; }

static void *end(void *b)
{
    TAKEN(stillpoint_lock_shared(b));
    return NULL;
}

int main(int argc, char **argv)
{
    stillpoint *b;
    pthread_t thread;
    begin(argc, argv);
    HOLDS(argc == 3);
    const char *how = argv[2];
    snprintf(path, sizeof path, "%s/lost.barrier", folder);
    EXPECT(stillpoint_open(path, STILLPOINT_CREATE, "check", &b), 0);
    int fd = file("mailbox");

    /* Another one, as a program has taken many. */
    EXPECT(stillpoint_lock_shared(b), 0);
    EXPECT(stillpoint_unlock_shared(b), 0);
    if (is(how, "nowhere")) {
        EXPECT(lock_nowhere(b), 0);
    } else if (is(how, "thread")) {
        EXPECT(pthread_create(&thread, NULL, end, b), 0);
        pthread_join(thread, NULL);
    } else if (is(how, "lease")) {
        TAKEN(stillpoint_flock(b, fd, LOCK_EX));
    } else {
        TAKEN(stillpoint_trylock_shared(b));
        EXPECT(stillpoint_lock_shared(b), 0);
    }
    if (is(how, "_exit"))
        _exit(0);
    if (is(how, "kill"))
        raise(SIGKILL);
    if (is(how, "exit"))
        exit(0);
    return 0;
}
