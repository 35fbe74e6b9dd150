/* The share is around all that is written, the buffers included: a pipe that is full stops the writer in fclose(3). */
#include "../check.h"
#include "store.example"

#include <sys/stat.h>

static char message[600], list[600];

static int deliver(stillpoint *b) { return store(b, message, list, "text\n", "line\n"); }

static void it_is_inside_until_the_last_buffer_is_out(stillpoint *b)
{
    struct worker writer;
    char waste[4096] = "";
    snprintf(message, sizeof message, "%s/message", folder);
    snprintf(list, sizeof list, "%s/index", folder);
    EXPECT(mkfifo(list, 0600), 0);
    int pipe = open(list, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    HOLDS(pipe >= 0);
    while (write(pipe, waste, sizeof waste) > 0)
        ;
    hire(&writer);
    tell(&writer, deliver, b);
    UNTIL(access(message, F_OK) == 0);
    nap(100);
    EXPECT(seen_inside(), 1);
    EXPECT(stillpoint_lock_exclusive(b, 0, 100), -ETIMEDOUT);
    while (read(pipe, waste, sizeof waste) > 0)
        ;
    EXPECT(hear(&writer), 0);
    EXPECT(stillpoint_lock_exclusive(b, 20000, 20000), 0);
    EXPECT(stillpoint_unlock_exclusive(b), 0);
    dismiss(&writer);
    EXPECT(close(pipe), 0);
}

static void failures_keep_nothing(stillpoint *b)
{
    EXPECT(store(b, folder, list, "text\n", "line\n"), -EISDIR);
    EXPECT(stillpoint_depth(b), 0);
    EXPECT(store(b, "/dev/full", list, "text\n", "line\n"), -ENOSPC);
    EXPECT(stillpoint_depth(b), 0);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    RUN(it_is_inside_until_the_last_buffer_is_out);
    RUN(failures_keep_nothing);
}
