/* SPDX-License-Identifier: MIT
 *
 * How long does one waiter wait? Append a record and wait until it is durable, against what the
 * device and the file system take to make one 4 KiB block durable in the same directory: an
 * overwrite of a prefilled file, with O_DIRECT + O_DSYNC, and with write + fdatasync. The three
 * take turns every few operations, so that whatever else the machine does meets them alike.
 *
 * COORDINATED OMISSION. With an interval of 0 the next operation begins when the last has ended:
 * that is the time that one caller waits, and a stall counts once, however many would have come
 * meanwhile. With an interval, operations are due at fixed times, and an operation's time runs
 * from when it was due, not from when it could begin: a stall counts for everybody whom it would
 * have held up.
 *
 * usage: latency LOG SCRATCH_FILE OPERATIONS INTERVAL_NS. Prints microseconds: ours.p50,
 * direct.p50, fdatasync.p50 and so on. Knows the public header. */
#include "histogram.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdalign.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { BLOCK = 4096, BLOCKS = 4096, RECORD_BYTES = 100, TURN = 50, WARM_UP = 200 };

static alignas(BLOCK) char block[BLOCK];
static shmwal *log_handle;
static int direct_fd, buffered_fd;

static void overwrite(int fd, uint64_t operation)
{
    ssize_t done = pwrite(fd, block, BLOCK, (off_t)(operation % BLOCKS * BLOCK));
    if (done != BLOCK)
        end("write of the scratch file", strerror(errno));
}

static void commit_ours(uint64_t operation)
{
    (void)operation;
    log_wait(log_handle, log_append(log_handle, block, RECORD_BYTES));
}

static void commit_direct(uint64_t operation)
{
    overwrite(direct_fd, operation);
}

static void commit_fdatasync(uint64_t operation)
{
    overwrite(buffered_fd, operation);
    end_if(fdatasync(buffered_fd), "fdatasync of the scratch file", strerror(errno));
}

struct way {
    const char *name;
    void (*commit)(uint64_t operation);
    uint64_t done;
    struct histogram histogram;
};

static struct way ways[] = {
    {.name = "ours", .commit = commit_ours},
    {.name = "direct", .commit = commit_direct},
    {.name = "fdatasync", .commit = commit_fdatasync},
};

enum { WAYS = sizeof ways / sizeof ways[0] };

static void take_turn(struct way *way, int64_t interval_ns)
{
    int64_t due = now_ns();
    for (int i = 0; i < TURN; i++) {
        if (interval_ns > 0) {
            due += interval_ns;
            if (now_ns() < due)
                sleep_until_ns(due);
        } else {
            due = now_ns();
        }
        way->commit(way->done++);
        histogram_add(&way->histogram, now_ns() - due);
    }
}

static int open_scratch(const char *path, int flags)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | flags, 0600);
    end_if(fd, path, strerror(errno));
    return fd;
}

/* The scratch file gets its blocks, and each way some operations that do not count. */
static void prepare(const char *path)
{
    memset(block, 0x5a, sizeof block);
    buffered_fd = open_scratch(path, 0);
    for (uint64_t i = 0; i < BLOCKS; i++)
        overwrite(buffered_fd, i);
    end_if(fsync(buffered_fd), path, strerror(errno));
    direct_fd = open_scratch(path, O_DIRECT | O_DSYNC);
    for (unsigned w = 0; w < WAYS; w++)
        for (ways[w].done = 0; ways[w].done < WARM_UP; ways[w].done++)
            ways[w].commit(ways[w].done);
}

int main(int count, char **words)
{
    const char *usage = "LOG SCRATCH_FILE OPERATIONS INTERVAL_NS";
    const char *path = text_argument(count, words, 1, usage);
    const char *scratch = text_argument(count, words, 2, usage);
    uint64_t operations = number_argument(count, words, 3, usage);
    int64_t interval_ns = (int64_t)number_argument(count, words, 4, usage);
    prctl(PR_SET_TIMERSLACK, 1);
    log_handle = log_open(path, 0);
    prepare(scratch);
    for (uint64_t done = 0; done < operations; done += TURN)
        for (unsigned w = 0; w < WAYS; w++)
            take_turn(&ways[w], interval_ns);
    for (unsigned w = 0; w < WAYS; w++)
        histogram_report(&ways[w].histogram, ways[w].name);
    shmwal_close(log_handle);
    return 0;
}
