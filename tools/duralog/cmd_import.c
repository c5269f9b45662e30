/* SPDX-License-Identifier: MIT
 *
 * duralog import: brings a log file of the earlier, pure Python library over.
 *
 * Records are appended in batches, in their order. What cannot be made out is passed over and
 * reported; each stop says at which offset of the file to go on. LOG is not made for a file that
 * holds no record at all.
 *
 * Knows include/shmwal.h and the helpers earlier, json, patience, interrupt, progress, human,
 * options, message. Its surface is fixed. */
#include "command.h"
#include "earlier.h"
#include "human.h"
#include "interrupt.h"
#include "json.h"
#include "message.h"
#include "options.h"
#include "patience.h"
#include "progress.h"
#include "shmwal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char help[] =
    "Usage: duralog import FILE LOG [--level durable|committed] [--timeout SECONDS]\n"
    "                      [--append] [--from OFFSET] [--json]\n"
    "\n"
    "Appends the records of FILE, a log file of the earlier pure Python library of this name, to\n"
    "LOG, which is made if it is not there. Waits until all of them are safe on disk. FILE is "
    "only\n"
    "read.\n"
    "\n"
    "  --level LEVEL      durable (default): wait until a power cut cannot take them;\n"
    "                     committed: only the death of processes cannot\n"
    "  --timeout SECONDS  how long to wait, in all, for room and for the disk; without it, until\n"
    "                     nothing has moved for 30 seconds\n"
    "  --append           LOG may have records already\n"
    "  --from OFFSET      begin at this byte of FILE\n"
    "  --json             one JSON object about what was done\n"
    "\n"
    "Bytes that are no whole record are passed over, and each such place is reported with its\n"
    "offset; the status is then 1. An import that was stopped says with which --from to go on; "
    "after\n"
    "one that was killed, remove LOG and begin anew. Stop what writes to FILE first: what is "
    "added\n"
    "meanwhile is not imported, but told.\n"
    "\n"
    "Example:\n"
    "  mv app.log app.log.old && duralog import app.log.old app.log\n";

enum { OPTION_LEVEL = 1, OPTION_TIMEOUT, OPTION_APPEND, OPTION_FROM, OPTION_JSON };

static const struct option options[] = {
    {"level", required_argument, NULL, OPTION_LEVEL},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"append", no_argument, NULL, OPTION_APPEND},
    {"from", required_argument, NULL, OPTION_FROM},
    {"json", no_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, 'h'},
    {0},
};

enum { BATCH_RECORDS = 4096, BATCH_BYTES = 1 << 20, HOLES_SHOWN_MAX = 20 };

struct batch {
    const void *data; /* `own`, or one payload that is larger */
    char own[BATCH_BYTES];
    size_t bytes, count;
    uint32_t lengths[BATCH_RECORDS];
    uint8_t types[BATCH_RECORDS];
    uint64_t offsets[BATCH_RECORDS]; /* in FILE */
};

struct holes {
    struct earlier_hole *list;
    size_t count;
    uint64_t bytes;
};

struct import {
    const char *file_name, *path;
    shmwal_level level;
    int64_t timeout_ns;
    bool append, json;
    uint64_t from;

    struct earlier_file file;
    shmwal *log;
    struct batch batch;
    struct holes holes;
    struct patience patience;
    struct progress progress;
    uint64_t records, bytes, not_json, last_lsn;
    uint64_t next_offset; /* all of FILE before it is done */
    bool durable;
    char stopped_by[1200]; /* why it did not take all; "" if it did */
};

/* ---- Arguments ---- */

static void parse_arguments(struct import *import, int argc, char **argv)
{
    import->level = SHMWAL_DURABLE;
    import->timeout_ns = -1;
    for (int option; (option = option_next(argc, argv, options, help)) != -1;) {
        if (option == OPTION_LEVEL)
            import->level = parse_level("--level", optarg);
        if (option == OPTION_TIMEOUT)
            import->timeout_ns = parse_seconds("--timeout", optarg);
        if (option == OPTION_FROM)
            import->from = parse_lsn("--from", optarg);
        import->append |= option == OPTION_APPEND;
        import->json |= option == OPTION_JSON;
    }
    char **operand = operands(argc, argv, 2, 2);
    import->file_name = operand[0];
    import->path = operand[1];
    if (operand[1][0] == '\0')
        usage_error("the path of the LOG is empty");
}

/* ---- Appending ---- */

__attribute__((format(printf, 2, 3))) static bool stop_with(struct import *import,
                                                            const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(import->stopped_by, sizeof import->stopped_by, format, arguments);
    va_end(arguments);
    return false;
}

static bool stop_at_record(struct import *import, size_t index, int rc)
{
    uint64_t offset = import->batch.offsets[index];
    if (rc == -ETIMEDOUT || rc == -EAGAIN)
        return stop_with(import, "the ring had no room for %g s, see `duralog status`",
                         patience_seconds(&import->patience));
    return stop_with(import, "the record at offset %" PRIu64 " of %s: %s", offset,
                     import->file_name, shmwal_error());
}

/* Appends all of the batch and empties it. */
static bool batch_submit(struct import *import)
{
    struct batch *batch = &import->batch;
    const char *data = batch->data;
    size_t done = 0, appended;
    while (done < batch->count) {
        appended = 0;
        int rc = shmwal_append_batch(import->log, data, batch->lengths + done, batch->types + done,
                                     batch->count - done, patience_slice(&import->patience),
                                     &import->last_lsn, &appended);
        appended = rc == 0 ? batch->count - done : appended;
        for (; appended > 0; appended--, done++) {
            data += batch->lengths[done];
            import->bytes += batch->lengths[done];
            import->records++;
        }
        if (done < batch->count)
            import->next_offset = batch->offsets[done];
        bool timed_out = rc == -ETIMEDOUT || rc == -EAGAIN;
        if (patience_over(&import->patience, timed_out) || (rc < 0 && !timed_out))
            return stop_at_record(import, done, rc);
        if (rc < 0 && interrupt_seen())
            return stop_with(import, "interrupted");
    }
    batch->data = batch->own;
    batch->count = batch->bytes = 0;
    return true;
}

static void batch_put(struct batch *batch, const struct earlier_record *record)
{
    if (record->length <= sizeof batch->own) {
        memcpy(batch->own + batch->bytes, record->payload, record->length);
        batch->data = batch->own;
    } else {
        batch->data = record->payload;
    }
    batch->bytes += record->length;
    batch->lengths[batch->count] = record->length;
    batch->types[batch->count] = record->type == EARLIER_JSON ? SHMWAL_JSON : SHMWAL_TEXT;
    batch->offsets[batch->count++] = record->offset;
}

static bool batch_add(struct import *import, const struct earlier_record *record)
{
    struct batch *batch = &import->batch;
    bool full = batch->count == BATCH_RECORDS || batch->bytes + record->length > sizeof batch->own;
    if (full && !batch_submit(import))
        return false;
    if (record->type == EARLIER_JSON && !json_valid(record->payload, record->length, NULL, 0))
        import->not_json++;
    batch_put(batch, record);
    return record->length <= sizeof batch->own || batch_submit(import); /* the payload goes soon */
}

static bool holes_add(struct import *import, const struct earlier_hole *hole)
{
    struct holes *holes = &import->holes;
    if ((holes->count & (holes->count - 1)) == 0) { /* at each power of two */
        size_t capacity = holes->count == 0 ? 1 : 2 * holes->count;
        struct earlier_hole *list = realloc(holes->list, capacity * sizeof *list);
        if (list == NULL)
            return stop_with(import, "out of memory");
        holes->list = list;
    }
    holes->list[holes->count++] = *hole;
    holes->bytes += hole->bytes;
    return true;
}

static bool take(struct import *import, int kind, const struct earlier_record *record,
                 const struct earlier_hole *hole)
{
    if (kind == EARLIER_HOLE)
        return holes_add(import, hole);
    if (kind == EARLIER_RECORD)
        return batch_add(import, record);
    return stop_with(import, "cannot read %s: %s", import->file_name,
                     kind == -ENODATA ? "it has become shorter" : strerror(-kind));
}

/* From the first record on, which was read. What is in the batch when it stops is appended, too,
 * unless that is what failed. */
static void import_records(struct import *import, struct earlier_record *record)
{
    struct earlier_hole hole;
    int kind = EARLIER_RECORD;
    bool goes_on = true;
    while (kind != EARLIER_END && (goes_on = take(import, kind, record, &hole))) {
        if (interrupt_seen()) {
            stop_with(import, "interrupted");
            break;
        }
        if (progress_due(&import->progress))
            progress_show_bar(&import->progress, import->file.position, import->file.bytes);
        kind = earlier_next(&import->file, record, &hole);
    }
    if ((goes_on || kind < 0) && batch_submit(import))
        import->next_offset = import->file.position;
}

/* ---- Waiting ---- */

/* Until what was appended is durable, where the level asks for that. 0 or a negative errno. */
static int wait_for_disk(struct import *import)
{
    while (import->level == SHMWAL_DURABLE && import->records > 0) {
        int rc = shmwal_wait(import->log, import->last_lsn, SHMWAL_DURABLE,
                             patience_slice(&import->patience));
        if (patience_over(&import->patience, rc == -ETIMEDOUT) || (rc < 0 && rc != -ETIMEDOUT))
            return rc;
        if (rc == 0)
            return 0;
        if (interrupt_seen() && import->stopped_by[0] == '\0')
            return -EINTR;
        if (progress_due(&import->progress))
            progress_show(&import->progress, "waiting for the disk");
    }
    return 0;
}

static void explain_not_durable(struct import *import, int rc)
{
    if (rc == -EINTR)
        stop_with(import, "interrupted before all was known to be durable");
    else if (rc == -ETIMEDOUT)
        stop_with(import,
                  "LSN %" PRIu64 " did not become durable in %g s; `duralog status %s` "
                  "says what it waits for",
                  import->last_lsn, patience_seconds(&import->patience), import->path);
    else
        stop_with(import, "not known to be durable: %s", shmwal_error());
}

/* ---- Reporting ---- */

static void put_number(yajl_gen generator, const char *name, uint64_t value)
{
    json_string(generator, name);
    json_unsigned(generator, value);
}

static void put_text(yajl_gen generator, const char *name, const char *value)
{
    json_string(generator, name);
    json_string(generator, value);
}

static void print_for_scripts(const struct import *import)
{
    yajl_gen generator = json_generator();
    if (generator == NULL)
        return;
    yajl_gen_map_open(generator);
    put_text(generator, "file", import->file_name);
    put_text(generator, "log", import->path);
    put_number(generator, "records", import->records);
    put_number(generator, "bytes", import->bytes);
    put_number(generator, "last_lsn", import->last_lsn);
    json_string(generator, "durable");
    yajl_gen_bool(generator, import->durable);
    put_number(generator, "next_offset", import->next_offset);
    put_number(generator, "not_json", import->not_json);
    json_string(generator, "damage");
    yajl_gen_array_open(generator);
    for (size_t i = 0; i < import->holes.count; i++) {
        const struct earlier_hole *hole = &import->holes.list[i];
        yajl_gen_map_open(generator);
        put_number(generator, "offset", hole->offset);
        put_number(generator, "bytes", hole->bytes);
        put_text(generator, "reason", hole->reason);
        yajl_gen_map_close(generator);
    }
    yajl_gen_array_close(generator);
    yajl_gen_map_close(generator);
    json_end_line(generator);
    yajl_gen_free(generator);
}

static void print_for_people(const struct import *import)
{
    const struct holes *holes = &import->holes;
    char bytes[HUMAN_BYTES];
    printf("%s: %" PRIu64 " record%s, %s, from %s\n", import->path, import->records,
           import->records == 1 ? "" : "s", human_bytes(import->bytes, bytes), import->file_name);
    for (size_t i = 0; i < holes->count && i < HOLES_SHOWN_MAX; i++)
        report("%s: %" PRIu64 " bytes at offset %" PRIu64 " are no whole record: %s",
               import->file_name, holes->list[i].bytes, holes->list[i].offset,
               holes->list[i].reason);
    if (holes->count > HOLES_SHOWN_MAX)
        report("%s: %zu more such places, %zu and %" PRIu64 " bytes in all; --json lists them",
               import->file_name, holes->count - HOLES_SHOWN_MAX, holes->count, holes->bytes);
    if (import->not_json > 0)
        report("%s: %" PRIu64
               " of the records are JSON to Python alone (NaN or Infinity); they are "
               "in the log as they were",
               import->file_name, import->not_json);
}

static uint64_t grown_by(const struct import *import)
{
    struct stat now;
    bool larger = fstat(import->file.fd, &now) == 0 && (uint64_t)now.st_size > import->file.bytes;
    return larger ? (uint64_t)now.st_size - import->file.bytes : 0;
}

static int finish(struct import *import)
{
    if (import->stopped_by[0] != '\0' && import->records > 0) /* a failed batch stores no LSN */
        import->last_lsn = shmwal_reserved_lsn(import->log);
    int rc = wait_for_disk(import);
    import->durable = rc == 0 && import->level == SHMWAL_DURABLE;
    if (rc < 0 && import->stopped_by[0] == '\0')
        explain_not_durable(import, rc);
    progress_end(&import->progress);
    if (import->json)
        print_for_scripts(import);
    else
        print_for_people(import);
    uint64_t grown = grown_by(import);
    if (import->stopped_by[0] == '\0' && grown > 0)
        stop_with(import, "%s has grown by %" PRIu64 " bytes meanwhile", import->file_name, grown);
    if (import->stopped_by[0] == '\0')
        return import->holes.count > 0 ? STATUS_FAILED : STATUS_DONE;
    if (import->next_offset >= import->file.bytes && grown == 0)
        return report("%s; all records are in the log%s", import->stopped_by,
                      rc < 0 ? ", but not known to be durable" : "");
    return report("%s; the records before offset %" PRIu64 " are in the log%s; go on with: duralog "
                  "import '%s' '%s' --append --from %" PRIu64,
                  import->stopped_by, import->next_offset,
                  rc < 0 ? ", but not known to be durable" : "", import->file_name, import->path,
                  import->next_offset);
}

/* ---- The whole ---- */

static int import_into_log(struct import *import, struct earlier_record *first)
{
    if (shmwal_open(import->path, NULL, &import->log) < 0)
        return report("%s", shmwal_error());
    int result = STATUS_FAILED;
    if (!import->append && shmwal_reserved_lsn(import->log) != 0) {
        report("%s has records already; give another path, or --append to add to them; where an "
               "import of this file was killed, remove it first",
               import->path);
    } else {
        interrupt_catch();
        patience_begin(&import->patience, import->log, import->timeout_ns);
        if (first != NULL)
            import_records(import, first);
        result = finish(import);
    }
    shmwal_close(import->log);
    return result;
}

/* Up to the first record: a file without one is not imported, unless it is empty. */
static int import_file(struct import *import)
{
    struct earlier_record record;
    struct earlier_hole hole;
    int kind;
    import->batch.data = import->batch.own;
    import->progress = progress_begin(true);
    import->next_offset = import->from;
    while ((kind = earlier_next(&import->file, &record, &hole)) == EARLIER_HOLE)
        if (!holes_add(import, &hole))
            return report("out of memory");
    if (kind < 0)
        return report("cannot read %s: %s", import->file_name, strerror(-kind));
    if (kind == EARLIER_END && import->file.bytes > import->from)
        return report("%s holds no record of the earlier library's log files; nothing was imported",
                      import->file_name);
    return import_into_log(import, kind == EARLIER_RECORD ? &record : NULL);
}

static int open_file(struct import *import)
{
    int fd = open(import->file_name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0) {
        report("cannot open %s: %s", import->file_name, strerror(errno));
        return -1;
    }
    int rc = earlier_open(&import->file, fd, import->from);
    if (rc == 0 && import->from > import->file.bytes) {
        report("%s ends at offset %" PRIu64 ", before --from %" PRIu64, import->file_name,
               import->file.bytes, import->from);
        rc = -ERANGE;
    } else if (rc < 0) {
        report("%s: %s", import->file_name,
               rc == -EINVAL ? "it is no regular file" : strerror(-rc));
    }
    if (rc < 0)
        close(fd);
    return rc < 0 ? -1 : fd;
}

static int run(int argc, char **argv)
{
    static struct import import;
    parse_arguments(&import, argc, argv);
    int fd = open_file(&import);
    if (fd < 0)
        return STATUS_FAILED;
    int result = import_file(&import);
    earlier_close(&import.file);
    free(import.holes.list);
    close(fd);
    return result;
}

const struct command command_import = {"import", help, run};
