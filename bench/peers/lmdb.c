/* SPDX-License-Identifier: MIT
 *
 * LMDB as a log: no flags, so that each commit syncs. One put, with MDB_APPEND, is one transaction;
 * LMDB itself lets one writer in at a time, of all threads and processes.
 *
 * usage: see commits.h. Knows lmdb.h. */
#include "../commits.h"

#include <lmdb.h>
#include <string.h>
#include <sys/stat.h>

enum { READERS_MAX = 2048 };
static const size_t map_bytes = (size_t)4 << 30;

static const char *directory;
static MDB_env *environment; /* of this process; must not cross a fork */
static MDB_dbi database;

static void check(int code, const char *what)
{
    if (code != 0)
        end(what, mdb_strerror(code));
}

static void open_environment(void)
{
    MDB_txn *transaction;
    check(mdb_env_create(&environment), "mdb_env_create");
    check(mdb_env_set_mapsize(environment, map_bytes), "mdb_env_set_mapsize");
    check(mdb_env_set_maxreaders(environment, READERS_MAX), "mdb_env_set_maxreaders");
    check(mdb_env_open(environment, directory, 0, 0600), "mdb_env_open");
    check(mdb_txn_begin(environment, NULL, 0, &transaction), "mdb_txn_begin");
    check(mdb_dbi_open(transaction, NULL, MDB_INTEGERKEY, &database), "mdb_dbi_open");
    check(mdb_txn_commit(transaction), "mdb_txn_commit");
}

static void open_directory(const char *path, bool has_processes)
{
    directory = path;
    mkdir(path, 0700);
    if (!has_processes)
        open_environment();
}

static void *attach(unsigned index)
{
    (void)index;
    if (environment == NULL)
        open_environment();
    return environment;
}

/* The key after the last one, found within the transaction. */
static uint64_t next_key(MDB_txn *transaction)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    uint64_t last = 0;
    check(mdb_cursor_open(transaction, database, &cursor), "mdb_cursor_open");
    if (mdb_cursor_get(cursor, &key, &value, MDB_LAST) == 0)
        memcpy(&last, key.mv_data, sizeof last);
    mdb_cursor_close(cursor);
    return last + 1;
}

static void commit(void *session, uint64_t number)
{
    static char record[COMMIT_BYTES];
    MDB_txn *transaction;
    (void)number;
    check(mdb_txn_begin(session, NULL, 0, &transaction), "mdb_txn_begin");
    uint64_t lsn = next_key(transaction);
    MDB_val key = {sizeof lsn, &lsn}, value = {sizeof record, record};
    check(mdb_put(transaction, database, &key, &value, MDB_APPEND), "mdb_put");
    check(mdb_txn_commit(transaction), "mdb_txn_commit");
}

static void close_directory(void) {}

int main(int count, char **words)
{
    static const struct commits way = {open_directory, attach, commit, close_directory};
    return commits_main(count, words, &way);
}
