/* SPDX-License-Identifier: MIT
 * See catalog.h. */
#include "store/catalog.h"

#include "base/error.h"
#include "store/spare.h"
#include "sys/file.h"
#include "sys/listing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

struct collecting {
    struct catalog catalog;
    size_t capacity;
    const char *path;
};

static int collect(void *context, const char *name)
{
    struct collecting *collecting = context;
    struct catalog *catalog = &collecting->catalog;
    uint64_t first_lsn;
    const char *suffix = strrchr(name, '.');
    if (suffix != NULL && strcmp(suffix, SPARE_SUFFIX) == 0)
        catalog->spares++;
    if (suffix == NULL || strcmp(suffix, ".seg") != 0)
        return 0;
    if (!segment_name_parse(name, &first_lsn))
        return fail(EBADMSG,
                    "%s/segments/%s has the suffix of a segment but not the name of one: "
                    "rename it or move it away",
                    collecting->path, name);
    if (catalog->count == collecting->capacity) {
        size_t capacity = collecting->capacity == 0 ? 64 : 2 * collecting->capacity;
        uint64_t *larger = realloc(catalog->first_lsns, capacity * sizeof *larger);
        if (larger == NULL)
            return fail(ENOMEM, "no memory for a list of %zu segments", capacity);
        catalog->first_lsns = larger;
        collecting->capacity = capacity;
    }
    catalog->first_lsns[catalog->count++] = first_lsn;
    return 0;
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

int catalog_open(const struct directory *directory, struct catalog *catalog)
{
    struct collecting collecting = {.path = directory->path};
    struct catalog *found = &collecting.catalog;
    int error = sys_list(directory->segments_fd, collect, &collecting);
    if (error < 0 && error != -EBADMSG && error != -ENOMEM)
        error = fail_errno(-error, "cannot read the directory %s/segments", directory->path);
    else if (error == 0 && found->count == 0)
        error = fail(EBADMSG, "%s/segments holds no segment: restore them from a copy of this log",
                     directory->path);
    if (error < 0) {
        free(found->first_lsns);
        return error;
    }
    qsort(found->first_lsns, found->count, sizeof *found->first_lsns, compare);
    *catalog = *found;
    return 0;
}

void catalog_close(struct catalog *catalog)
{
    free(catalog->first_lsns);
    *catalog = (struct catalog){0};
}

uint64_t catalog_first_lsn(const struct catalog *catalog)
{
    return catalog->first_lsns[0];
}

size_t catalog_find(const struct catalog *catalog, uint64_t lsn)
{
    size_t low = 0, high = catalog->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (catalog->first_lsns[middle] <= lsn)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Whether `segment` follows `previous`, or, if that is NULL, may be a log's first. */
static int check_place(const struct segment_header *previous, const struct segment *segment)
{
    char missing[SEGMENT_NAME_BYTES];
    if (previous != NULL) {
        const char *wrong = segment_follows(previous, &segment->header);
        return wrong == NULL ? 0
                             : fail(EBADMSG, "segment %s does not follow its predecessor: %s",
                                    segment->name, wrong);
    }
    if (segment->header.previous_first_lsn == FORMAT_LSN_NONE)
        return 0;
    segment_name(segment->header.previous_first_lsn, missing);
    return fail(EBADMSG,
                "segment %s is missing, which segment %s, the oldest one there, follows: restore "
                "it from a copy of this log",
                missing, segment->name);
}

int catalog_check(const struct directory *directory, const struct catalog *catalog,
                  struct segment_header *last)
{
    struct segment_header previous;
    for (size_t i = 0; i < catalog->count; i++) {
        struct segment segment;
        int error = segment_open(directory->segments_fd, catalog->first_lsns[i],
                                 directory->meta.uuid, SEGMENT_READ, SYNC_FDATASYNC, &segment);
        if (error < 0)
            return error;
        segment_close(&segment);
        error = check_place(i == 0 ? NULL : &previous, &segment);
        if (error < 0)
            return error;
        previous = segment.header;
    }
    *last = previous;
    return 0;
}

int catalog_disk_bytes(const struct directory *directory, const struct catalog *catalog,
                       uint64_t *bytes)
{
    uint64_t total = 0;
    for (size_t i = 0; i < catalog->count; i++) {
        char name[SEGMENT_NAME_BYTES];
        struct stat status;
        segment_name(catalog->first_lsns[i], name);
        int fd = sys_openat(directory->segments_fd, name, O_RDONLY | O_NONBLOCK, 0);
        int error = fd < 0 ? fd : sys_fstat(fd, &status);
        if (fd >= 0)
            sys_close(fd);
        if (error < 0)
            return fail_errno(-error, "cannot look at %s/segments/%s", directory->path, name);
        total += (uint64_t)status.st_blocks * 512;
    }
    *bytes = total;
    return 0;
}
