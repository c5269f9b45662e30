/* SPDX-License-Identifier: MIT
 *
 * duralog status: how a log is, for people and for scripts.
 *
 * Knows include/shmwal.h, json, human, options, message. The keys of --json are fixed; more may
 * come. */
#include "command.h"
#include "human.h"
#include "json.h"
#include "message.h"
#include "options.h"
#include "shmwal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "Usage: duralog status LOG [--json]\n"
    "\n"
    "Says how a log is: whether a flusher runs, how far the log is committed and durable, what is\n"
    "held in the ring and on disk, and whose reservation holds the rest back, if any. Changes\n"
    "nothing and starts nothing.\n"
    "\n"
    "  --json  one JSON object\n"
    "\n"
    "The state is ok: a flusher runs; stopped: none does, the next append starts one; frozen: the\n"
    "device failed, and nothing becomes durable until a flusher is started anew.\n"
    "\n"
    "Examples:\n"
    "  duralog status app.log\n"
    "  duralog status app.log --json | jq '.committed_lsn - .durable_lsn'\n";

enum { OPTION_JSON = 1 };

static const struct option options[] = {
    {"json", no_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, 'h'},
    {0},
};

static const char *state_name(shmwal_state state)
{
    static const char *const names[] = {
        [SHMWAL_STATE_OK] = "ok",
        [SHMWAL_STATE_STOPPED] = "stopped",
        [SHMWAL_STATE_FROZEN] = "frozen",
    };
    return names[state];
}

/* ---- For people ---- */

/* Which of the flusher's limits the system's text for an errno may speak of. */
static const char *limit_words(int error)
{
    if (error == EFBIG)
        return " (the flusher's RLIMIT_FSIZE, or the largest file of its file system)";
    return error == EMFILE ? " (the flusher's RLIMIT_NOFILE)" : "";
}

static void print_state(const shmwal_status *status)
{
    printf("  %-12s%s", "state", state_name(status->state));
    if (status->flusher_pid != 0)
        printf(", flusher is process %" PRId64, status->flusher_pid);
    if (status->state == SHMWAL_STATE_STOPPED)
        printf(", no flusher runs");
    if (status->device_errno != 0)
        printf(status->state == SHMWAL_STATE_FROZEN ? ", the device failed: %s%s"
                                                    : ", cannot write for now: %s%s",
               strerror(status->device_errno), limit_words(status->device_errno));
    putchar('\n');
}

static void print_reservation(const shmwal_status *status)
{
    char age[HUMAN_BYTES];
    if (status->oldest_pid == 0)
        return;
    printf("  %-12sopen at LSN %" PRIu64 " for %s by ", "reservation", status->oldest_lsn,
           human_age(status->oldest_age_ms, age));
    if (status->oldest_pid > 0)
        printf("process %" PRId64, status->oldest_pid);
    else if (status->oldest_inner_pid > 0)
        printf("process %" PRId64 " of another PID namespace (%" PRIu32 ")",
               status->oldest_inner_pid, status->oldest_pid_namespace);
    else
        printf("a process not known");
    puts(status->oldest_alive ? ", which is alive" : ", which is dead");
}

static void print_for_people(const char *path, const shmwal_status *status)
{
    char used[HUMAN_BYTES], size[HUMAN_BYTES];
    uint64_t held = status->reserved_lsn - status->durable_lsn;
    puts(path);
    print_state(status);
    printf("  %-12s%s\n", "uuid", status->uuid);
    printf("  %-12sfirst %" PRIu64 ", durable %" PRIu64 ", committed %" PRIu64 "\n", "lsn",
           status->first_lsn, status->durable_lsn, status->committed_lsn);
    printf("  %-12s%s of %s in use (%.0f%%), %u attached\n", "ring", human_bytes(held, used),
           human_bytes(status->ring_bytes, size), 100.0 * (double)held / (double)status->ring_bytes,
           status->attached);
    printf("  %-12s%s in %" PRIu64 " segment%s\n", "disk", human_bytes(status->bytes, size),
           status->segments, status->segments == 1 ? "" : "s");
    if (status->spares_kept > 0)
        printf("  %-12s%" PRIu64 " of %" PRIu64 " ready, %s each\n", "spares", status->spares,
               status->spares_kept, human_bytes(status->segment_bytes, size));
    print_reservation(status);
    if (status->fillers_dead + status->fillers_invalid > 0)
        printf("  %-12s%" PRIu64 " for the dead, %" PRIu64 " for records that did not validate\n",
               "fillers", status->fillers_dead, status->fillers_invalid);
}

/* ---- For scripts ---- */

static void put_number(yajl_gen generator, const char *key, uint64_t value)
{
    json_string(generator, key);
    json_unsigned(generator, value);
}

static void put_text(yajl_gen generator, const char *key, const char *value)
{
    json_string(generator, key);
    json_string(generator, value);
}

/* null if it is not known, which 0 and less say. */
static void put_known(yajl_gen generator, const char *key, int64_t value)
{
    json_string(generator, key);
    if (value > 0)
        yajl_gen_integer(generator, value);
    else
        yajl_gen_null(generator);
}

static void put_flusher(yajl_gen generator, const shmwal_status *status)
{
    json_string(generator, "flusher");
    yajl_gen_map_open(generator);
    json_string(generator, "running");
    yajl_gen_bool(generator, status->flusher_pid != 0);
    put_known(generator, "pid", status->flusher_pid);
    yajl_gen_map_close(generator);
}

static void put_reservation(yajl_gen generator, const shmwal_status *status)
{
    json_string(generator, "oldest_reservation");
    if (status->oldest_pid == 0) {
        yajl_gen_null(generator);
        return;
    }
    yajl_gen_map_open(generator);
    put_known(generator, "pid", status->oldest_pid);
    put_number(generator, "lsn", status->oldest_lsn);
    put_number(generator, "age_ms", status->oldest_age_ms);
    json_string(generator, "alive");
    yajl_gen_bool(generator, status->oldest_alive);
    put_known(generator, "inner_pid", status->oldest_inner_pid);
    put_known(generator, "pid_namespace", status->oldest_pid_namespace);
    yajl_gen_map_close(generator);
}

static void put_more(yajl_gen generator, const shmwal_status *status)
{
    put_number(generator, "reserved_lsn", status->reserved_lsn);
    put_number(generator, "segment_bytes", status->segment_bytes);
    put_number(generator, "spare_bytes", status->spare_bytes);
    put_number(generator, "spares", status->spares);
    put_number(generator, "spares_kept", status->spares_kept);
    put_number(generator, "attached", status->attached);
    put_number(generator, "fillers_dead", status->fillers_dead);
    put_number(generator, "fillers_invalid", status->fillers_invalid);
    json_string(generator, "device_error");
    if (status->device_errno != 0)
        json_string(generator, strerror(status->device_errno));
    else
        yajl_gen_null(generator);
}

static int print_for_scripts(const char *path, const shmwal_status *status)
{
    yajl_gen generator = json_generator();
    if (!generator)
        return report("out of memory");
    yajl_gen_map_open(generator);
    put_text(generator, "path", path);
    put_text(generator, "uuid", status->uuid);
    put_text(generator, "state", state_name(status->state));
    put_number(generator, "first_lsn", status->first_lsn);
    put_number(generator, "durable_lsn", status->durable_lsn);
    put_number(generator, "committed_lsn", status->committed_lsn);
    put_number(generator, "ring_bytes", status->ring_bytes);
    put_number(generator, "segments", status->segments);
    put_number(generator, "bytes", status->bytes);
    put_flusher(generator, status);
    put_reservation(generator, status);
    put_more(generator, status);
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
    shmwal_status status = {.size = sizeof status};
    if (shmwal_get_status(path, &status) < 0)
        return report("%s", shmwal_error());
    char *absolute = realpath(path, NULL);
    if (!absolute)
        return report("cannot resolve %s: %s", path, strerror(errno));
    int result = STATUS_DONE;
    if (json)
        result = print_for_scripts(absolute, &status);
    else
        print_for_people(absolute, &status);
    free(absolute);
    return result;
}

const struct command command_status = {"status", help, run};
