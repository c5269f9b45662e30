/* SPDX-License-Identifier: MIT
 *
 * duralog fence: kills the process whose open reservation holds back all that is behind it.
 *
 * Knows include/shmwal.h, human, json, options, message. Changes when people need to be told more
 * of what was done. */
#include "command.h"
#include "human.h"
#include "json.h"
#include "message.h"
#include "options.h"
#include "shmwal.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

static const char help[] =
    "Usage: duralog fence LOG [--open-for SECONDS] [--dry-run] [--timeout SECONDS] [--json]\n"
    "\n"
    "Kills (SIGKILL) the process whose reservation is the oldest open one and holds back all that\n"
    "is behind it: one that was stopped, hangs, or is in a debugger, and that nobody can bring to\n"
    "go on. Then waits until the flusher has put a filler in the reservation's place. Nobody else\n"
    "is killed: the process must be proven to own that reservation, whatever its pid. Where that\n"
    "cannot be proven, a sentence says why, and the status is 1. Where no reservation is open for\n"
    "so long, there is nothing to do, and the status is 0.\n"
    "\n"
    "  --open-for SECONDS  for how long it must have been open (default 1); one of which that is\n"
    "                      not known yet is watched for that time, and let be if it is finished\n"
    "  --dry-run           kill nobody: only say who would be killed\n"
    "  --timeout SECONDS   how long to wait for the process's end and the filler (default 60)\n"
    "  --json              one JSON object\n"
    "\n"
    "A process in a container is killed from outside, or from within the same one.\n"
    "\n"
    "Examples:\n"
    "  duralog fence app.log --dry-run\n"
    "  duralog fence app.log --open-for 30\n";

enum { OPTION_OPEN_FOR = 1, OPTION_DRY_RUN, OPTION_TIMEOUT, OPTION_JSON };

static const struct option options[] = {
    {"open-for", required_argument, NULL, OPTION_OPEN_FOR},
    {"dry-run", no_argument, NULL, OPTION_DRY_RUN},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"json", no_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, 'h'},
    {0},
};

struct wish {
    int64_t open_for_ns, timeout_ns;
    uint32_t flags;
    bool json;
};

static struct wish read_options(int argc, char **argv)
{
    struct wish wish = {.open_for_ns = INT64_C(1000000000), .timeout_ns = INT64_C(60000000000)};
    for (int option; (option = option_next(argc, argv, options, help)) != -1;) {
        if (option == OPTION_OPEN_FOR)
            wish.open_for_ns = parse_seconds("--open-for", optarg);
        else if (option == OPTION_TIMEOUT)
            wish.timeout_ns = parse_seconds("--timeout", optarg);
        else if (option == OPTION_DRY_RUN)
            wish.flags = SHMWAL_FENCE_LOOK;
        else
            wish.json = true;
    }
    return wish;
}

static void print_for_people(const char *path, const struct wish *wish,
                             const shmwal_fencing *fencing)
{
    char age[HUMAN_BYTES];
    human_age(fencing->age_ms, age);
    printf("%s: ", path);
    if (fencing->done == SHMWAL_FENCED_NOTHING) {
        printf("nothing to fence: no reservation has been open for %g s\n",
               (double)wish->open_for_ns / 1e9);
        return;
    }
    if (fencing->done == SHMWAL_FENCED_DEAD)
        printf("the process that had LSN %" PRIu64 " open is dead", fencing->lsn);
    else if (fencing->done == SHMWAL_FENCED_KILLED)
        printf("killed process %" PRId64 ", which had LSN %" PRIu64 " open for %s", fencing->pid,
               fencing->lsn, age);
    else
        printf("process %" PRId64 " has LSN %" PRIu64 " open for %s; without --dry-run it is "
               "killed\n",
               fencing->pid, fencing->lsn, age);
    if (fencing->done != SHMWAL_FENCED_ALIVE)
        puts(fencing->filled ? "; a filler is in its place"
                             : "; it is filled once a flusher runs, the next append starts one");
}

static int print_for_scripts(const char *path, const shmwal_fencing *fencing)
{
    static const char *const names[] = {
        [SHMWAL_FENCED_NOTHING] = "nothing",
        [SHMWAL_FENCED_DEAD] = "dead",
        [SHMWAL_FENCED_ALIVE] = "alive",
        [SHMWAL_FENCED_KILLED] = "killed",
    };
    yajl_gen generator = json_generator();
    if (!generator)
        return report("out of memory");
    yajl_gen_map_open(generator);
    json_string(generator, "path");
    json_string(generator, path);
    json_string(generator, "done");
    json_string(generator, names[fencing->done]);
    json_string(generator, "pid");
    if (fencing->pid != 0)
        yajl_gen_integer(generator, fencing->pid);
    else
        yajl_gen_null(generator);
    json_string(generator, "lsn");
    json_unsigned(generator, fencing->lsn);
    json_string(generator, "age_ms");
    json_unsigned(generator, fencing->age_ms);
    json_string(generator, "filled");
    yajl_gen_bool(generator, fencing->filled);
    yajl_gen_map_close(generator);
    json_end_line(generator);
    yajl_gen_free(generator);
    return STATUS_DONE;
}

static int run(int argc, char **argv)
{
    struct wish wish = read_options(argc, argv);
    const char *path = operands(argc, argv, 1, 1)[0];
    shmwal_fencing fencing = {.size = sizeof fencing};
    if (shmwal_fence(path, wish.flags, wish.open_for_ns, wish.timeout_ns, &fencing) < 0)
        return report("%s", shmwal_error());
    if (wish.json)
        return print_for_scripts(path, &fencing);
    print_for_people(path, &wish, &fencing);
    return STATUS_DONE;
}

const struct command command_fence = {"fence", help, run};
