/*
 * The store: a folder for each mailbox, with three things that belong together.
 *
 *   messages/N   one file for each message, numbered from 1
 *   index        a line of fixed length for each message: number, length, checksum
 *   quota        how many messages there are, and how many bytes they have
 */
#ifndef MAILBOX_H
#define MAILBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stillpoint.h>

struct store {
    stillpoint *barrier;
    int folder;
    uint64_t quota;   /* the bytes that a mailbox may hold */
    const char *leak; /* a fault for tests: the mailbox whose deliveries forget a share */
    unsigned slow_ms; /* for tests: rests between writes that belong together, as on a busy machine */
};

/* A message on its way: a file without a name, which nobody sees and which ends with its process. */
struct spool {
    int file;
    uint64_t length, checksum;
    int error; /* the first errno that writing met */
};

enum delivery { DELIVERED, FULL, BUSY, FAILED };

bool mailbox_exists(const struct store *store, const char *name);
bool mailbox_create(const struct store *store, const char *name);

/* Sets right what deliveries that were cut short have left, in all mailboxes. */
bool store_repair(const struct store *store);

bool spool_open(const struct store *store, struct spool *spool);
void spool_write(struct spool *spool, const char *bytes, size_t length);
/* Returns when the message is on the disk. */
bool spool_finish(struct spool *spool);
void spool_close(struct spool *spool);

/* DELIVERED: the message is in the mailbox, and on the disk. FULL, BUSY: it is not in the mailbox. */
enum delivery mailbox_deliver(const struct store *store, const char *name,
                              const struct spool *spool);

#endif
