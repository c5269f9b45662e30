/* SPDX-License-Identifier: MIT
 *
 * duralog append: the lines of an input become records.
 *
 * Lines are taken as they come and appended in batches: all that one read delivered, so that a fast
 * input is cheap and a slow one is not held back. A line that cannot be a record ends the run;
 * those before it stay, and are waited for all the same.
 *
 * Knows include/shmwal.h and the helpers lines, json, utf8, patience, interrupt, progress, options,
 * message. Its surface is fixed. */
#include "command.h"
#include "human.h"
#include "interrupt.h"
#include "json.h"
#include "lines.h"
#include "message.h"
#include "options.h"
#include "patience.h"
#include "progress.h"
#include "shmwal.h"
#include "utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "Usage: duralog append LOG [FILE] [--type text|json|bytes] [--level durable|committed]\n"
    "                      [--timeout SECONDS]\n"
    "\n"
    "Appends the lines of FILE, or of standard input, as one record each; makes the log if it is "
    "not\n"
    "there, and starts its flusher if none runs. Waits until all of them are safe on disk, then\n"
    "prints the last one's LSN: the position just past it, for `cat --from` and the like.\n"
    "\n"
    "  --type TYPE        text (default): UTF-8; json: one JSON value a line; bytes: anything\n"
    "  --level LEVEL      durable (default): wait until a power cut cannot take them;\n"
    "                     committed: only the death of processes cannot\n"
    "  --timeout SECONDS  how long to wait, in all, for room and for the disk; without it, until\n"
    "                     nothing has moved for 30 seconds\n"
    "\n"
    "A line that does not fit the type ends the run with status 1; the lines before it are in the\n"
    "log. Empty input appends nothing: it waits for all that anybody has appended so far.\n"
    "\n"
    "Examples:\n"
    "  echo 'hello' | duralog append app.log\n"
    "  duralog append app.log events.jsonl --type json\n"
    "  lsn=$(duralog append app.log notes.txt --timeout 5)\n"
    "  journalctl -f -o json | duralog append journal.log --type json --level committed\n";

enum { OPTION_TYPE = 1, OPTION_LEVEL, OPTION_TIMEOUT };

static const struct option options[] = {
    {"type", required_argument, NULL, OPTION_TYPE},
    {"level", required_argument, NULL, OPTION_LEVEL},
    {"timeout", required_argument, NULL, OPTION_TIMEOUT},
    {"help", no_argument, NULL, 'h'},
    {0},
};

struct batch {
    char *data; /* the lines end to end, in the input's own buffer */
    size_t bytes, count;
    uint32_t lengths[4096];
    uint8_t types[4096];
};

enum { BATCH_LINES = sizeof((struct batch *)NULL)->lengths / sizeof(uint32_t) };

struct append {
    const char *path, *input_name;
    int input;
    uint8_t type;
    shmwal_level level;
    int64_t timeout_ns;

    shmwal *log;
    struct lines lines;
    struct batch batch;
    struct patience patience;
    struct progress progress;
    uint64_t records, bytes, last_lsn;
    char stopped_by[1024]; /* why it did not take all lines; "" if it did */
};

/* ---- Arguments ---- */

static uint8_t parse_type(const char *text)
{
    if (strcmp(text, "text") == 0)
        return SHMWAL_TEXT;
    if (strcmp(text, "json") == 0)
        return SHMWAL_JSON;
    if (strcmp(text, "bytes") == 0)
        return SHMWAL_BYTES;
    usage_error("--type takes text, json or bytes, not '%s'", text);
}

static void parse_arguments(struct append *append, int argc, char **argv)
{
    append->type = SHMWAL_TEXT;
    append->level = SHMWAL_DURABLE;
    append->timeout_ns = -1;
    for (int option; (option = option_next(argc, argv, options, help)) != -1;) {
        if (option == OPTION_TYPE)
            append->type = parse_type(optarg);
        if (option == OPTION_LEVEL)
            append->level = parse_level("--level", optarg);
        if (option == OPTION_TIMEOUT)
            append->timeout_ns = parse_seconds("--timeout", optarg);
    }
    char **operand = operands(argc, argv, 1, 2);
    append->path = operand[0];
    append->input_name = operand[1] && strcmp(operand[1], "-") != 0 ? operand[1] : NULL;
}

/* ---- Appending ---- */

__attribute__((format(printf, 2, 3))) static bool stop_with(struct append *append,
                                                            const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(append->stopped_by, sizeof append->stopped_by, format, arguments);
    va_end(arguments);
    return false;
}

static bool stop_at_line(struct append *append, const char *reason)
{
    return stop_with(append, "line %" PRIu64 " of %s: %s", append->records + 1,
                     append->input_name ? append->input_name : "the input", reason);
}

static void batch_advance(struct append *append, size_t from, size_t count)
{
    struct batch *batch = &append->batch;
    uint64_t bytes = 0;
    for (size_t i = from; i < from + count; i++)
        bytes += batch->lengths[i];
    batch->data += bytes;
    append->bytes += bytes;
    append->records += count;
}

static bool batch_failed(struct append *append, int error)
{
    char reason[128];
    if (error != -ETIMEDOUT && error != -EAGAIN)
        return stop_at_line(append, shmwal_error());
    snprintf(reason, sizeof reason, "the ring had no room for %g s, see `duralog status`",
             patience_seconds(&append->patience));
    return stop_at_line(append, reason);
}

/* Appends all of the batch and empties it. */
static bool batch_submit(struct append *append)
{
    struct batch *batch = &append->batch;
    size_t done = 0, appended;
    for (; done < batch->count; done += appended) {
        appended = 0;
        int rc = shmwal_append_batch(
            append->log, batch->data, batch->lengths + done, batch->types + done,
            batch->count - done, patience_slice(&append->patience), &append->last_lsn, &appended);
        if (rc == 0)
            appended = batch->count - done;
        batch_advance(append, done, appended);
        bool timed_out = rc == -ETIMEDOUT || rc == -EAGAIN;
        if (patience_over(&append->patience, timed_out && appended == 0) || (rc && !timed_out))
            return batch_failed(append, rc);
        if (rc && interrupt_seen())
            return stop_with(append, "interrupted");
    }
    batch->count = batch->bytes = 0;
    return true;
}

/* Takes the line into the batch; the newlines between lines are squeezed out. */
static void batch_add(struct batch *batch, uint8_t type, char *line, size_t length)
{
    if (batch->count == 0)
        batch->data = line;
    else
        memmove(batch->data + batch->bytes, line, length);
    batch->bytes += length;
    batch->lengths[batch->count] = (uint32_t)length;
    batch->types[batch->count++] = type;
}

static bool line_fits_type(uint8_t type, const char *line, size_t length, char *reason, size_t size)
{
    char why[200];
    if (length > UINT32_MAX) {
        snprintf(reason, size, "longer than any record can be");
        return false;
    }
    if (type == SHMWAL_JSON && !json_valid(line, length, why, sizeof why)) {
        snprintf(reason, size, "not JSON (%s)", why);
        return false;
    }
    if (type == SHMWAL_TEXT && !utf8_valid(line, length)) {
        snprintf(reason, size, "not UTF-8 (at byte %zu); --type bytes takes it",
                 utf8_prefix(line, length) + 1);
        return false;
    }
    return true;
}

/* All lines that are there. */
static bool append_lines(struct append *append)
{
    char *line, reason[256];
    size_t length;
    while (lines_next(&append->lines, &line, &length)) {
        bool fits = line_fits_type(append->type, line, length, reason, sizeof reason);
        if (fits)
            batch_add(&append->batch, append->type, line, length);
        if ((!fits || append->batch.count == BATCH_LINES) && !batch_submit(append))
            return false;
        if (!fits)
            return stop_at_line(append, reason);
    }
    return batch_submit(append);
}

static void show_progress(struct append *append)
{
    char bytes[HUMAN_BYTES];
    if (progress_due(&append->progress))
        progress_show(&append->progress, "%" PRIu64 " records, %s, %.1f MB/s", append->records,
                      human_bytes(append->bytes, bytes),
                      (double)append->bytes / 1e6 / progress_seconds(&append->progress));
}

static void append_input(struct append *append)
{
    int rc;
    while ((rc = lines_fill(&append->lines)) > 0 && append_lines(append))
        show_progress(append);
    if (rc == 0)
        append_lines(append); /* a last line without a newline */
    else if (rc == -EINTR)
        stop_with(append, "interrupted");
    else if (rc == -EMSGSIZE)
        stop_at_line(append, "longer than this log's ring can ever take");
    else if (rc < 0)
        stop_with(append, "cannot read %s: %s",
                  append->input_name ? append->input_name : "standard input", strerror(-rc));
}

/* ---- Waiting and reporting ------------------------------------------------------------------- */

/* Waits until `lsn` is durable, where the level asks for that. Returns 0 or a negative errno. */
static int wait_for(struct append *append, uint64_t lsn)
{
    if (append->level != SHMWAL_DURABLE)
        return 0;
    for (;;) {
        int rc = shmwal_wait(append->log, lsn, SHMWAL_DURABLE, patience_slice(&append->patience));
        if (patience_over(&append->patience, rc == -ETIMEDOUT) || (rc && rc != -ETIMEDOUT))
            return rc;
        if (rc == 0)
            return 0;
        if (interrupt_seen() && append->stopped_by[0] == '\0')
            return -EINTR;
        if (progress_due(&append->progress))
            progress_show(&append->progress, "waiting for the disk");
    }
}

/* Not all lines are in the log: says why, and what is. */
static int report_stopped(struct append *append, int wait_rc)
{
    const char *yet = wait_rc == 0 ? "" : ", but not known to be durable";
    if (append->records == 0)
        return report("%s; nothing was appended", append->stopped_by);
    if (append->records == 1)
        return report("%s; the line before it is in the log%s", append->stopped_by, yet);
    return report("%s; the %" PRIu64 " lines before it are in the log%s", append->stopped_by,
                  append->records, yet);
}

static int report_not_durable(struct append *append, int rc)
{
    if (rc == -EINTR)
        return report("interrupted; all lines are in the log, but not known to be durable");
    if (rc == -ETIMEDOUT)
        return report("all lines are in the log, but LSN %" PRIu64 " did not become durable in %g s"
                      "; `duralog status %s` says what it waits for",
                      append->last_lsn, patience_seconds(&append->patience), append->path);
    return report("all lines are in the log, but not known to be durable: %s", shmwal_error());
}

static int finish(struct append *append)
{
    bool whole = append->stopped_by[0] == '\0';
    if (!whole || append->records == 0) /* where the last one ends is not known, or nobody's */
        append->last_lsn = shmwal_reserved_lsn(append->log);
    int rc = whole || append->records > 0 ? wait_for(append, append->last_lsn) : 0;
    progress_end(&append->progress);
    if (!whole)
        return report_stopped(append, rc);
    if (rc < 0)
        return report_not_durable(append, rc);
    printf("%" PRIu64 "\n", append->last_lsn);
    return STATUS_DONE;
}

static int append_to_log(struct append *append)
{
    shmwal_status status = {.size = sizeof status};
    int rc = shmwal_open(append->path, NULL, &append->log);
    if (rc == 0)
        rc = shmwal_get_status(append->path, &status);
    if (rc < 0) {
        report("%s", shmwal_error());
        shmwal_close(append->log);
        return STATUS_FAILED;
    }
    interrupt_catch();
    patience_begin(&append->patience, append->log, append->timeout_ns);
    append->progress = progress_begin(!isatty(append->input));
    int result = STATUS_FAILED;
    if (lines_open(&append->lines, append->input, status.ring_bytes) < 0) {
        report("out of memory");
    } else {
        append_input(append);
        result = finish(append);
        lines_close(&append->lines);
    }
    shmwal_close(append->log);
    return result;
}

static int run(int argc, char **argv)
{
    static struct append append;
    parse_arguments(&append, argc, argv);
    append.input = STDIN_FILENO;
    if (append.input_name && (append.input = open(append.input_name, O_RDONLY | O_CLOEXEC)) < 0)
        return report("cannot open %s: %s", append.input_name, strerror(errno));
    int result = append_to_log(&append);
    if (append.input_name)
        close(append.input);
    return result;
}

const struct command command_append = {"append", help, run};
