/* SPDX-License-Identifier: MIT
 *
 * The list of a log's segments.
 *
 * It is a chain: each header names the segment before it, and carries the log's UUID and a higher
 * number than that; the first one says that none was before it. Anything that is missing, doubled
 * or renamed breaks the chain. So whatever removes old segments one day must first write down,
 * durably, where the log then begins.
 *
 * Knows segment, format, sys, base. Changes when segments are named or chained in another way. */
#ifndef STORE_CATALOG_H
#define STORE_CATALOG_H

#include "segment/segment.h"
#include "store/directory.h"

#include <stddef.h>
#include <stdint.h>

struct catalog {
    size_t count;         /* at least 1 */
    uint64_t *first_lsns; /* in ascending order: by name, the files are not looked into */
    size_t spares;        /* prefilled files for the next segments; not part of the log */
};

/* Lists the names. -EBADMSG if there is no segment, or a file with the suffix but not the name of
 * one. */
int catalog_open(const struct directory *directory, struct catalog *catalog);
void catalog_close(struct catalog *catalog);

uint64_t catalog_first_lsn(const struct catalog *catalog);

/* The place of the segment that `lsn` lies in: the last that begins at or before it, or the
 * first. */
size_t catalog_find(const struct catalog *catalog, uint64_t lsn);

/* Reads every header and checks the chain: -EBADMSG. The last header goes to *last. */
int catalog_check(const struct directory *directory, const struct catalog *catalog,
                  struct segment_header *last);

/* The disk space that the segments take. */
int catalog_disk_bytes(const struct directory *directory, const struct catalog *catalog,
                       uint64_t *bytes);

#endif
