/* SPDX-License-Identifier: MIT
 *
 * duralog follow: prints records as they become durable.
 *
 * Knows include/shmwal.h, print_record, damage, interrupt, options, message. Its surface is
 * fixed. */
#include "command.h"
#include "damage.h"
#include "interrupt.h"
#include "message.h"
#include "options.h"
#include "print_record.h"
#include "shmwal.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

static const char help[] = "Usage: duralog follow LOG [--from LSN] [--json]\n"
                           "\n"
                           "Prints records as they become durable, whoever appends them, until it "
                           "is interrupted (Ctrl-C)\n"
                           "or its reader goes away.\n"
                           "\n"
                           "  --from LSN  begin after the record that ends at LSN, 0 for the log's "
                           "beginning; without it,\n"
                           "              with what is appended from now on\n"
                           "  --json      a JSON object a line, as `duralog cat --json` prints it\n"
                           "\n"
                           "Examples:\n"
                           "  duralog follow app.log\n"
                           "  duralog follow app.log --from 0 --json | jq --unbuffered .data\n";

enum { OPTION_FROM = 1, OPTION_JSON, BATCH_RECORDS = 256 };

static const struct option options[] = {
    {"from", required_argument, NULL, OPTION_FROM},
    {"json", no_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, 'h'},
    {0},
};

/* Whether whoever read stdout has gone: a pipe tells so without a write. */
static bool output_abandoned(void)
{
    struct pollfd output = {.fd = STDOUT_FILENO};
    return poll(&output, 1, 0) > 0 && (output.revents & POLLERR) != 0;
}

/* Waits until there is more, in slices: between them it sees a signal, or that nobody reads any
 * more. Returns 0, -EINTR if it is time to end, or another negative errno. */
static int wait_for_more(shmwal_reader *reader)
{
    int rc = -ETIMEDOUT;
    while (rc == -ETIMEDOUT) {
        if (interrupt_seen() || output_abandoned())
            return -EINTR;
        rc = shmwal_reader_wait(reader, INTERRUPT_SLICE_NS);
    }
    return rc;
}

/* Prints all that is there and passes it on; records that end at or before `after` are left out.
 * Returns 1, or 0 at the end with the status in *status. */
static int print_available(const char *path, shmwal_reader *reader, struct printer *printer,
                           uint64_t after, int *status)
{
    shmwal_record records[BATCH_RECORDS];
    int count = 0;
    while (!interrupt_seen() &&
           (count = shmwal_reader_next_batch(reader, records, BATCH_RECORDS)) > 0)
        for (int i = 0; i < count; i++)
            if (records[i].lsn > after && !print_record(printer, &records[i])) {
                *status = printer_failure();
                return 0;
            }
    if (!printer_flush())
        *status = printer_failure();
    else if (count < 0)
        *status = damage_report(path, reader);
    else
        return 1;
    return 0;
}

static int follow(const char *path, shmwal_reader *reader, struct printer *printer, uint64_t after)
{
    int status = STATUS_DONE, rc = 0;
    while (rc == 0 && print_available(path, reader, printer, after, &status))
        rc = wait_for_more(reader);
    if (rc < 0 && rc != -EINTR)
        return report("%s", shmwal_error());
    return status;
}

/* Where to begin without --from: what is reserved now comes before. Only what is durable can be
 * asked a reader for, so that it begins there, and the rest is left out. */
static int find_now(const char *path, uint64_t *from, uint64_t *after)
{
    shmwal_status status = {.size = sizeof status};
    int rc = shmwal_get_status(path, &status);
    if (rc == 0) {
        *from = status.durable_lsn;
        *after = status.reserved_lsn;
    }
    return rc;
}

static int run(int argc, char **argv)
{
    uint64_t from = 0, after = 0;
    bool json = false, from_now = true;
    for (int option; (option = option_next(argc, argv, options, help)) != -1;) {
        if (option == OPTION_FROM) {
            from = parse_lsn("--from", optarg);
            from_now = false;
        }
        if (option == OPTION_JSON)
            json = true;
    }
    const char *path = operands(argc, argv, 1, 1)[0];

    interrupt_catch();
    shmwal_reader *reader;
    if ((from_now && find_now(path, &from, &after) < 0) ||
        shmwal_reader_open(path, from, &reader) < 0)
        return report("%s", shmwal_error());
    struct printer printer;
    int status = printer_open(&printer, json);
    if (status == STATUS_DONE)
        status = follow(path, reader, &printer, after);
    printer_close(&printer);
    shmwal_reader_close(reader);
    return status;
}

const struct command command_follow = {"follow", help, run};
