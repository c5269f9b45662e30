/* SPDX-License-Identifier: MIT
 *
 * duralog create: makes a log.
 *
 * Knows include/shmwal.h, options, message, human. Its surface is fixed. */
#include "command.h"
#include "human.h"
#include "message.h"
#include "options.h"
#include "shmwal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

static const char help[] =
    "Usage: duralog create LOG [--ring-bytes N] [--segment-bytes N] [--spare-bytes N]\n"
    "\n"
    "Makes a log in the directory LOG, and missing parent directories. A log that is there "
    "already\n"
    "is left as it is. (`duralog append` makes a log too; create is for choosing the sizes.)\n"
    "\n"
    "  --ring-bytes N     shared memory between the processes and the flusher (default 32M): how\n"
    "                     much may be appended while the disk is busy; rounded up to a power of "
    "two\n"
    "  --segment-bytes N  size of the files that hold the records (default 64M)\n"
    "  --spare-bytes N    files written full of zeros that the flusher keeps ahead of need, "
    "rounded "
    "up\n"
    "                     to whole segments, at most 1024: what goes to them is durable sooner\n"
    "                     (default 0: one, when the log's use shows that it pays)\n"
    "\n"
    "N takes K, M or G. Rings and segments have 64K to 64G.\n"
    "\n"
    "Examples:\n"
    "  duralog create /var/lib/shop/orders.log\n"
    "  duralog create /var/lib/shop/orders.log --ring-bytes 256M --segment-bytes 1G\n";

enum { OPTION_RING = 1, OPTION_SEGMENT, OPTION_SPARE };

static const struct option options[] = {
    {"ring-bytes", required_argument, NULL, OPTION_RING},
    {"segment-bytes", required_argument, NULL, OPTION_SEGMENT},
    {"spare-bytes", required_argument, NULL, OPTION_SPARE},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static void describe(const char *path, const shmwal_status *status, bool was_there)
{
    char ring[HUMAN_BYTES], segment[HUMAN_BYTES];
    printf("%s %s: uuid %s, ring %s, segments of %s", path,
           was_there ? "was there already" : "created", status->uuid,
           human_bytes(status->ring_bytes, ring), human_bytes(status->segment_bytes, segment));
    if (status->spares_kept > 0)
        printf(", %" PRIu64 " spare%s", status->spares_kept, status->spares_kept == 1 ? "" : "s");
    putchar('\n');
}

static int run(int argc, char **argv)
{
    shmwal_options sizes = SHMWAL_OPTIONS_INIT;
    for (int option; (option = option_next(argc, argv, options, help)) != -1;) {
        if (option == OPTION_RING)
            sizes.ring_bytes = parse_size_above_0("--ring-bytes", optarg);
        if (option == OPTION_SEGMENT)
            sizes.segment_bytes = parse_size_above_0("--segment-bytes", optarg);
        if (option == OPTION_SPARE)
            sizes.spare_bytes = parse_size("--spare-bytes", optarg);
    }
    const char *path = operands(argc, argv, 1, 1)[0];

    shmwal_status status = {.size = sizeof status};
    bool was_there = shmwal_get_status(path, &status) == 0;
    int rc = shmwal_create(path, &sizes);
    if (rc == -EINVAL)
        usage_error("%s", shmwal_error());
    if (rc < 0 || shmwal_get_status(path, &status) < 0)
        return report("%s", shmwal_error());
    describe(path, &status, was_there);
    return STATUS_DONE;
}

const struct command command_create = {"create", help, run};
