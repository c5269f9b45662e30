/* SPDX-License-Identifier: MIT
 *
 * What main.c knows of a command.
 *
 * Each command is one file, cmd_NAME.c, and defines one of these. Commands know include/shmwal.h
 * and the helpers of this directory, never each other.
 *
 * Changes when a command comes. */
#ifndef DURALOG_COMMAND_H
#define DURALOG_COMMAND_H

struct command {
    const char *name;
    const char *help;
    int (*run)(int argc, char **argv); /* argv[0] is the name; returns a status of message.h */
};

extern const struct command command_create;
extern const struct command command_append;
extern const struct command command_import;
extern const struct command command_cat;
extern const struct command command_follow;
extern const struct command command_status;
extern const struct command command_verify;
extern const struct command command_fence;
extern const struct command command_stop;

#endif
