/* SPDX-License-Identifier: MIT
 *
 * What processor time does RocksDB's write-ahead log take for each GB that it makes durable? The
 * same records are written with the WAL, synced after each batch, and without it; the difference is
 * the WAL's. The memtable is a vector as large as all of it, the cheapest there is, so that nothing
 * is flushed or compacted meanwhile.
 *
 * usage: rocksdb_wal PATH BYTES TOTAL BATCH_RECORDS. Prints seconds of processor time a GB: with,
 * without, wal. Knows rocksdb/c.h. */
#include "rocksdb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PATH_BYTES = 4096, SPARE = 3 };

struct job {
    char *record;
    size_t length;
    uint64_t batches, batch_records;
};

static double cpu_s(void)
{
    struct timespec spent;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &spent);
    return (double)spent.tv_sec + (double)spent.tv_nsec / 1e9;
}

static void write_batch(rocksdb_t *database, rocksdb_writeoptions_t *how, const struct job *job,
                        uint64_t first)
{
    char *error = NULL;
    rocksdb_writebatch_t *batch = rocksdb_writebatch_create();
    for (uint64_t key = first; key < first + job->batch_records; key++)
        rocksdb_writebatch_put(batch, (const char *)&key, sizeof key, job->record, job->length);
    rocksdb_write(database, how, batch, &error);
    rocksdb_check(error, "rocksdb_write");
    rocksdb_writebatch_destroy(batch);
}

/* Processor seconds of the writes alone. */
static double write_all(const char *path, const struct job *job, int has_wal)
{
    rocksdb_options_t *options = rocksdb_options_create();
    rocksdb_writeoptions_t *how = rocksdb_writeoptions_create();
    uint64_t total = job->batches * job->batch_records * job->length;
    rocksdb_options_set_memtable_vector_rep(options);
    rocksdb_options_set_allow_concurrent_memtable_write(options, 0);
    rocksdb_options_set_write_buffer_size(options, SPARE * total);
    rocksdb_writeoptions_set_sync(how, (unsigned char)has_wal);
    rocksdb_writeoptions_disable_WAL(how, !has_wal);
    rocksdb_t *database = rocksdb_open_new(options, path);

    double start = cpu_s();
    for (uint64_t i = 0; i < job->batches; i++)
        write_batch(database, how, job, i * job->batch_records);
    double spent = cpu_s() - start;
    rocksdb_cancel_all_background_work(database, 1);
    return spent; /* not closed: that would write the memtable out */
}

int main(int count, char **words)
{
    const char *usage = "PATH BYTES TOTAL BATCH_RECORDS";
    const char *path = text_argument(count, words, 1, usage);
    size_t length = number_argument(count, words, 2, usage);
    uint64_t total = number_argument(count, words, 3, usage);
    uint64_t batch_records = number_argument(count, words, 4, usage);
    char path_without[PATH_BYTES];
    snprintf(path_without, sizeof path_without, "%s-without", path);
    struct job job = {calloc(1, length + 1), length, total / length / batch_records, batch_records};
    if (job.record == NULL || job.batches == 0)
        end("TOTAL", "at least one batch, and memory for a record");
    memset(job.record, 0x5a, length);
    double gigabytes = (double)(job.batches * batch_records * length) / 1e9;

    double with = write_all(path, &job, 1) / gigabytes;
    double without = write_all(path_without, &job, 0) / gigabytes;
    report("with", with);
    report("without", without);
    report("wal", with - without);
    fflush(NULL);
    _Exit(0);
}
