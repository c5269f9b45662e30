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
    "Usage: duralog cat LOG [--from LSN] [--to LSN] [--json] [--salvage]\n"
    "\n"
    "Prints the records that are durable, oldest first, one a line.\n"
    "\n"
    "  --from LSN  begin after the record that ends at LSN (default 0: the log's beginning)\n"
    "  --to LSN    end with the record that ends at LSN\n"
    "  --json      a JSON object a line: {\"lsn\": 128, \"type\": \"json\", \"data\": ...}\n"
    "  --salvage   goes on behind damage, and says what is missing\n"
    "\n"
    "Without --json a record's bytes are printed as they are; only those of logging handlers "
    "become\n"
    "lines of time, level, logger and message. With it, data is the JSON value, the text, or "
    "base64\n"
    "for bytes; a text that is not UTF-8, or a JSON that is none, is shown as base64 with\n"
    "\"invalid\": true. The type of an application's own is its number.\n"
    "\n"
    "A damaged log: all that precedes the damage is printed, then stderr says where it is, and "
    "the\n"
    "status is 1. A tail that a crash left unfinished is a notice on stderr, and the status is 0.\n"
    "\n"
    "With --salvage all records are printed that are still whole. For each hole a sentence on "
    "stderr\n"
    "says where it is; with --json, a line among the records as well: {\"hole\": {\"segment\": "
    "...}}.\n"
    "The status is 1 if there is any.\n"
    "\n"
    "Examples:\n"
    "  duralog cat app.log | grep login\n"
    "  duralog cat app.log --json | jq .data\n"
    "  duralog cat app.log --from \"$lsn\"      only what was appended after it\n";

enum { OPTION_FROM = 1, OPTION_TO, OPTION_JSON, OPTION_SALVAGE, BATCH_RECORDS = 256 };

static const struct option options[] = {
    {"from", required_argument, NULL, OPTION_FROM},
    {"to", required_argument, NULL, OPTION_TO},
    {"json", no_argument, NULL, OPTION_JSON},
    {"salvage", no_argument, NULL, OPTION_SALVAGE},
    {"help", no_argument, NULL, 'h'},
    {0},
};

struct cat {
    const char *path;
    shmwal_reader *reader;
    struct printer printer;
    uint64_t from, to;
    bool json, salvage;
    uint64_t reached; /* LSN of the last record that was read */
    uint64_t holes;
    bool end_lost; /* behind the last hole nothing is whole */
};

/* Prints up to the record that ends at `to`, and looks no further. 1 if there may be more; 0 at the
 * end; a negative errno if reading fails; STATUS_CANNOT_PRINT. */
enum { STATUS_CANNOT_PRINT = -10000 };

static int print_records(struct cat *cat)
{
    shmwal_record records[BATCH_RECORDS];
    int count = shmwal_reader_next_batch(cat->reader, records, BATCH_RECORDS);
    for (int i = 0; i < count && cat->reached < cat->to; i++) {
        cat->reached = records[i].lsn;
        if (cat->reached <= cat->to && !print_record(&cat->printer, &records[i]))
            return STATUS_CANNOT_PRINT;
    }
    return count > 0 ? cat->reached < cat->to : count;
}

/* Goes on behind damage. As print_records(). */
static int pass_hole(struct cat *cat)
{
    shmwal_hole hole;
    int got = shmwal_reader_salvage(cat->reader, &hole);
    if (got < 0)
        return got;
    cat->holes++;
    cat->end_lost = got == 0;
    if (cat->json && !print_hole(&cat->printer, &hole))
        return STATUS_CANNOT_PRINT;
    hole_report(cat->path, &hole);
    return got;
}

static int print_all(struct cat *cat)
{
    shmwal_damage damage;
    int got = 1;
    while (got == 1) {
        got = print_records(cat);
        if (got < 0 && cat->salvage && shmwal_reader_damage(cat->reader, &damage) == 1)
            got = pass_hole(cat);
    }
    if (got == STATUS_CANNOT_PRINT || !printer_flush())
        return printer_failure();
    if (got < 0)
        return damage_report(cat->path, cat->reader);
    if (!cat->end_lost && cat->reached < cat->to)
        damage_notice_torn(cat->path, cat->reader);
    return cat->holes > 0 ? STATUS_FAILED : STATUS_DONE;
}

static int run(int argc, char **argv)
{
    struct cat cat = {.to = UINT64_MAX};
    for (int option; (option = option_next(argc, argv, options, help)) != -1;) {
        if (option == OPTION_FROM)
            cat.from = parse_lsn("--from", optarg);
        if (option == OPTION_TO)
            cat.to = parse_lsn("--to", optarg);
        cat.json |= option == OPTION_JSON;
        cat.salvage |= option == OPTION_SALVAGE;
    }
    cat.path = operands(argc, argv, 1, 1)[0];
    if (cat.to < cat.from)
        usage_error("--to lies before --from");

    if (shmwal_reader_open(cat.path, cat.from, &cat.reader) < 0)
        return report("%s", shmwal_error());
    int status = printer_open(&cat.printer, cat.json);
    if (status == STATUS_DONE)
        status = print_all(&cat);
    printer_close(&cat.printer);
    shmwal_reader_close(cat.reader);
    return status;
}

const struct command command_cat = {"cat", help, run};
