/* The example of a handler: the file is cut inside a share, and this goes on. */
#include "../check.h"

#include "survive.example"

static void survives(stillpoint *b)
{
    EXPECT(handle_sigbus(), 0);
    EXPECT(stillpoint_lock_shared(b), 0);
    HOLDS(truncate(path, 0) == 0);
    EXPECT(stillpoint_unlock_shared(b), 0);
    EXPECT(stillpoint_lock_shared(b), -EBADMSG);
    HOLDS(unlink(path) == 0);
    stillpoint *anew;
    EXPECT(stillpoint_open(path, STILLPOINT_CREATE, "anew", &anew), 0);
    EXPECT(stillpoint_lock_shared(b), 0);
    EXPECT(stillpoint_unlock_shared(b), 0);
    stillpoint_close(anew);
    /* What is not the barrier's ends the program as before. */
    pid_t child = fork();
    HOLDS(child >= 0);
    if (child == 0)
        raise(SIGBUS);
    int status;
    EXPECT(waitpid(child, &status, 0), child);
    HOLDS(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    RUN(survives);
}
