/* SPDX-License-Identifier: MIT
 * See probe.h. The best of several is compared: noise of other users only ever adds. */
#include "store/probe.h"

#include "sys/clock.h"
#include "sys/file.h"

#include <fcntl.h>
#include <stdalign.h>
#include <stdint.h>
#include <string.h>

enum { ROUNDS_MIN = 4, ROUNDS_MAX = 10, BLOCKS = 4 };
#define PROBE_NS (20 * NS_PER_MS)

static const char SCRATCH[] = "probe.tmp";

/* How long a synced write of one block took; INT64_MAX if it cannot be done this way. */
static int64_t time_write_ns(const struct segment *scratch, uint64_t block)
{
    alignas(FORMAT_BLOCK) char bytes[FORMAT_BLOCK];
    memset(bytes, 0xA5, sizeof bytes);
    int64_t start = clock_monotonic_ns();
    int error = segment_write(scratch, bytes, sizeof bytes, block * FORMAT_BLOCK);
    return error < 0 ? INT64_MAX : clock_monotonic_ns() - start;
}

static bool open_scratch(int segments_fd, enum segment_sync sync, struct segment *scratch)
{
    int flags = O_RDWR | O_CREAT | (sync == SYNC_DIRECT ? O_DIRECT : 0);
    *scratch = (struct segment){.sync = sync, .header.file_bytes = BLOCKS * FORMAT_BLOCK};
    strcpy(scratch->name, SCRATCH);
    scratch->fd = sys_openat(segments_fd, SCRATCH, flags, 0600);
    return scratch->fd >= 0;
}

/* O_DIRECT is the better of equals: it spares the copy into the page cache, which for large frames
 * is most of what the flusher would do (bench/README.md), and noise must not decide. The other way
 * must be a quarter faster. */
static bool clearly_faster(int64_t buffered_ns, int64_t direct_ns)
{
    return direct_ns == INT64_MAX || buffered_ns < direct_ns - direct_ns / 5;
}

/* Two rounds bring the blocks into being; what counts is to overwrite them, as a log in use
 * does. */
static enum segment_sync race(const struct segment ways[2])
{
    int64_t best[2] = {INT64_MAX, INT64_MAX};
    int64_t end = clock_monotonic_ns() + PROBE_NS;
    for (unsigned round = 0; round < ROUNDS_MAX; round++) {
        if (round >= ROUNDS_MIN && clock_monotonic_ns() > end)
            break;
        for (unsigned way = 0; way < 2; way++) {
            int64_t took = time_write_ns(&ways[way], 2 * way + round % 2);
            if (round >= 2 && took < best[way])
                best[way] = took;
        }
    }
    return clearly_faster(best[SYNC_FDATASYNC], best[SYNC_DIRECT]) ? SYNC_FDATASYNC : SYNC_DIRECT;
}

enum segment_sync probe_sync(int segments_fd)
{
    struct segment ways[2];
    enum segment_sync winner = SYNC_FDATASYNC;
    sys_unlinkat(segments_fd, SCRATCH);
    if (open_scratch(segments_fd, SYNC_FDATASYNC, &ways[SYNC_FDATASYNC])) {
        if (open_scratch(segments_fd, SYNC_DIRECT, &ways[SYNC_DIRECT])) {
            winner = race(ways);
            segment_close(&ways[SYNC_DIRECT]);
        }
        segment_close(&ways[SYNC_FDATASYNC]);
    }
    sys_unlinkat(segments_fd, SCRATCH);
    return winner;
}

const char *probe_sync_name(enum segment_sync sync)
{
    return sync == SYNC_DIRECT ? "O_DIRECT + RWF_DSYNC" : "write + fdatasync";
}
