/*
 * The master: starts the processes that serve, replaces those that end, ends them all.
 */
#ifndef MASTER_H
#define MASTER_H

#include "server.h"

/* Until SIGTERM or SIGINT. The exit status. */
int master(const struct server *server);

#endif
