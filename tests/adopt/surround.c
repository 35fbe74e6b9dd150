/*
 * Runs a program where it may do less: surround WHAT... -- PROGRAM ARGUMENT...
 *   deny=ERRNO:NUMBER   the system call fails with that
 *   files=N memory=N    limits of resources
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static void filter(unsigned number, unsigned result)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, result),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = 4, .filter = rules};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
        exit(98);
}

static void limit(int resource, rlim_t value)
{
    struct rlimit both = {value, value};
    if (setrlimit(resource, &both))
        exit(97);
}

int main(int count, char **arguments)
{
    int at = 1;
    for (; at < count && strcmp(arguments[at], "--"); at++) {
        unsigned first, second;
        if (sscanf(arguments[at], "deny=%u:%u", &first, &second) == 2)
            filter(second, SECCOMP_RET_ERRNO | first);
        else if (sscanf(arguments[at], "files=%u", &first) == 1)
            limit(RLIMIT_NOFILE, first);
        else if (sscanf(arguments[at], "memory=%u", &first) == 1)
            limit(RLIMIT_AS, (rlim_t)first << 20);
        else
            return 96;
    }
    execvp(arguments[at + 1], arguments + at + 1);
    return 95;
}
