/* SPDX-License-Identifier: MIT
 *
 * Records on stdout, as `cat` and `follow` show them: as they are, those of logging handlers as
 * lines of a log; or as JSON, one a line.
 *
 * Knows json, base64, utf8, log_line, message, include/shmwal.h. The output is fixed: scripts read
 * it. */
#ifndef DURALOG_PRINT_RECORD_H
#define DURALOG_PRINT_RECORD_H

#include "shmwal.h"

#include <stdbool.h>
#include <stddef.h>
#include <yajl/yajl_gen.h>

struct printer {
    yajl_gen generator; /* NULL: no JSON */
    char *scratch;
    size_t scratch_size;
};

/* Returns 0, or a status after a report. A reader of stdout that goes away no longer kills the
 * process: printing says so instead. */
int printer_open(struct printer *printer, bool json);
void printer_close(struct printer *printer);

/* Whether it could be printed; if not, the caller ends with printer_failure(). */
bool print_record(struct printer *printer, const shmwal_record *record);

/* What is missing between two records, as an object of its own; for JSON only. */
bool print_hole(struct printer *printer, const shmwal_hole *hole);

bool printer_flush(void);

/* Right after a failure: the status to end with. Quiet if the reader has had enough. */
int printer_failure(void);

#endif
