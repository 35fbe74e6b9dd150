/* The descriptor that says when the gate has opened: for event loops. */
#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>

/* How many threads of the library's own there are; each must have all signals blocked. */
static int helpers(void)
{
    int count = 0;
    DIR *tasks = opendir("/proc/self/task");
    HOLDS(tasks != NULL);
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
        char place[300], text[4096];
        snprintf(place, sizeof place, "/proc/self/task/%s/status", task->d_name);
        FILE *status = fopen(place, "r");
        if (status == NULL)
            continue;
        text[fread(text, 1, sizeof text - 1, status)] = '\0';
        fclose(status);
        if (strstr(text, "Name:\tstillpoint\n") == NULL)
            continue;
        count++;
        /* Which runs threads with masks of its own. */
        if (getenv("UNDER_VALGRIND") != NULL)
            continue;
        const char *blocked = strstr(text, "SigBlk:\t");
        HOLDS(blocked != NULL);
        /* All but SIGKILL and SIGSTOP; the C library keeps some beyond 31 for itself. */
        EXPECT((strtoull(blocked + 8, NULL, 16) | 0x40100) & 0x7fffffff, 0x7fffffff);
    }
    closedir(tasks);
    return count;
}

static void the_descriptor_says_when_the_gate_has_opened(stillpoint *b)
{
    int fd = stillpoint_gate_fd(b);
    HOLDS(fd > 2);
    HOLDS(readable(fd, 0));
    EXPECT(fcntl(fd, F_GETFD), FD_CLOEXEC);
    close(fd);
    EXPECT(helpers(), 0);
    struct worker tool;
    hire(&tool);
    for (int round = 0; round < 3; round++) {
        int many[10];
        uint64_t cookie;
        EXPECT(ask(&tool, pause_all, b), 0);
        for (int i = 0; i < 10; i++)
            HOLDS((many[i] = stillpoint_gate_fd(b)) > 2);
        HOLDS(!readable(many[0], 250) && !readable(many[9], 0));
        EXPECT(helpers(), 1);
        EXPECT(seen("\"kind\":\"process\""), 1);
        EXPECT(seen("\"waiting_ms\":null"), 0);
        EXPECT(ask(&tool, resume_all, b), 0);
        for (int i = 0; i < 10; i++) {
            HOLDS(readable(many[i], 5000));
            close(many[i]);
        }
        EXPECT(stillpoint_try_begin(b, &cookie), 0);
        EXPECT(stillpoint_end(b, cookie), 0);
        UNTIL(helpers() == 0);
    }
    dismiss(&tool);
}

/* Who gives up just closes it. Nobody's signal, and a number is given back. */
static void a_descriptor_may_be_closed_early(stillpoint *b)
{
    struct worker tool;
    hire(&tool);
    int before = dup(0);
    close(before);
    for (int round = 0; round < 20; round++) {
        EXPECT(ask(&tool, pause_all, b), 0);
        close(stillpoint_gate_fd(b));
        EXPECT(ask(&tool, resume_all, b), 0);
    }
    UNTIL(helpers() == 0);
    int after = dup(0);
    close(after);
    EXPECT(after, before);
    dismiss(&tool);
}

/* The program closes whatever it did not open; the numbers are files of its own when the gate opens. */
static void a_number_that_was_closed_is_not_touched(stillpoint *b)
{
    struct worker tool;
    hire(&tool);
    EXPECT(ask(&tool, pause_all, b), 0);
    int fd = stillpoint_gate_fd(b);
    int mine[2], above = fd + 1;
    close(above);
    close(fd);
    EXPECT(pipe(mine), 0);
    HOLDS(mine[0] == fd && mine[1] == above);
    EXPECT(ask(&tool, resume_all, b), 0);
    UNTIL(helpers() == 0);
    HOLDS(!readable(mine[0], 20));
    EXPECT(write(mine[1], "x", 1), 1);
    HOLDS(readable(mine[0], 0));
    close(mine[0]);
    close(mine[1]);
    dismiss(&tool);
}

/* Nobody but the helper is there to find out. */
static void a_dead_holder_is_noticed(stillpoint *b)
{
    int go[2];
    char byte;
    EXPECT(pipe(go), 0);
    pid_t child = fork();
    if (child == 0) {
        EXPECT(stillpoint_lock_exclusive(b, 5000, -1), 0);
        HOLDS(write(go[1], "x", 1) == 1);
        alarm(30);
        pause();
    }
    EXPECT(read(go[0], &byte, 1), 1);
    int fd = stillpoint_gate_fd(b);
    HOLDS(!readable(fd, 150));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    HOLDS(readable(fd, 5000));
    close(fd);
    close(go[0]);
    close(go[1]);
}

static int pause_for_200_ms(stillpoint *b) { return stillpoint_lock_exclusive(b, 100, 200); }

/* Nor for the limit of the pause. */
static void a_pause_beyond_its_limit_is_ended(stillpoint *b)
{
    struct worker tool;
    hire(&tool);
    EXPECT(ask(&tool, pause_for_200_ms, b), 0);
    int fd = stillpoint_gate_fd(b);
    HOLDS(readable(fd, 5000));
    EXPECT(ask(&tool, resume_all, b), -ECANCELED);
    close(fd);
    dismiss(&tool);
}

/* A helper is no thread of the child's: it begins one anew. */
static void a_child_waits_by_a_helper_of_its_own(stillpoint *b)
{
    struct worker tool;
    hire(&tool);
    EXPECT(ask(&tool, pause_all, b), 0);
    int fd = stillpoint_gate_fd(b), status;
    UNTIL(helpers() == 1);
    int go[2];
    char byte;
    EXPECT(pipe(go), 0);
    pid_t child = fork();
    if (child == 0) {
        EXPECT(helpers(), 0);
        int own = stillpoint_gate_fd(b);
        HOLDS(own > 2);
        HOLDS(!readable(own, 20));
        EXPECT(helpers(), 1);
        HOLDS(write(go[1], "x", 1) == 1);
        HOLDS(readable(own, 5000));
        _exit(0);
    }
    EXPECT(read(go[0], &byte, 1), 1);
    EXPECT(ask(&tool, resume_all, b), 0);
    HOLDS(readable(fd, 5000));
    EXPECT(waitpid(child, &status, 0), child);
    EXPECT(status, 0);
    close(fd);
    close(go[0]);
    close(go[1]);
    dismiss(&tool);
}

/* A descriptor that is waited on keeps no process in the barrier: the share is lost at once. */
static void who_listens_hears_that_the_barrier_was_closed(stillpoint *b)
{
    uint64_t held, another;
    int status;
    EXPECT(stillpoint_begin(b, &held), 0);
    pid_t child = fork();
    if (child == 0) {
        EXPECT(stillpoint_lock_exclusive(b, 20000, -1), 0);
        EXPECT(stillpoint_unlock_exclusive(b), 0);
        _exit(0);
    }
    UNTIL(stillpoint_try_begin(b, &another) == -EAGAIN || stillpoint_end(b, another) != 0);
    int fd = stillpoint_gate_fd(b);
    HOLDS(!readable(fd, 20));
    EXPECT(helpers(), 1);
    stillpoint_close(b);
    losses = 1;
    HOLDS(readable(fd, 5000));
    EXPECT(waitpid(child, &status, 0), child);
    EXPECT(status, 0);
    UNTIL(helpers() == 0);
    close(fd);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    RUN(the_descriptor_says_when_the_gate_has_opened);
    RUN(a_descriptor_may_be_closed_early);
    RUN(a_number_that_was_closed_is_not_touched);
    RUN(a_dead_holder_is_noticed);
    RUN(a_pause_beyond_its_limit_is_ended);
    RUN(a_child_waits_by_a_helper_of_its_own);
    RUN(who_listens_hears_that_the_barrier_was_closed);
}
