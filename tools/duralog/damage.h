/* SPDX-License-Identifier: MIT
 *
 * Where a log is torn or damaged, as a sentence.
 *
 * Knows message, include/shmwal.h. */
#ifndef DURALOG_DAMAGE_H
#define DURALOG_DAMAGE_H

#include "shmwal.h"

/* After shmwal_reader_next has failed: says why, and where; returns the status to end with. */
int damage_report(const char *path, shmwal_reader *reader);

/* A hole that --salvage has passed: one line on stderr. */
void hole_report(const char *path, const shmwal_hole *hole);

/* At the end of a log: says so on stderr if a crash left an unfinished tail there. */
void damage_notice_torn(const char *path, shmwal_reader *reader);

#endif
