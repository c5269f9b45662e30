/* SPDX-License-Identifier: MIT
 *
 * A log in memory whose files a fuzzer writes, and everything that reads one.
 *
 * Files are hostile: what they say of lengths, places and kinds may be anything, and checksums may
 * be right all the same. Nothing may crash, hang, or take memory without a bound, and those who
 * read must agree: recovery accepts what the reader reads to its end, and no other.
 *
 * Knows src/store, include/shmwal.h. Changes with what reads a log. */
#ifndef FUZZ_HOSTILE_LOG_H
#define FUZZ_HOSTILE_LOG_H

#include "../remove_tree.h"
#include "base/error.h"
#include "format/format.h"
#include "segment/segment.h"
#include "store/directory.h"
#include "store/store.h"

#include <shmwal.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char hostile_base[64], hostile_log[80];
static struct meta hostile_meta; /* as it was made */

static inline void hostile_clean(void)
{
    remove_tree(hostile_base);
}

/* Makes the log, once. In a directory of the memory's file system: thousands of times a second. */
static inline void hostile_open(void)
{
    struct directory directory;
    if (hostile_log[0] != '\0')
        return;
    strcpy(hostile_base, "/dev/shm/fuzz-XXXXXX");
    if (mkdtemp(hostile_base) == NULL)
        abort();
    atexit(hostile_clean);
    snprintf(hostile_log, sizeof hostile_log, "%s/log", hostile_base);
    if (directory_create(hostile_log, SEGMENT_BYTES_MIN, SEGMENT_BYTES_MIN) < 0 ||
        directory_open(hostile_log, true, &directory) < 0)
        abort();
    hostile_meta = directory.meta;
    directory_close(&directory);
}

static inline void hostile_write(const char *name, const void *bytes, size_t length)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", hostile_log, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || pwrite(fd, bytes, length, 0) != (ssize_t)length)
        abort();
    close(fd);
}

/* So that a sanitizer sees every byte. */
static inline void hostile_touch(const shmwal_record *record)
{
    static char copy[SEGMENT_BYTES_MIN];
    if (record->length > sizeof copy)
        abort(); /* more than a segment holds */
    memcpy(copy, record->data, record->length);
}

/* Reads to the end, and with `salvage` on behind damage. The status of the last read. */
static inline int hostile_read(bool salvage, uint64_t *end_lsn)
{
    shmwal_reader *reader;
    shmwal_record record;
    shmwal_hole hole;
    uint64_t lsn = 0;
    int got = shmwal_reader_open(hostile_log, 0, &reader);
    if (got < 0)
        return got;
    do {
        while ((got = shmwal_reader_next(reader, &record)) == 1) {
            if (record.lsn <= lsn)
                abort(); /* a record comes twice, or out of order */
            lsn = record.lsn;
            hostile_touch(&record);
        }
    } while (got == -EBADMSG && salvage && shmwal_reader_salvage(reader, &hole) == 1);
    shmwal_reader_close(reader);
    *end_lsn = lsn;
    return got;
}

/* Everybody reads the log, and they are held to agree. */
static inline void hostile_read_all(void)
{
    struct directory directory;
    shmwal_verification verification = {.size = sizeof verification};
    shmwal_status status = {.size = sizeof status};
    uint64_t end_lsn = 0, recovered_lsn = 0, salvaged_lsn = 0;
    int read = hostile_read(false, &end_lsn);
    hostile_read(true, &salvaged_lsn);
    shmwal_get_status(hostile_log, &status);
    int verified = shmwal_verify(hostile_log, &verification, NULL, NULL);
    int recovered = directory_open(hostile_log, true, &directory);
    if (recovered < 0)
        return;
    recovered = store_find_end(&directory, &recovered_lsn);
    directory_close(&directory);
    if (read == 0 && (recovered < 0 || recovered_lsn < end_lsn))
        abort(); /* recovery refuses, or cuts off, what the reader takes for good */
    if (verified == 0 && !verification.damaged && (read < 0 || salvaged_lsn != end_lsn))
        abort(); /* verify finds nothing wrong where the reader does */
}

#endif
