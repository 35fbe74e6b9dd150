/*
 * The store: a folder for each mailbox, with three things that belong together.
 *
 * A delivery changes all three by separate system calls. Two locks stand around them:
 *
 *   the share   outermost: a snapshot is taken when nobody holds one, so it never shows a message that
 *               the index does not know or the quota does not count;
 *   the lock    a write lock on the mailbox's quota file: one delivery at a time in each mailbox. It
 *               belongs to the open file description, so it keeps threads apart as well as processes,
 *               and closing another descriptor of the file does not end it.
 *
 * stillpoint_fcntl_lock takes both in this order and gives them back in the other, so a program that
 * takes all its write locks by it has wrapped all its writes. What may take long stays outside: reading
 * from the client and writing to the disk before, the disk again after. What is written inside is
 * consistent from then on; what is answered 250 is on the disk as well.
 *
 * A delivery that is cut short (the process was killed, say) leaves a message that the index does not
 * know, or an index that the quota does not count. The index decides. The next delivery to the mailbox
 * sets it right, and so does --repair for all mailboxes, which is what `stillpoint recover` runs.
 */
#define _GNU_SOURCE
#include "mailbox.h"

#include "stop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* How long a client is kept waiting for a snapshot before it is asked to come back. */
#define GATE_SECONDS 60

#define RECORD_FORMAT "%010" PRIu32 " %010" PRIu64 " %016" PRIx64 "\n"
#define RECORD_LENGTH 39
#define QUOTA_FORMAT "%010" PRIu32 " %016" PRIu64 "\n"
#define QUOTA_LENGTH 28

/* A mailbox that is open, and locked while its totals are used. */
struct mailbox {
    int messages, index, quota;
    uint32_t count;
    uint64_t bytes;
};

static void complain(const char *what, const char *why)
{
    fprintf(stderr, "maildropd[%d]: %s: %s\n", (int)getpid(), what, why);
}

static int open_at(int folder, const char *mailbox, const char *name, int flags)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", mailbox, name);
    return openat(folder, path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static void close_mailbox(const struct store *store, struct mailbox *box)
{
    if (box->messages >= 0)
        close(box->messages);
    if (box->index >= 0)
        close(box->index);
    /* A lock that it may still have, and the share with it, end here. */
    if (box->quota >= 0)
        stillpoint_close_fd(store->barrier, box->quota);
}

static bool open_mailbox(const struct store *store, const char *name, struct mailbox *box)
{
    box->messages = open_at(store->folder, name, "messages", O_RDONLY | O_DIRECTORY);
    box->index = open_at(store->folder, name, "index", O_RDWR | O_APPEND);
    box->quota = open_at(store->folder, name, "quota", O_RDWR);
    if (box->messages >= 0 && box->index >= 0 && box->quota >= 0)
        return true;
    complain(name, strerror(errno));
    close_mailbox(store, box);
    return false;
}

/*
 * The share first, in short steps, so that a client is not kept for ever and a daemon that is to stop
 * need not wait for the end of a snapshot. Then the file's lock, whose own share nests in that one and
 * so does not wait. Whoever holds the lock is inside as well: to wait for it is to wait for one
 * delivery, and no longer.
 */
static int lock_mailbox(const struct store *store, const char *name, struct mailbox *box)
{
    int result;
    for (int step = 0;; step++) {
        result = stillpoint_timedlock_shared(store->barrier, 1000);
        if (result != -ETIMEDOUT || step == GATE_SECONDS || stop_requested())
            break;
    }
    if (result < 0)
        return result;
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    result = stillpoint_fcntl_lock(store->barrier, box->quota, F_OFD_SETLKW, &whole);
    if (store->leak == NULL || strcmp(store->leak, name) != 0)
        stillpoint_unlock_shared(store->barrier);
    return result;
}

static void unlock_mailbox(const struct store *store, struct mailbox *box)
{
    struct flock whole = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    stillpoint_fcntl_lock(store->barrier, box->quota, F_OFD_SETLK, &whole);
}

static bool write_quota(struct mailbox *box)
{
    char line[64];
    snprintf(line, sizeof line, QUOTA_FORMAT, box->count, box->bytes);
    return pwrite(box->quota, line, QUOTA_LENGTH, 0) == QUOTA_LENGTH;
}

/* The number and the length that a line of the index gives. */
static bool read_record(const struct mailbox *box, uint32_t number, uint64_t *length)
{
    char line[RECORD_LENGTH + 1] = "";
    uint32_t found;
    off_t at = (off_t)(number - 1) * RECORD_LENGTH;
    return pread(box->index, line, RECORD_LENGTH, at) == RECORD_LENGTH
           && sscanf(line, "%" SCNu32 " %" SCNu64, &found, length) == 2 && found == number;
}

static void message_name(char name[16], uint32_t number)
{
    snprintf(name, 16, "%" PRIu32, number);
}

/* Reads the totals; where a delivery was cut short, goes back or on to what the index says. */
static bool settle(struct mailbox *box)
{
    struct stat index;
    char line[QUOTA_LENGTH + 1] = "", orphan[16];
    if (fstat(box->index, &index) != 0)
        return false;
    uint32_t count = (uint32_t)(index.st_size / RECORD_LENGTH);
    bool whole = index.st_size % RECORD_LENGTH == 0;
    message_name(orphan, count + 1);
    if (!whole && ftruncate(box->index, (off_t)count * RECORD_LENGTH) != 0)
        return false;
    if (unlinkat(box->messages, orphan, 0) != 0 && errno != ENOENT)
        return false;
    if (pread(box->quota, line, QUOTA_LENGTH, 0) == QUOTA_LENGTH
        && sscanf(line, "%" SCNu32 " %" SCNu64, &box->count, &box->bytes) == 2
        && box->count == count)
        return true;
    box->bytes = 0;
    for (box->count = 0; box->count < count; box->count++) {
        uint64_t length;
        if (!read_record(box, box->count + 1, &length)) {
            errno = EBADMSG;
            return false;
        }
        box->bytes += length;
    }
    return write_quota(box);
}

static void rest(const struct store *store)
{
    if (store->slow_ms > 0)
        nanosleep(&(struct timespec){.tv_nsec = (long)store->slow_ms * 1000000}, NULL);
}

/* The set of writes that belong together. What has failed in the middle is undone. */
static bool add(const struct store *store, struct mailbox *box, const struct spool *spool)
{
    char source[32], name[16], record[64];
    struct mailbox after = *box;
    after.count++;
    after.bytes += spool->length;
    snprintf(source, sizeof source, "/proc/self/fd/%d", spool->file);
    snprintf(record, sizeof record, RECORD_FORMAT, after.count, spool->length, spool->checksum);
    message_name(name, after.count);

    if (linkat(AT_FDCWD, source, box->messages, name, AT_SYMLINK_FOLLOW) != 0)
        return false;
    rest(store);
    if (write(box->index, record, RECORD_LENGTH) == RECORD_LENGTH) {
        rest(store);
        if (write_quota(&after))
            return true;
    }
    int error = errno;
    if (ftruncate(box->index, (off_t)box->count * RECORD_LENGTH) != 0
        || unlinkat(box->messages, name, 0) != 0 || !write_quota(box))
        complain("a delivery could not be undone; the next one sets it right", strerror(errno));
    errno = error;
    return false;
}

enum delivery mailbox_deliver(const struct store *store, const char *name,
                              const struct spool *spool)
{
    struct mailbox box;
    if (!open_mailbox(store, name, &box))
        return FAILED;
    int locked = lock_mailbox(store, name, &box);
    if (locked < 0) {
        complain(name, stillpoint_strerror(locked));
        close_mailbox(store, &box);
        return locked == -ETIMEDOUT ? BUSY : FAILED;
    }
    enum delivery delivery = DELIVERED;
    if (!settle(&box))
        delivery = FAILED;
    else if (box.bytes + spool->length > store->quota)
        delivery = FULL;
    else if (!add(store, &box, spool))
        delivery = FAILED;
    int error = errno;
    unlock_mailbox(store, &box);

    if (delivery == DELIVERED
        && (fdatasync(box.index) != 0 || fdatasync(box.quota) != 0 || fsync(box.messages) != 0)) {
        delivery = FAILED;
        error = errno;
    }
    if (delivery == FAILED)
        complain(name, strerror(error));
    close_mailbox(store, &box);
    return delivery;
}

bool mailbox_exists(const struct store *store, const char *name)
{
    int index = open_at(store->folder, name, "index", O_RDONLY);
    if (index < 0)
        return false;
    close(index);
    return true;
}

bool mailbox_create(const struct store *store, const char *name)
{
    char messages[160];
    snprintf(messages, sizeof messages, "%s/messages", name);
    int entered = stillpoint_lock_shared(store->barrier);
    if (entered < 0) {
        complain(name, stillpoint_strerror(entered));
        return false;
    }
    struct mailbox box = {.messages = -1, .index = -1, .quota = -1};
    bool made = mkdirat(store->folder, name, 0700) == 0
                && mkdirat(store->folder, messages, 0700) == 0
                && (box.quota = open_at(store->folder, name, "quota", O_RDWR | O_CREAT)) >= 0
                && write_quota(&box)
                && (box.index = open_at(store->folder, name, "index", O_RDWR | O_CREAT)) >= 0;
    int error = errno;
    stillpoint_unlock_shared(store->barrier);
    close_mailbox(store, &box);
    if (!made)
        complain(name, strerror(error));
    return made;
}

bool store_repair(const struct store *store)
{
    int again = openat(store->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = again < 0 ? NULL : fdopendir(again);
    if (folder == NULL)
        return false;
    bool good = true;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        struct mailbox box;
        if (entry->d_name[0] == '.' || !mailbox_exists(store, entry->d_name))
            continue;
        if (!open_mailbox(store, entry->d_name, &box)) {
            good = false;
            continue;
        }
        bool settled = lock_mailbox(store, entry->d_name, &box) == 0 && settle(&box);
        close_mailbox(store, &box);
        if (!settled)
            complain(entry->d_name, "cannot be repaired");
        good = good && settled;
    }
    closedir(folder);
    return good;
}

bool spool_open(const struct store *store, struct spool *spool)
{
    int file = openat(store->folder, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    *spool = (struct spool){.file = file, .checksum = UINT64_C(0xcbf29ce484222325)};
    return file >= 0;
}

void spool_write(struct spool *spool, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        spool->checksum = (spool->checksum ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3);
    spool->length += length;
    while (length > 0 && spool->error == 0) {
        ssize_t written = write(spool->file, bytes, length);
        if (written < 0 && errno != EINTR) {
            spool->error = errno;
        } else if (written > 0) {
            bytes += written;
            length -= (size_t)written;
        }
    }
}

bool spool_finish(struct spool *spool)
{
    if (spool->error == 0 && fsync(spool->file) != 0)
        spool->error = errno;
    return spool->error == 0;
}

void spool_close(struct spool *spool)
{
    close(spool->file);
}
