/* SPDX-License-Identifier: MIT
 *
 * RocksDB as a log: WriteOptions.sync = true, so that each write returns when the WAL has been
 * synced; its group commit serves all writers of the process. Other options are its defaults. One
 * process may have a database open for writing, so there are threads only.
 *
 * usage: see commits.h. Knows rocksdb/c.h. */
#include "rocksdb.h"

#include "../commits.h"

static rocksdb_t *database;
static rocksdb_writeoptions_t *synced;

static void open_database(const char *path, bool has_processes)
{
    if (has_processes)
        end("processes", "RocksDB lets one process write");
    database = rocksdb_open_new(rocksdb_options_create(), path);
    synced = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(synced, 1);
}

static void *attach(unsigned index)
{
    uint64_t *key = shared_memory(2 * sizeof *key);
    key[0] = index;
    return key;
}

static void commit(void *session, uint64_t number)
{
    static const char record[COMMIT_BYTES];
    uint64_t *key = session;
    char *error = NULL;
    key[1] = number;
    rocksdb_put(database, synced, session, 2 * sizeof *key, record, sizeof record, &error);
    rocksdb_check(error, "rocksdb_put");
}

static void close_database(void)
{
    rocksdb_close(database);
}

int main(int count, char **words)
{
    static const struct commits way = {open_database, attach, commit, close_database};
    return commits_main(count, words, &way);
}
