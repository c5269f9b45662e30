/* SPDX-License-Identifier: MIT
 *
 * What was appended to a log, in order, and whether a log that a crash left agrees with it:
 *
 *     acknowledged ⊆ recovered ⊆ appended, and recovered is a prefix
 *
 * A record says who appended it and as which of its own; all other bytes follow from that. So a
 * record that was altered, invented, repeated or left out shows.
 *
 * Knows include/shmwal.h, src/store. Changes when the contract does. */
#ifndef TORTURE_HISTORY_H
#define TORTURE_HISTORY_H

#include <shmwal.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writers from BULK_WRITERS on append large records only. */
enum { WRITERS_MAX = 16, BULK_WRITERS = 12, RECORD_BYTES_MAX = 24 * 1024 };

/* Fills `bytes` with the `number`-th record of `writer` and returns its length. */
size_t history_fill(uint32_t writer, uint32_t number, char bytes[RECORD_BYTES_MAX]);

struct known_record {
    uint64_t lsn;
    uint32_t writer, number;
};

struct history {
    struct known_record *records;
    uint64_t count, capacity;
    uint64_t end_lsn;           /* of the last */
    uint32_t next[WRITERS_MAX]; /* the number of each writer's next record */
};

void history_clear(struct history *history);

/* Takes all records of the log at `path` that follow what the history has. NULL, or what is wrong
 * with them. */
const char *history_extend(struct history *history, const char *path);

/* The first records of another, up to `end_lsn`. */
void history_copy(struct history *history, const struct history *from, uint64_t end_lsn);

/* Whether the log at `path`, in which everything up to `durable_lsn` was acknowledged, has come out
 * of a crash as it must, `again` and again. *end_lsn is where it ends. NULL, or what is wrong;
 * nothing may use the log meanwhile. */
const char *history_check(const struct history *history, const char *path, uint64_t durable_lsn,
                          bool again, uint64_t *end_lsn);

#endif
