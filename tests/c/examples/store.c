/* The share is around all that is written, the buffers included: a lock on the last file, kept by the pause, shows it. */
#include "../check.h"
#include "store.example"

static char message[600], list[600];

static long size_of(const char *name)
{
    FILE *file = fopen(name, "r");
    if (file == NULL)
        return 0;
    EXPECT(fseek(file, 0, SEEK_END), 0);
    long size = ftell(file);
    EXPECT(fclose(file), 0);
    return size;
}

static int deliver(stillpoint *b) { return store(b, message, list, "text\n", "line\n"); }

static void a_set_is_whole_in_a_pause(stillpoint *b)
{
    struct worker writer;
    snprintf(message, sizeof message, "%s/message", folder);
    snprintf(list, sizeof list, "%s/index", folder);
    hire(&writer);
    EXPECT(ask(&writer, deliver, b), 0);
    for (int round = 0; round < 50; round++) {
        tell(&writer, deliver, b);
        int paused = stillpoint_lock_exclusive(b, 5000, 5000);
        EXPECT(paused, 0);
        EXPECT(size_of(message), size_of(list));
        EXPECT(stillpoint_unlock_exclusive(b), 0);
        EXPECT(hear(&writer), 0);
    }
    EXPECT(size_of(message), 51 * 5);
    dismiss(&writer);
    EXPECT(store(b, folder, list, "text\n", "line\n"), -EISDIR);
    EXPECT(stillpoint_depth(b), 0);
    EXPECT(store(b, "/dev/full", list, "text\n", "line\n"), -ENOSPC);
    EXPECT(stillpoint_depth(b), 0);
}

int main(int argc, char **argv)
{
    begin(argc, argv);
    RUN(a_set_is_whole_in_a_pause);
}
