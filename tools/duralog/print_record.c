/* SPDX-License-Identifier: MIT
 *
 * Records on stdout. See print_record.h.
 *
 * Knows json, base64, utf8, log_line, message, include/shmwal.h. Changes when a record type
 * comes. */
#include "print_record.h"

#include "base64.h"
#include "json.h"
#include "log_line.h"
#include "message.h"
#include "utf8.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>

enum { OUTPUT_BUFFER_BYTES = 256 * 1024 };

int printer_open(struct printer *printer, bool json)
{
    static char buffer[OUTPUT_BUFFER_BYTES];
    *printer = (struct printer){0};
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    if (json && !(printer->generator = json_generator()))
        return report("out of memory");
    return 0;
}

void printer_close(struct printer *printer)
{
    if (printer->generator)
        yajl_gen_free(printer->generator);
    free(printer->scratch);
}

static bool scratch_reserve(struct printer *printer, size_t size)
{
    if (size <= printer->scratch_size)
        return true;
    char *larger = realloc(printer->scratch, size * 2);
    if (!larger)
        return false;
    printer->scratch = larger;
    printer->scratch_size = size * 2;
    return true;
}

static bool print_base64(struct printer *printer, const shmwal_record *record)
{
    size_t length = base64_length(record->length);
    if (!scratch_reserve(printer, length))
        return false;
    base64_encode(record->data, record->length, printer->scratch);
    yajl_gen_string(printer->generator, (unsigned char *)printer->scratch, length);
    return true;
}

static bool print_value(struct printer *printer, const shmwal_record *record)
{
    if (!scratch_reserve(printer, record->length))
        return false;
    memcpy(printer->scratch, record->data, record->length);
    json_value(printer->generator, printer->scratch, record->length);
    return true;
}

/* A type that is the application's own bears its number. */
static void print_type(yajl_gen generator, uint32_t type)
{
    static const char *const names[] = {
        [SHMWAL_BYTES] = "bytes", [SHMWAL_TEXT] = "text", [SHMWAL_JSON] = "json"};
    char number[16];
    snprintf(number, sizeof number, "%u", type);
    bool named = type < sizeof names / sizeof names[0] && names[type];
    json_string(generator, named ? names[type] : number);
}

static bool print_data(struct printer *printer, const shmwal_record *record, bool *invalid)
{
    const void *data = record->data;
    size_t length = record->length;
    if (record->type == SHMWAL_TEXT && utf8_valid(data, length))
        return yajl_gen_string(printer->generator, data, length) == yajl_gen_status_ok;
    if (record->type == SHMWAL_JSON && json_valid(data, length, NULL, 0))
        return print_value(printer, record);
    *invalid = record->type == SHMWAL_TEXT || record->type == SHMWAL_JSON;
    return print_base64(printer, record);
}

static bool print_as_json(struct printer *printer, const shmwal_record *record)
{
    yajl_gen generator = printer->generator;
    bool invalid = false;
    yajl_gen_map_open(generator);
    json_string(generator, "lsn");
    json_unsigned(generator, record->lsn);
    json_string(generator, "type");
    print_type(generator, record->type);
    json_string(generator, "data");
    if (!print_data(printer, record, &invalid))
        return false;
    if (invalid) {
        json_string(generator, "invalid");
        yajl_gen_bool(generator, 1);
    }
    yajl_gen_map_close(generator);
    json_end_line(generator);
    return !ferror_unlocked(stdout);
}

static bool print_as_it_is(const shmwal_record *record)
{
    fwrite_unlocked(record->data, 1, record->length, stdout);
    putc_unlocked('\n', stdout);
    return !ferror_unlocked(stdout);
}

bool print_record(struct printer *printer, const shmwal_record *record)
{
    struct log_line line;
    if (printer->generator)
        return print_as_json(printer, record);
    if (record->type != SHMWAL_JSON || !scratch_reserve(printer, record->length) ||
        !log_line_parse(record->data, record->length, printer->scratch, &line))
        return print_as_it_is(record);
    log_line_print(&line);
    return !ferror_unlocked(stdout);
}

static void put_number(yajl_gen generator, const char *name, uint64_t value)
{
    json_string(generator, name);
    json_unsigned(generator, value);
}

bool print_hole(struct printer *printer, const shmwal_hole *hole)
{
    yajl_gen generator = printer->generator;
    yajl_gen_map_open(generator);
    json_string(generator, "hole");
    yajl_gen_map_open(generator);
    json_string(generator, "segment");
    json_string(generator, hole->begin.segment);
    put_number(generator, "offset", hole->begin.offset);
    put_number(generator, "lsn", hole->begin.lsn);
    json_string(generator, "end_lsn");
    if (hole->end_lsn == UINT64_MAX)
        yajl_gen_null(generator);
    else
        json_unsigned(generator, hole->end_lsn);
    json_string(generator, "reason");
    json_string(generator, hole->begin.reason);
    yajl_gen_map_close(generator);
    yajl_gen_map_close(generator);
    json_end_line(generator);
    return !ferror_unlocked(stdout);
}

bool printer_flush(void)
{
    return fflush_unlocked(stdout) == 0;
}

int printer_failure(void)
{
    int error = errno;
    __fpurge(stdout); /* what cannot be written would fail again at the end of the program */
    clearerr(stdout);
    if (error == EPIPE)
        return STATUS_DONE;
    return report("cannot write to stdout: %s", strerror(error));
}
