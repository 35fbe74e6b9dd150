/*
 * maildropd: a small mail server that takes messages by LMTP and drops them into mailboxes, as an
 * example of a daemon that takes part in a barrier.
 *
 *   maildropd --add NAME STORE BARRIER    makes a mailbox
 *   maildropd --repair STORE BARRIER      sets right what deliveries that were cut short have left
 *   maildropd [OPTIONS] STORE BARRIER     serves on a port of the loopback interface, and prints it
 *
 * Reading order: mailbox.c (where the share goes), lmtp.c and server.c (where none may be held),
 * master.c (joining in children), stop.c (an end that cuts nothing short).
 */
#define _GNU_SOURCE
#include "master.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

static const struct option options[] = {
    {"add", required_argument, NULL, 'a'},     {"children", required_argument, NULL, 'c'},
    {"leak", required_argument, NULL, 'l'},    {"port", required_argument, NULL, 'p'},
    {"quota", required_argument, NULL, 'q'},   {"repair", no_argument, NULL, 'r'},
    {"size", required_argument, NULL, 's'},    {"slow", required_argument, NULL, 'x'},
    {"threads", required_argument, NULL, 't'}, {"timeout", required_argument, NULL, 'w'},
    {"user", required_argument, NULL, 'u'},    {NULL, 0, NULL, 0},
};

static void usage(void)
{
    fputs("Usage: maildropd [--children N] [--threads N] [--port N] [--user NAME] [--quota BYTES]\n"
          "                 [--size BYTES] [--timeout SECONDS] [--leak MAILBOX] [--slow MS]\n"
          "                 STORE BARRIER\n"
          "       maildropd --add MAILBOX STORE BARRIER\n"
          "       maildropd --repair STORE BARRIER\n",
          stderr);
    exit(EX_USAGE);
}

static void fail(int status, const char *what, const char *why)
{
    fprintf(stderr, "maildropd[%d]: %s: %s\n", (int)getpid(), what, why);
    exit(status);
}

static uint64_t number(const char *text, uint64_t least, uint64_t most)
{
    char *end;
    errno = 0;
    uint64_t value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < least || value > most)
        usage();
    return value;
}

static void find_user(struct server *server, const char *name)
{
    const struct passwd *user = getpwnam(name);
    if (user == NULL)
        fail(EX_NOUSER, name, "no such user");
    server->other_user = true;
    server->uid = user->pw_uid;
    server->gid = user->pw_gid;
}

/* Listens, and says where. LMTP must not be on port 25 (RFC 2033, 5). */
static int listen_on(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t length = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int on = 1;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0
        || bind(listener, (struct sockaddr *)&address, length) != 0
        || listen(listener, SOMAXCONN) != 0
        || getsockname(listener, (struct sockaddr *)&address, &length) != 0)
        fail(EX_UNAVAILABLE, "cannot listen", strerror(errno));
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

int main(int argc, char **argv)
{
    struct server server = {.children = 4, .timeout_ms = 300000, .size = 10 << 20};
    const char *add = NULL;
    bool repair = false;
    uint16_t port = 0;
    server.store.quota = UINT64_MAX / 2;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'a':
            add = optarg;
            break;
        case 'c':
            server.children = (unsigned)number(optarg, 1, 1000);
            break;
        case 'l':
            server.store.leak = optarg;
            break;
        case 'p':
            port = (uint16_t)number(optarg, 0, UINT16_MAX);
            break;
        case 'q':
            server.store.quota = number(optarg, 0, UINT64_MAX / 2);
            break;
        case 'r':
            repair = true;
            break;
        case 's':
            server.size = number(optarg, 1, UINT64_MAX / 2);
            break;
        case 't':
            server.threads = (unsigned)number(optarg, 1, 1000);
            break;
        case 'u':
            find_user(&server, optarg);
            break;
        case 'x':
            server.store.slow_ms = (unsigned)number(optarg, 0, 999);
            break;
        case 'w':
            server.timeout_ms = (int)number(optarg, 1, 86400) * 1000;
            break;
        default:
            usage();
        }
    }
    if (argc - optind != 2 || port == 25)
        usage();
    umask(077);
    int opened = stillpoint_open(argv[optind + 1], 0, "maildropd", &server.store.barrier);
    if (opened < 0)
        fail(EX_UNAVAILABLE, argv[optind + 1], stillpoint_strerror(opened));
    server.store.folder = open(argv[optind], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (server.store.folder < 0)
        fail(EX_NOINPUT, argv[optind], strerror(errno));

    int status;
    if (add != NULL) {
        status = mailbox_create(&server.store, add) ? EXIT_SUCCESS : EX_CANTCREAT;
    } else if (repair) {
        status = store_repair(&server.store) ? EXIT_SUCCESS : EX_DATAERR;
    } else {
        server.listener = listen_on(port);
        status = master(&server);
    }
    stillpoint_close(server.store.barrier);
    return status;
}
