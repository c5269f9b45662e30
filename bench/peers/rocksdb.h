/* SPDX-License-Identifier: MIT
 *
 * What both programs about RocksDB share: an open that ends the program if it fails.
 *
 * Knows rocksdb/c.h. */
#ifndef BENCH_PEERS_ROCKSDB_H
#define BENCH_PEERS_ROCKSDB_H

#include "../support.h"

#include <rocksdb/c.h>
#include <stddef.h>

static inline void rocksdb_check(const char *error, const char *what)
{
    if (error != NULL)
        end(what, error);
}

static inline rocksdb_t *rocksdb_open_new(rocksdb_options_t *options, const char *path)
{
    char *error = NULL;
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_t *database = rocksdb_open(options, path, &error);
    rocksdb_check(error, "rocksdb_open");
    return database;
}

#endif
