/* SPDX-License-Identifier: MIT
 *
 * duralog verify: reads every byte of a log and checks it.
 *
 * Knows include/shmwal.h, json, progress, options, message. Its surface is fixed. */
#include "command.h"
#include "json.h"
#include "message.h"
#include "options.h"
#include "progress.h"
#include "shmwal.h"

#include <inttypes.h>
#include <stdio.h>

static const char help[] =
    "Usage: duralog verify LOG [--json]\n"
    "\n"
    "Reads every byte of the log and checks it. Changes nothing; needs no flusher.\n"
    "\n"
    "  --json  one JSON object\n"
    "\n"
    "The verdict is intact; torn: a crash left the tail unfinished, which the next flusher cuts "
    "off,\n"
    "and nothing that was acknowledged is missing; or damaged: acknowledged bytes are wrong or\n"
    "missing, and the status is 1.\n"
    "\n"
    "Examples:\n"
    "  duralog verify app.log\n"
    "  duralog verify /backup/app.log && echo good\n";

enum { OPTION_JSON = 1 };

static const struct option options[] = {
    {"json", no_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static void show_bar(void *context, uint64_t done, uint64_t total)
{
    if (progress_due(context))
        progress_show_bar(context, done, total);
}

static const char *verdict(const shmwal_verification *result)
{
    return result->damaged ? "damaged" : result->torn ? "torn" : "intact";
}

static void print_for_people(const shmwal_verification *result)
{
    const shmwal_damage *damage = &result->damage;
    printf("%s: %" PRIu64 " record%s, LSN %" PRIu64 " to %" PRIu64 "\n", verdict(result),
           result->records, result->records == 1 ? "" : "s", result->first_lsn, result->last_lsn);
    if (result->torn && !result->damaged)
        printf("torn in segment %s at byte %" PRIu64 ", LSN %" PRIu64 ": %s\n", damage->segment,
               damage->offset, damage->lsn, damage->reason);
}

static void put_damage(yajl_gen generator, const shmwal_verification *result)
{
    json_string(generator, "damage");
    if (!result->torn && !result->damaged) {
        yajl_gen_null(generator);
        return;
    }
    yajl_gen_map_open(generator);
    json_string(generator, "segment");
    json_string(generator, result->damage.segment);
    json_string(generator, "offset");
    json_unsigned(generator, result->damage.offset);
    json_string(generator, "lsn");
    json_unsigned(generator, result->damage.lsn);
    json_string(generator, "reason");
    json_string(generator, result->damage.reason);
    yajl_gen_map_close(generator);
}

static int print_for_scripts(const shmwal_verification *result)
{
    yajl_gen generator = json_generator();
    if (!generator)
        return report("out of memory");
    yajl_gen_map_open(generator);
    json_string(generator, "state");
    json_string(generator, verdict(result));
    json_string(generator, "records");
    json_unsigned(generator, result->records);
    json_string(generator, "first_lsn");
    json_unsigned(generator, result->first_lsn);
    json_string(generator, "last_lsn");
    json_unsigned(generator, result->last_lsn);
    put_damage(generator, result);
    yajl_gen_map_close(generator);
    json_end_line(generator);
    yajl_gen_free(generator);
    return STATUS_DONE;
}

static int run(int argc, char **argv)
{
    bool json = false;
    while (option_next(argc, argv, options, help) != -1)
        json = true;
    const char *path = operands(argc, argv, 1, 1)[0];
    shmwal_verification result = {.size = sizeof result};
    struct progress progress = progress_begin(true);
    int rc = shmwal_verify(path, &result, show_bar, &progress);
    progress_end(&progress);
    if (rc < 0)
        return report("%s", shmwal_error());
    if (!json)
        print_for_people(&result);
    else if (print_for_scripts(&result) != STATUS_DONE)
        return STATUS_FAILED;
    if (result.damaged)
        return report("%s is damaged in segment %s at byte %" PRIu64 ", LSN %" PRIu64
                      " (%s); `duralog cat` prints all before it",
                      path, result.damage.segment, result.damage.offset, result.damage.lsn,
                      result.damage.reason);
    return STATUS_DONE;
}

const struct command command_verify = {"verify", help, run};
