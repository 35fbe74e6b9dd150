/* Has a lock on a file in one of many ways, says so, and keeps it until it is told to go on: holder HOW FILE */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

static void classic(int fd, int command, short type)
{
    struct flock lock = { .l_type = type, .l_whence = SEEK_SET };
    if (fcntl(fd, command, &lock) != 0)
        err(1, "fcntl");
}

int main(int count, char **words)
{
    if (count != 3)
        errx(1, "holder HOW FILE");
    const char *how = words[1];
    int fd = open(words[2], O_RDWR | O_CREAT, 0666);
    if (fd < 0)
        err(1, "%s", words[2]);
    pid_t child = -1;
    if (!strcmp(how, "classic")) {
        classic(fd, F_SETLK, F_WRLCK);
    } else if (!strcmp(how, "description")) {
        classic(fd, F_OFD_SETLK, F_WRLCK);
    } else if (!strcmp(how, "flock")) {
        if (flock(fd, LOCK_EX) != 0)
            err(1, "flock");
    } else if (!strcmp(how, "left")) {
        /* flock(1) in a script: whoever took it has ended. */
        child = fork();
        if (child == 0)
            _exit(flock(fd, LOCK_EX) != 0);
        int status;
        if (waitpid(child, &status, 0) != child || status != 0)
            errx(1, "the child did not lock");
        child = -1;
    } else if (!strcmp(how, "read")) {
        classic(fd, F_SETLK, F_RDLCK);
    } else if (!strcmp(how, "shared")) {
        if (flock(fd, LOCK_SH) != 0)
            err(1, "flock");
    } else if (!strcmp(how, "lease")) {
        if (fcntl(fd, F_SETLEASE, F_WRLCK) != 0)
            err(1, "lease");
    } else if (!strcmp(how, "waits")) {
        classic(fd, F_SETLK, F_RDLCK);
        child = fork();
        if (child == 0) {
            classic(fd, F_SETLKW, F_WRLCK);
            _exit(0);
        }
        usleep(100000);
    } else if (strcmp(how, "none")) {
        errx(1, "%s: not known", how);
    }
    printf("held\n");
    fflush(stdout);
    getchar();
    if (child > 0) {
        classic(fd, F_SETLK, F_UNLCK);
        waitpid(child, NULL, 0);
    }
    return 0;
}
