/* Locks as Cyrus IMAP 3.12 does for every change: a lock file opened anew for each acquisition, made and
 * truncated on the way, with its folders made when they are missing; then fcntl(2) for reading, waited
 * for without end, on the whole file.
 *
 *   cyrus_writer write LOCK A B   one number after another to A and then to B, until it is ended
 *   cyrus_writer hold LOCK        says "locked", and holds until standard input ends
 *   cyrus_writer relay LOCK       three processes in turn, the next before the last one leaves, until it is ended
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void make_folders(const char *path)
{
    char *copy = strdup(path);
    for (char *slash = copy + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        if (mkdir(copy, 0755) && errno != EEXIST)
            fail(copy);
        *slash = '/';
    }
    free(copy);
}

static void lock(int fd, short type)
{
    struct flock whole = {.l_type = type, .l_whence = SEEK_SET};
    while (fcntl(fd, F_SETLKW, &whole))
        if (errno != EINTR)
            fail("fcntl");
}

static int enter(const char *path)
{
    int fd = open(path, O_CREAT | O_TRUNC | O_RDWR, 0666);
    if (fd < 0) {
        make_folders(path);
        fd = open(path, O_CREAT | O_TRUNC | O_RDWR, 0666);
    }
    if (fd < 0)
        fail(path);
    lock(fd, F_RDLCK);
    return fd;
}

static void leave(int fd)
{
    lock(fd, F_UNLCK);
    close(fd);
}

static void put(const char *path, unsigned long number)
{
    char text[21];
    snprintf(text, sizeof text, "%020lu", number);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    if (fd < 0 || write(fd, text, 20) != 20)
        fail(path);
    close(fd);
}

/* One of those who take turns: told by one pipe, it tells the next by another when it is inside and has been
 * there for a while, and leaves when that one is inside. */
static void runner(const char *path, int told, int inside, int tell, int next_inside)
{
    char byte = 0;
    while (read(told, &byte, 1) == 1) {
        int fd = enter(path);
        if (write(inside, &byte, 1) != 1)
            return;
        usleep(20000);
        if (write(tell, &byte, 1) != 1 || read(next_inside, &byte, 1) != 1)
            return;
        leave(fd);
    }
}

static int relay(const char *path)
{
    enum { RUNNERS = 3 };
    int told[RUNNERS][2], inside[RUNNERS][2];
    for (int i = 0; i < RUNNERS; i++)
        if (pipe(told[i]) || pipe(inside[i]))
            fail("pipe");
    for (int i = 0; i < RUNNERS; i++) {
        int next = (i + 1) % RUNNERS;
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            runner(path, told[i][0], inside[i][1], told[next][1], inside[next][0]);
            exit(1);
        }
    }
    char byte;
    if (write(told[0][1], "", 1) != 1 || read(inside[0][0], &byte, 1) != 1)
        fail("relay");
    puts("locked");
    fflush(stdout);
    pause();
    return 0;
}

int main(int argc, char **argv)
{
    umask(077);
    if (argc == 5 && !strcmp(argv[1], "write")) {
        for (unsigned long number = 1;; number++) {
            int fd = enter(argv[2]);
            put(argv[3], number);
            usleep(2000);
            put(argv[4], number);
            leave(fd);
            usleep(2000);
        }
    }
    if (argc == 3 && !strcmp(argv[1], "relay"))
        return relay(argv[2]);
    if (argc == 3 && !strcmp(argv[1], "hold")) {
        int fd = enter(argv[2]);
        puts("locked");
        fflush(stdout);
        while (getchar() != EOF)
            ;
        leave(fd);
        return 0;
    }
    fprintf(stderr, "cyrus_writer: wrong usage\n");
    return 64;
}
