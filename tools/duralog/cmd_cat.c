/* SPDX-License-Identifier: MIT
 *
 * duralog cat: prints the records that are there.
 *
 * Knows include/shmwal.h, print_record, damage, options, message. Its surface is fixed. */
#include "command.h"
#include "damage.h"
#include "message.h"
#include "options.h"
#include "print_record.h"
#include "shmwal.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>

static const char help[] =
    "Usage: duralog cat LOG [--from LSN] [--to LSN] [--json]\n"
    "\n"
    "Prints the records that are durable, oldest first, one a line.\n"
    "\n"
    "  --from LSN  begin after the record that ends at LSN (default 0: the log's beginning)\n"
    "  --to LSN    end with the record that ends at LSN\n"
    "  --json      a JSON object a line: {\"lsn\": 128, \"type\": \"json\", \"data\": ...}\n"
    "\n"
    "Without --json a record's bytes are printed as they are. With it, data is the JSON value, "
    "the\n"
    "text, or base64 for bytes; a text that is not UTF-8, or a JSON that is none, is shown as "
    "base64\n"
    "with \"invalid\": true. The type of an application's own is its number.\n"
    "\n"
    "A damaged log: all that precedes the damage is printed, then stderr says where it is, and "
    "the\n"
    "status is 1. A tail that a crash left unfinished is a notice on stderr, and the status is 0.\n"
    "\n"
    "Examples:\n"
    "  duralog cat app.log | grep login\n"
    "  duralog cat app.log --json | jq .data\n"
    "  duralog cat app.log --from \"$lsn\"      only what was appended after it\n";

enum { OPTION_FROM = 1, OPTION_TO, OPTION_JSON, BATCH_RECORDS = 256 };

static const struct option options[] = {
    {"from", required_argument, NULL, OPTION_FROM},
    {"to", required_argument, NULL, OPTION_TO},
    {"json", no_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, 'h'},
    {0},
};

/* Prints up to the record that ends at `to`, and looks no further; returns a status. */
static int print_all(const char *path, shmwal_reader *reader, struct printer *printer, uint64_t to)
{
    shmwal_record records[BATCH_RECORDS];
    uint64_t reached = 0;
    int count = 1;
    while (reached < to && (count = shmwal_reader_next_batch(reader, records, BATCH_RECORDS)) > 0)
        for (int i = 0; i < count && reached < to; i++) {
            reached = records[i].lsn;
            if (reached <= to && !print_record(printer, &records[i]))
                return printer_failure();
        }
    if (!printer_flush())
        return printer_failure();
    if (count < 0)
        return damage_report(path, reader);
    if (count == 0)
        damage_notice_torn(path, reader);
    return STATUS_DONE;
}

static int run(int argc, char **argv)
{
    uint64_t from = 0, to = UINT64_MAX;
    bool json = false;
    for (int option; (option = option_next(argc, argv, options, help)) != -1;) {
        if (option == OPTION_FROM)
            from = parse_lsn("--from", optarg);
        if (option == OPTION_TO)
            to = parse_lsn("--to", optarg);
        if (option == OPTION_JSON)
            json = true;
    }
    const char *path = operands(argc, argv, 1, 1)[0];
    if (to < from)
        usage_error("--to lies before --from");

    shmwal_reader *reader;
    if (shmwal_reader_open(path, from, &reader) < 0)
        return report("%s", shmwal_error());
    struct printer printer;
    int status = printer_open(&printer, json);
    if (status == STATUS_DONE)
        status = print_all(path, reader, &printer, to);
    printer_close(&printer);
    shmwal_reader_close(reader);
    return status;
}

const struct command command_cat = {"cat", help, run};
