/* SPDX-License-Identifier: MIT
 *
 * The command line: finds the command and runs it.
 *
 * Knows the commands (command.h) and the public header. Changes when a command comes. */
#include "command.h"
#include "message.h"
#include "shmwal.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "Usage: duralog COMMAND LOG [ARGUMENTS]\n"
    "\n"
    "One write-ahead log, shared by all processes of this machine. A LOG is a directory.\n"
    "\n"
    "Commands:\n"
    "  create   make a log that is not there\n"
    "  append   add records, one a line, and wait until they are safe on disk\n"
    "  import   bring a log file of the earlier Python library over\n"
    "  cat      print the records\n"
    "  follow   print records as they come\n"
    "  status   say how the log is: positions, ring, disk, flusher\n"
    "  verify   read every byte and check it\n"
    "  fence    kill the process whose open reservation holds the log up\n"
    "  stop     bring everything to disk and end the log's flusher\n"
    "\n"
    "Try it; the first append makes the log and starts its flusher:\n"
    "  echo 'hello' | duralog append /tmp/try.log\n"
    "  echo '{\"event\": \"login\"}' | duralog append /tmp/try.log --type json\n"
    "  duralog cat /tmp/try.log --json\n"
    "  duralog status /tmp/try.log\n"
    "  duralog stop /tmp/try.log\n"
    "\n"
    "`duralog COMMAND --help` explains a command; `duralog --version` tells the version;\n"
    "duralog(1) is the manual.\n"
    "\n"
    "Exit status: 0 done; 1 it could not be done, or the log is damaged; 2 wrong usage.\n";

static const struct command *const commands[] = {
    &command_create, &command_append, &command_import, &command_cat,  &command_follow,
    &command_status, &command_verify, &command_fence,  &command_stop,
};

static const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    usage_error("there is no command '%s'", name);
}

/* A descriptor 0, 1 or 2 that came closed would be given to the next file opened, and a log's file
 * would then pass for the standard output. One that refuses the stream's direction takes its
 * place. */
static void standard_streams_occupy(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)!open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
}

static int help_print(const char *name)
{
    fputs(name ? command_find(name)->help : help, stdout);
    return STATUS_DONE;
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2)
        usage_error("say what to do: create, append, import, cat, follow, status, verify, fence or "
                    "stop");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return help_print(NULL);
    if (strcmp(argv[1], "help") == 0)
        return help_print(argc > 2 ? argv[2] : NULL);
    if (strcmp(argv[1], "--version") == 0) {
        printf("duralog %s\n", shmwal_version());
        return STATUS_DONE;
    }
    if (argv[1][0] == '-')
        usage_error("there is no option %s before the command", argv[1]);
    const struct command *command = command_find(argv[1]);
    message_set_command(command->name);
    return command->run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    standard_streams_occupy();
    return stdout_close(dispatch(argc, argv));
}
