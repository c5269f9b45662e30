/* SPDX-License-Identifier: MIT
 *
 * How fast does a log come back? A log of 100 B records is written, read once to warm the page
 * cache, and read again against the clock. The floor takes the checksum of as many records that
 * lie in memory at the same distances, in huge pages so that finding them costs nothing, and does
 * nothing else.
 *
 * usage: reader LOG TOTAL. Prints MB/s of payload: ours, floor. Knows the public header. */
#include "checksums.h"
#include "log.h"

#include <string.h>
#include <sys/mman.h>

enum { RECORD_BYTES = 100, BATCH = 1024 };

static uint64_t write_records(const char *path, uint64_t records)
{
    char record[RECORD_BYTES] = {0};
    shmwal *log = log_open(path, 0);
    uint64_t begin = shmwal_reserved_lsn(log);
    for (uint64_t i = 0; i < records; i++)
        log_append(log, record, sizeof record);
    log_sync(log);
    uint64_t bytes = shmwal_reserved_lsn(log) - begin;
    shmwal_close(log);
    return bytes;
}

static void read_records(const char *path, uint64_t records)
{
    shmwal_reader *reader;
    shmwal_record batch[BATCH];
    uint64_t seen = 0, bytes = 0;
    end_if(shmwal_reader_open(path, 0, &reader), "reader", shmwal_error());
    for (;;) {
        int got = shmwal_reader_next_batch(reader, batch, BATCH);
        end_if(got, "read", shmwal_error());
        if (got == 0)
            break;
        for (int i = 0; i < got; i++)
            bytes += batch[i].length;
        seen += (uint64_t)got;
    }
    if (seen != records || bytes != records * RECORD_BYTES)
        end("read", "not all that was appended came back");
    shmwal_reader_close(reader);
}

static void checksum_records(const char *memory, uint64_t records, uint64_t span)
{
    for (uint64_t i = 0; i < records; i++)
        consume(take_xxh3(memory + i * span, RECORD_BYTES));
}

static char *huge_memory(uint64_t bytes)
{
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        end("memory", "there is not enough");
    madvise(memory, bytes, MADV_HUGEPAGE);
    memset(memory, 0x5a, bytes);
    return memory;
}

int main(int count, char **words)
{
    const char *usage = "LOG TOTAL";
    const char *path = text_argument(count, words, 1, usage);
    uint64_t records = number_argument(count, words, 2, usage) / RECORD_BYTES;
    if (records == 0)
        end("TOTAL", "at least 100");
    uint64_t bytes = write_records(path, records);
    char *memory = huge_memory(bytes);
    double payload = (double)records * RECORD_BYTES / 1e6;

    read_records(path, records);
    int64_t start = now_ns();
    read_records(path, records);
    report("ours", payload / ((double)(now_ns() - start) / 1e9));
    start = now_ns();
    checksum_records(memory, records, bytes / records);
    report("floor", payload / ((double)(now_ns() - start) / 1e9));
    munmap(memory, bytes);
    return 0;
}
