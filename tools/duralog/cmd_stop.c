/* SPDX-License-Identifier: MIT
 *
 * duralog stop: brings everything to disk and ends the log's flusher.
 *
 * Knows include/shmwal.h, options, message. Its surface is fixed. */
#include "command.h"
#include "message.h"
#include "options.h"
#include "shmwal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

static const char help[] =
    "Usage: duralog stop LOG [--timeout SECONDS]\n"
    "\n"
    "Tells the log's flusher to write and sync all that is committed and to end, and waits until "
    "it\n"
    "has. Where none runs there is nothing to do, and the status is 0.\n"
    "\n"
    "  --timeout SECONDS  how long to wait (default 60); the flusher goes on draining after it\n"
    "\n"
    "Processes that have the log open get an error from append and wait until a flusher runs "
    "again;\n"
    "whoever opens the log next starts one.\n"
    "\n"
    "Example:\n"
    "  duralog stop app.log && cp -a app.log /backup/\n";

enum { OPTION_TIMEOUT = 1 };

static const struct option options[] = {
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static int run(int argc, char **argv)
{
    int64_t timeout_ns = INT64_C(60000000000);
    while (option_next(argc, argv, options, help) != -1)
        timeout_ns = parse_seconds("--timeout", optarg);
    const char *path = operands(argc, argv, 1, 1)[0];

    shmwal_status status = {.size = sizeof status};
    int rc = shmwal_get_status(path, &status);
    if (rc < 0 && rc != -EBADMSG) /* a damaged log may have a flusher to stop all the same */
        return report("%s", shmwal_error());
    bool ran = rc < 0 || status.flusher_pid != 0;
    rc = shmwal_stop(path, timeout_ns);
    if (rc == -ETIMEDOUT)
        return report("the flusher of %s has not ended within %g s; it goes on draining, and "
                      "`duralog status` shows how far it is",
                      path, (double)timeout_ns / 1e9);
    if (rc < 0)
        return report("%s", shmwal_error());
    if (!ran)
        printf("%s: no flusher runs\n", path);
    else if (shmwal_get_status(path, &status) == 0)
        printf("%s: stopped; all before LSN %" PRIu64 " is durable\n", path, status.durable_lsn);
    return STATUS_DONE;
}

const struct command command_stop = {"stop", help, run};
