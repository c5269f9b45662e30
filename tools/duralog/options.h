/* SPDX-License-Identifier: MIT
 *
 * The command line's arguments: options by getopt_long, values by strict parsers.
 *
 * Whatever is wrong with an argument ends the program here, with a sentence and STATUS_USAGE, so
 * that a command deals with good values only.
 *
 * Knows message, shmwal.h. Changes when an option of a new kind comes. */
#ifndef DURALOG_OPTIONS_H
#define DURALOG_OPTIONS_H

#include <getopt.h>
#include <shmwal.h>
#include <stdint.h>

/* The next option's value (`optarg` is its argument), or -1 when there are no more. At 'h', which
 * every command has as --help, prints `help` and ends the program. */
int option_next(int argc, char **argv, const struct option *options, const char *help);

/* After the options: the operands, `minimum` to `maximum` of them, the first of which is a LOG. */
char **operands(int argc, char **argv, int minimum, int maximum);

/* The value of `option`: a whole number of bytes, with K, M or G for powers of 1024. */
uint64_t parse_size(const char *option, const char *text);
uint64_t parse_size_above_0(const char *option, const char *text);

/* A position in the log. */
uint64_t parse_lsn(const char *option, const char *text);

/* Decimal seconds, to nanoseconds. */
int64_t parse_seconds(const char *option, const char *text);

/* A level that an append can wait for: durable or committed. */
shmwal_level parse_level(const char *option, const char *text);

#endif
