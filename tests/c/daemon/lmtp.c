/*
 * The protocol: RFC 2033, with PIPELINING, 8BITMIME, SIZE and ENHANCEDSTATUSCODES.
 *
 * A message is read whole, into a file that nobody else sees, before any mailbox is touched: the
 * client decides how long that takes, and a snapshot must never wait for a client. Then each recipient
 * gets his delivery and his own reply; no share is held while a reply is written, for the client
 * decides how long that takes, too.
 */
#define _GNU_SOURCE
#include "lmtp.h"

#include "wire.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

/* RFC 5321 asks for 512 and 100 at least. */
#define LINE_LENGTH 2048
#define RECIPIENTS 100
#define NAME_LENGTH 64
#define ADDRESS_LENGTH 256

/* Somebody who says nothing but nonsense is not a mail client. */
#define MISTAKES 20

struct session {
    const struct server *server;
    struct wire wire;
    bool greeted;
    bool has_sender;
    unsigned mistakes;
    char sender[ADDRESS_LENGTH + 1];
    char recipients[RECIPIENTS][NAME_LENGTH + 1];
    size_t count;
};

/* A message on its way into the spool, unless that would be longer than allowed. */
struct incoming {
    struct spool spool;
    uint64_t size;
    bool too_long;
};

static void forget_transaction(struct session *session)
{
    session->has_sender = false;
    session->count = 0;
}

static bool mistake(struct session *session, const char *reply)
{
    if (++session->mistakes < MISTAKES)
        return wire_reply(&session->wire, "%s", reply);
    wire_reply(&session->wire, "421 4.7.0 too many mistakes");
    return false;
}

/* The address in "<...>" at the start of the text; what follows it is returned. */
static const char *address(const char *text, char found[ADDRESS_LENGTH + 1])
{
    text += strspn(text, " ");
    size_t length = strcspn(text, ">");
    if (text[0] != '<' || text[length] != '>' || length > ADDRESS_LENGTH)
        return NULL;
    memcpy(found, text + 1, length - 1);
    found[length - 1] = '\0';
    return strpbrk(found, "< \t\r") == NULL ? text + length + 1 : NULL;
}

/* The mailbox of an address: what stands before the @, if that may be the name of a folder. */
static bool mailbox_name(const char *address, char name[NAME_LENGTH + 1])
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-";
    size_t length = strcspn(address, "@");
    if (length == 0 || length > NAME_LENGTH || strspn(address, allowed) != length
        || address[0] == '.')
        return false;
    memcpy(name, address, length);
    name[length] = '\0';
    return true;
}

static bool lhlo(struct session *session, const char *argument)
{
    if (argument[0] == '\0')
        return mistake(session, "501 5.5.4 who are you?");
    forget_transaction(session);
    session->greeted = true;
    return wire_reply(&session->wire,
                      "250-maildropd\r\n250-PIPELINING\r\n250-8BITMIME\r\n"
                      "250-ENHANCEDSTATUSCODES\r\n250 SIZE %" PRIu64,
                      session->server->size);
}

static bool mail(struct session *session, const char *argument)
{
    if (!session->greeted)
        return mistake(session, "503 5.5.1 LHLO first");
    if (session->has_sender)
        return mistake(session, "503 5.5.1 one sender only");
    const char *rest = strncasecmp(argument, "FROM:", 5) == 0
                           ? address(argument + 5, session->sender)
                           : NULL;
    if (rest == NULL)
        return mistake(session, "501 5.5.4 MAIL FROM:<address>");
    while (*(rest += strspn(rest, " ")) != '\0') {
        size_t length = strcspn(rest, " ");
        if (strncasecmp(rest, "SIZE=", 5) == 0) {
            if (strtoull(rest + 5, NULL, 10) > session->server->size)
                return wire_reply(&session->wire, "552 5.3.4 longer than is taken here");
        } else if (strncasecmp(rest, "BODY=", 5) != 0) {
            return mistake(session, "555 5.5.4 unknown parameter");
        }
        rest += length;
    }
    session->has_sender = true;
    return wire_reply(&session->wire, "250 2.1.0 sender ok");
}

static bool rcpt(struct session *session, const char *argument)
{
    char found[ADDRESS_LENGTH + 1];
    if (!session->has_sender)
        return mistake(session, "503 5.5.1 MAIL first");
    const char *rest = strncasecmp(argument, "TO:", 3) == 0 ? address(argument + 3, found) : NULL;
    if (rest == NULL)
        return mistake(session, "501 5.5.4 RCPT TO:<address>");
    if (rest[strspn(rest, " ")] != '\0')
        return mistake(session, "555 5.5.4 unknown parameter");
    if (session->count == RECIPIENTS)
        return wire_reply(&session->wire, "452 4.5.3 too many recipients");
    char *name = session->recipients[session->count];
    if (!mailbox_name(found, name) || !mailbox_exists(&session->server->store, name))
        return wire_reply(&session->wire, "550 5.1.1 no such mailbox");
    session->count++;
    return wire_reply(&session->wire, "250 2.1.5 recipient ok");
}

static void take(void *to, const char *bytes, size_t length)
{
    struct incoming *incoming = to;
    incoming->too_long = incoming->too_long || length > incoming->size - incoming->spool.length;
    if (!incoming->too_long)
        spool_write(&incoming->spool, bytes, length);
}

/* Final delivery says whom the message came from, and when (RFC 5321, 4.4). */
static void write_trace(const struct session *session, struct spool *spool)
{
    char text[ADDRESS_LENGTH + 128], date[64];
    time_t now = time(NULL);
    struct tm broken;
    gmtime_r(&now, &broken);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S +0000", &broken);
    int length = snprintf(text, sizeof text,
                          "Return-Path: <%s>\r\nReceived: by maildropd with LMTP; %s\r\n",
                          session->sender, date);
    spool_write(spool, text, (size_t)length);
}

/* One reply for each recipient, as RFC 2033 has it. */
static bool deliver(struct session *session, const struct incoming *incoming)
{
    bool heard = true;
    for (size_t i = 0; heard && i < session->count; i++) {
        const char *reply = "451 4.3.0 cannot be delivered now";
        if (incoming->too_long) {
            reply = "552 5.3.4 longer than is taken here";
        } else if (incoming->spool.error != 0) {
            reply = "452 4.3.1 no room for the message";
        } else {
            switch (mailbox_deliver(&session->server->store, session->recipients[i],
                                    &incoming->spool)) {
            case DELIVERED:
                reply = "250 2.0.0 delivered";
                break;
            case FULL:
                reply = "552 5.2.2 mailbox full";
                break;
            case BUSY:
                reply = "451 4.3.2 closed for a snapshot, come back";
                break;
            case FAILED:
                break;
            }
        }
        heard = wire_reply(&session->wire, "%s", reply);
    }
    return heard;
}

static bool leave_silent(struct session *session, enum heard why)
{
    if (why == SILENT)
        wire_reply(&session->wire, "421 4.4.2 too slow");
    else if (why == INTERRUPTED)
        wire_reply(&session->wire, "421 4.3.2 shutting down");
    return false;
}

static bool data(struct session *session)
{
    if (session->count == 0)
        return mistake(session, session->has_sender ? "503 5.5.1 no valid recipients"
                                                    : "503 5.5.1 MAIL first");
    struct incoming incoming = {.too_long = false};
    if (!spool_open(&session->server->store, &incoming.spool))
        return wire_reply(&session->wire, "451 4.3.0 %s", strerror(errno));
    write_trace(session, &incoming.spool);
    incoming.size = incoming.spool.length + session->server->size;
    bool go_on = wire_reply(&session->wire, "354 go ahead");
    if (go_on) {
        enum heard heard = wire_message(&session->wire, take, &incoming);
        if (heard == HEARD) {
            if (!incoming.too_long)
                spool_finish(&incoming.spool);
            go_on = deliver(session, &incoming);
        } else {
            go_on = leave_silent(session, heard);
        }
    }
    spool_close(&incoming.spool);
    forget_transaction(session);
    return go_on;
}

static bool obey(struct session *session, const char *line)
{
    size_t length = strcspn(line, " ");
    const char *argument = line + length + strspn(line + length, " ");
    char verb[8] = "";
    if (length < sizeof verb)
        memcpy(verb, line, length);
    if (strcasecmp(verb, "LHLO") == 0)
        return lhlo(session, argument);
    if (strcasecmp(verb, "MAIL") == 0)
        return mail(session, argument);
    if (strcasecmp(verb, "RCPT") == 0)
        return rcpt(session, argument);
    if (strcasecmp(verb, "DATA") == 0)
        return data(session);
    if (strcasecmp(verb, "NOOP") == 0)
        return wire_reply(&session->wire, "250 2.0.0 ok");
    if (strcasecmp(verb, "VRFY") == 0)
        return wire_reply(&session->wire, "252 2.1.5 try to deliver");
    if (strcasecmp(verb, "RSET") == 0) {
        forget_transaction(session);
        return wire_reply(&session->wire, "250 2.0.0 ok");
    }
    if (strcasecmp(verb, "QUIT") == 0) {
        wire_reply(&session->wire, "221 2.0.0 bye");
        return false;
    }
    if (strcasecmp(verb, "HELO") == 0 || strcasecmp(verb, "EHLO") == 0)
        return mistake(session, "500 5.5.1 this is LMTP: LHLO");
    return mistake(session, "500 5.5.1 unknown command");
}

void lmtp_session(const struct server *server, int client)
{
    struct session *session = calloc(1, sizeof *session);
    if (session == NULL)
        return;
    session->server = server;
    wire_begin(&session->wire, client, server->timeout_ms);
    char line[LINE_LENGTH];
    bool go_on = wire_reply(&session->wire, "220 maildropd LMTP ready");
    while (go_on) {
        /* The client may be silent for minutes: whoever waits for it must be outside. */
        stillpoint_assert_not_held(server->store.barrier);
        enum heard heard = wire_line(&session->wire, line, sizeof line);
        if (heard == HEARD)
            go_on = obey(session, line);
        else if (heard == TOO_LONG)
            go_on = mistake(session, "500 5.5.2 line too long");
        else
            go_on = leave_silent(session, heard);
    }
    free(session);
}
