/*
 * The protocol: RFC 2033, with PIPELINING, 8BITMIME, SIZE and ENHANCEDSTATUSCODES.
 */
#ifndef LMTP_H
#define LMTP_H

#include "server.h"

/* Serves one client until it leaves, or is to be left. */
void lmtp_session(const struct server *server, int client);

#endif
