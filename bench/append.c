/* SPDX-License-Identifier: MIT
 *
 * What does an append cost beside what it cannot do without? One process fills the ring of a new
 * log, which nobody drains, once. The floor is a bare loop that copies the same bytes into a
 * buffer of the ring's size, at the places where the ring would have them, and takes the checksum
 * of the copy.
 *
 * usage: append LOG BYTES. Prints ns per record: ours, xxh3, crc32c. The log must be new; all of
 * it is made durable before the end, untimed, so that its ring can go. Knows the public header. */
#include "checksums.h"
#include "log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { BYTES_MAX = 1 << 20 };

static char record[BYTES_MAX];

static double append_ns(shmwal *log, size_t length, uint64_t records)
{
    int64_t start = now_ns();
    for (uint64_t i = 0; i < records; i++)
        log_append(log, record, length);
    return (double)(now_ns() - start) / (double)records;
}

/* Prefaulted, in pages as the ring's: what is compared is the work, not the size of a page. */
static char *ring_like_buffer(uint64_t bytes)
{
    char *buffer = shared_memory(bytes);
    memset(buffer, 1, bytes);
    return buffer;
}

#define BARE_LOOP(name, take)                                                                      \
    do {                                                                                           \
        int64_t start = now_ns();                                                                  \
        for (uint64_t i = 0; i < records; i++) {                                                   \
            char *place = buffer + i * span;                                                       \
            memcpy(place, record, length);                                                         \
            consume(take(place, length));                                                          \
        }                                                                                          \
        report(name, (double)(now_ns() - start) / (double)records);                                \
    } while (0)

static void report_floors(uint64_t ring_bytes, size_t length, uint64_t span)
{
    uint64_t records = ring_bytes / span;
    char *buffer = ring_like_buffer(ring_bytes);
    BARE_LOOP("xxh3", take_xxh3);
#ifdef HAVE_ISAL
    BARE_LOOP("crc32c", take_crc32c);
#endif
    munmap(buffer, ring_bytes);
}

int main(int count, char **words)
{
    const char *usage = "LOG BYTES";
    const char *path = text_argument(count, words, 1, usage);
    size_t length = number_argument(count, words, 2, usage);
    shmwal_status status = {.size = sizeof status};
    if (length > BYTES_MAX)
        end("BYTES", "up to 1048576");
    memset(record, 0x5a, sizeof record);
    shmwal *log = log_open(path, SHMWAL_NO_FLUSHER);
    end_if(shmwal_get_status(path, &status), "status", shmwal_error());
    uint64_t begin = shmwal_reserved_lsn(log);
    uint64_t span = log_append(log, record, length) - begin;
    report("ours", append_ns(log, length, status.ring_bytes / span - 1));
    report_floors(status.ring_bytes, length, span);
    shmwal_close(log);

    log = log_open(path, 0); /* with a flusher now */
    log_sync(log);
    shmwal_close(log);
    return 0;
}
