/*
 * The client's connection: lines, messages, replies.
 *
 * Only CR LF ends a line of a message (RFC 5321, 2.3.8): were a bare LF to do, too, a message could
 * carry commands past a relay that thinks otherwise. Lines of a message may have any length, as they
 * are never held as a whole.
 */
#define _GNU_SOURCE
#include "wire.h"

#include "stop.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

void wire_begin(struct wire *wire, int socket, int timeout_ms)
{
    wire->socket = socket;
    wire->timeout_ms = timeout_ms;
    wire->start = wire->end = 0;
}

static enum heard fill(struct wire *wire)
{
    for (;;) {
        switch (wait_for(wire->socket, POLLIN, wire->timeout_ms)) {
        case STOPPING:
            return INTERRUPTED;
        case TIMED_OUT:
            return SILENT;
        case READY:
            break;
        }
        ssize_t length = recv(wire->socket, wire->buffer, sizeof wire->buffer, 0);
        if (length > 0) {
            wire->start = 0;
            wire->end = (size_t)length;
            return HEARD;
        }
        if (length == 0 || (errno != EAGAIN && errno != EINTR))
            return HUNG_UP;
    }
}

enum heard wire_line(struct wire *wire, char *line, size_t size)
{
    size_t length = 0;
    bool whole = true;
    for (;;) {
        if (wire->start == wire->end) {
            enum heard heard = fill(wire);
            if (heard != HEARD)
                return heard;
        }
        char byte = wire->buffer[wire->start++];
        if (byte == '\n')
            break;
        if (length + 1 < size && byte != '\0')
            line[length++] = byte;
        else
            whole = false;
    }
    if (length > 0 && line[length - 1] == '\r')
        length--;
    line[length] = '\0';
    return whole ? HEARD : TOO_LONG;
}

/* Where in a message the next byte stands. */
enum position { LINE_START, AFTER_DOT, AFTER_DOT_CR, WITHIN, AFTER_CR, THE_END };

/* The text that a byte adds to the message, and the position after it. */
static enum position step(enum position position, char byte, char text[2], size_t *length)
{
    *length = 0;
    if (position == LINE_START && byte == '.')
        return AFTER_DOT;
    if (position == AFTER_DOT && byte == '\r')
        return AFTER_DOT_CR;
    if (position == AFTER_DOT_CR) {
        if (byte == '\n')
            return THE_END;
        text[(*length)++] = '\r';
        position = AFTER_CR;
    }
    text[(*length)++] = byte;
    if (byte == '\r')
        return AFTER_CR;
    return position == AFTER_CR && byte == '\n' ? LINE_START : WITHIN;
}

enum heard wire_message(struct wire *wire, wire_sink *sink, void *to)
{
    enum position position = LINE_START;
    while (position != THE_END) {
        char text[2 * sizeof wire->buffer];
        size_t length = 0;
        if (wire->start == wire->end) {
            enum heard heard = fill(wire);
            if (heard != HEARD)
                return heard;
        }
        while (wire->start < wire->end && position != THE_END) {
            size_t more;
            position = step(position, wire->buffer[wire->start++], text + length, &more);
            length += more;
        }
        sink(to, text, length);
    }
    return HEARD;
}

bool wire_reply(struct wire *wire, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text - 2, format, arguments);
    va_end(arguments);
    if (length < 0)
        return false;
    size_t left = (size_t)length < sizeof text - 2 ? (size_t)length : sizeof text - 3;
    memcpy(text + left, "\r\n", 2);
    left += 2;
    for (const char *next = text; left > 0;) {
        ssize_t sent = send(wire->socket, next, left, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            next += sent;
            left -= (size_t)sent;
        } else if (errno != EINTR
                   && (errno != EAGAIN
                       || wait_for(wire->socket, POLLOUT, wire->timeout_ms) != READY)) {
            return false;
        }
    }
    return true;
}
