/* SPDX-License-Identifier: MIT
 *
 * What do many committers get together? Each of COUNT threads or processes makes a record durable,
 * waits until just that one is, and begins again: the shape that the log's waiters share with the
 * peers that they are held against. Closed loops: a stall counts once for each committer that it
 * holds up.
 *
 * Knows support.h. Changes when the question does. */
#ifndef BENCH_COMMITS_H
#define BENCH_COMMITS_H

#include "support.h"

#include <stdbool.h>

enum { COMMIT_BYTES = 100 };

/* One way to commit. `open` is called once, before there are workers; `attach` in each worker,
 * untimed; what it returns is handed to `commit`, which returns when the record is durable. */
struct commits {
    void (*open)(const char *path, bool has_processes);
    void *(*attach)(unsigned index);
    void (*commit)(void *session, uint64_t number);
    void (*close)(void);
};

/* usage: PROGRAM PATH threads|processes COUNT MILLISECONDS. Prints commits a second as rate,
 * microseconds as wait.p50 and so on, and for each commit the committers' context switches and
 * microseconds of processor time, as switches and cpu. */
int commits_main(int count, char **words, const struct commits *way);

#endif
