/* SPDX-License-Identifier: MIT
 *
 * SQLite as a log: WAL mode with synchronous=FULL, so that each commit syncs the WAL. A connection
 * for each worker; one INSERT is one transaction. Writers take turns by a lock of the harness,
 * which is kinder to SQLite than its own busy handler: that one sleeps and tries again.
 *
 * usage: see commits.h. Knows sqlite3.h. */
#include "../commits.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUSY_MS = 60000, PATH_MAX_BYTES = 4096 };

struct session {
    sqlite3 *database;
    sqlite3_stmt *insert;
};

static char file[PATH_MAX_BYTES];
static pthread_mutex_t *turn; /* shared by processes */

static void check(sqlite3 *database, int code, int wanted, const char *what)
{
    if (code != wanted)
        end(what, sqlite3_errmsg(database));
}

static void run_sql(sqlite3 *database, const char *sql)
{
    check(database, sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK, sql);
}

static sqlite3 *connect(void)
{
    sqlite3 *database;
    check(database, sqlite3_open(file, &database), SQLITE_OK, "sqlite3_open");
    sqlite3_busy_timeout(database, BUSY_MS);
    run_sql(database, "PRAGMA journal_mode=WAL");
    run_sql(database, "PRAGMA synchronous=FULL");
    return database;
}

static void open_file(const char *path, bool has_processes)
{
    (void)has_processes;
    snprintf(file, sizeof file, "%s", path);
    pthread_mutexattr_t shared;
    pthread_mutexattr_init(&shared);
    pthread_mutexattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    turn = shared_memory(sizeof *turn);
    pthread_mutex_init(turn, &shared);
    sqlite3 *database = connect();
    run_sql(database, "CREATE TABLE log (lsn INTEGER PRIMARY KEY, record BLOB)");
    sqlite3_close(database); /* a connection must not cross a fork */
}

static void *attach(unsigned index)
{
    (void)index;
    static const char insert[] = "INSERT INTO log (record) VALUES (?)";
    struct session *session = calloc(1, sizeof *session);
    if (session == NULL)
        end("session", "no memory");
    pthread_mutex_lock(turn);
    session->database = connect();
    check(session->database,
          sqlite3_prepare_v2(session->database, insert, -1, &session->insert, NULL), SQLITE_OK,
          insert);
    pthread_mutex_unlock(turn);
    return session;
}

static void commit(void *context, uint64_t number)
{
    static const char record[COMMIT_BYTES];
    const struct session *session = context;
    (void)number;
    sqlite3_bind_blob(session->insert, 1, record, sizeof record, SQLITE_STATIC);
    pthread_mutex_lock(turn);
    check(session->database, sqlite3_step(session->insert), SQLITE_DONE, "INSERT");
    sqlite3_reset(session->insert);
    pthread_mutex_unlock(turn);
}

static void close_file(void) {}

int main(int count, char **words)
{
    static const struct commits way = {open_file, attach, commit, close_file};
    return commits_main(count, words, &way);
}
