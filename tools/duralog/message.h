/* SPDX-License-Identifier: MIT
 *
 * What the program says to a person on stderr, and with which status it ends.
 *
 * One sentence each, beginning with the program's name; the rest of the tool never writes to stderr
 * in another way (but for progress.h).
 *
 * Knows nobody. The statuses are fixed: scripts branch on them. */
#ifndef DURALOG_MESSAGE_H
#define DURALOG_MESSAGE_H

enum {
    STATUS_DONE = 0,
    STATUS_FAILED = 1, /* it could not be done, or the log is damaged */
    STATUS_USAGE = 2,  /* wrong usage */
};

/* Prints the sentence and returns STATUS_FAILED. */
__attribute__((format(printf, 1, 2), cold)) int report(const char *format, ...);

/* Prints the sentence and where to read more, and ends the program with STATUS_USAGE. */
__attribute__((format(printf, 1, 2), cold, noreturn)) void usage_error(const char *format, ...);

/* The command whose help usage_error() points to; NULL, as at the start, for the program's own. */
void message_set_command(const char *name);

/* Closes stdout: `status`, or STATUS_FAILED after a report if not all of it could be written. */
int stdout_close(int status);

#endif
