/*
 * The client's connection: lines, messages, replies. Every wait has a limit, and ends when the daemon
 * is to stop.
 */
#ifndef WIRE_H
#define WIRE_H

#include <stdbool.h>
#include <stddef.h>

struct wire {
    int socket;
    int timeout_ms;
    size_t start, end;
    char buffer[4096];
};

enum heard {
    HEARD,
    TOO_LONG,    /* a line; it has been read to its end */
    HUNG_UP,     /* or the connection is broken */
    SILENT,      /* for longer than the limit */
    INTERRUPTED, /* the daemon is to stop */
};

/* Takes the next piece of a message. */
typedef void wire_sink(void *to, const char *bytes, size_t length);

void wire_begin(struct wire *wire, int socket, int timeout_ms);

/* The next line, without its end, as a string. */
enum heard wire_line(struct wire *wire, char *line, size_t size);

/* A message, up to the line that is a single dot; the dots that protect others are taken away. */
enum heard wire_message(struct wire *wire, wire_sink *sink, void *to);

/* False: the client does not take it. */
bool wire_reply(struct wire *wire, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
