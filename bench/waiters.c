/* SPDX-License-Identifier: MIT
 *
 * What do many waiters get together? Each appends a record, waits until just that one is durable,
 * and begins again; the flusher's group commits serve them all.
 *
 * usage: see commits.h. Knows the public header. */
#include "commits.h"
#include "log.h"

static shmwal *log_handle;

static void open_log(const char *path, bool has_processes)
{
    (void)has_processes;
    log_handle = log_open(path, 0);
}

static void *attach(unsigned index)
{
    (void)index;
    return log_handle;
}

static void commit(void *session, uint64_t number)
{
    static const char record[COMMIT_BYTES];
    (void)number;
    log_wait(session, log_append(session, record, sizeof record));
}

static void close_log(void)
{
    shmwal_close(log_handle);
}

int main(int count, char **words)
{
    static const struct commits way = {open_log, attach, commit, close_log};
    return commits_main(count, words, &way);
}
