/* SPDX-License-Identifier: MIT
 * See leftovers.h. */
#include "store/leftovers.h"

#include "sys/file.h"
#include "sys/listing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static int note_entry(void *context, const char *name)
{
    static const char *const ours[] = {"lock", "meta", "segments", "cursors", "flusher.log"};
    struct leftovers *found = context;
    if (strcmp(name, "meta.tmp") == 0) {
        found->begun = true;
        return 0;
    }
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (strcmp(name, ours[i]) == 0)
            return 0;
    snprintf(found->foreign, sizeof found->foreign, "%s", name);
    return 0;
}

static int note_segment(void *context, const char *name)
{
    struct leftovers *found = context;
    const char *suffix = strrchr(name, '.');
    found->segments = suffix != NULL && strcmp(suffix, ".seg") == 0;
    return found->segments;
}

int leftovers_find(int directory, struct leftovers *found)
{
    *found = (struct leftovers){0};
    int error = sys_list(directory, note_entry, found);
    if (error < 0)
        return error;
    int segments = sys_openat(directory, "segments", O_RDONLY | O_DIRECTORY, 0);
    if (segments == -ENOENT)
        return 0;
    if (segments < 0)
        return segments;
    error = sys_list(segments, note_segment, found);
    sys_close(segments);
    return error < 0 ? error : 0;
}
