/* SPDX-License-Identifier: MIT
 * See proc.h. */
#include "sys/proc.h"

#include "sys/file.h"
#include "sys/listing.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

/* EPERM is what some files say where others say EACCES; all else is that the process is gone. */
static int refused(int error)
{
    return error == -EPERM || error == -EACCES ? -EACCES : 0;
}

/* A file of the process's, to be read line by line: NULL, and *error is -EACCES or 0. */
static FILE *open_lines(int directory, const char *name, int *error)
{
    int fd = sys_openat(directory, name, O_RDONLY, 0);
    if (fd < 0) {
        *error = refused(fd);
        return NULL;
    }
    FILE *lines = fdopen(fd, "r");
    if (lines == NULL)
        sys_close(fd);
    *error = 0;
    return lines;
}

/* The pids of a process in its namespaces, from that of /proc to its own: how many, and the last.
 * 0 if it is gone or this kernel does not say; -EACCES. */
static int read_pids(int directory, const char *name, pid_t *innermost)
{
    static const char key[] = "NSpid:";
    int count;
    FILE *lines = open_lines(directory, name, &count);
    if (lines == NULL)
        return count;
    char *line = NULL;
    size_t capacity = 0;
    while (count == 0 && getline(&line, &capacity, lines) > 0) {
        if (strncmp(line, key, sizeof key - 1) != 0)
            continue;
        char *rest = line + sizeof key - 1, *end;
        for (long pid; pid = strtol(rest, &end, 10), end != rest; rest = end, count++)
            *innermost = (pid_t)pid;
    }
    free(line);
    fclose(lines);
    return count;
}

struct each {
    int proc;
    int (*visit)(void *context, const struct proc_process *process);
    void *context;
};

static int visit_name(void *context, const char *name)
{
    const struct each *each = context;
    struct proc_process process = {.pid = (pid_t)atoi(name)};
    if (!isdigit((unsigned char)name[0]))
        return 0;
    process.directory = sys_openat(each->proc, name, O_RDONLY | O_DIRECTORY, 0);
    if (process.directory < 0)
        return 0;
    int result = each->visit(each->context, &process);
    sys_close(process.directory);
    return result;
}

int proc_each(int (*visit)(void *context, const struct proc_process *process), void *context)
{
    struct each each = {.visit = visit, .context = context};
    pid_t own;
    each.proc = sys_openat(AT_FDCWD, "/proc", O_RDONLY | O_DIRECTORY, 0);
    if (each.proc < 0)
        return -ENOENT;
    /* Of its own process it tells one pid, unless it shows a namespace further out. */
    bool ours = read_pids(each.proc, "self/status", &own) == 1;
    int result = ours ? sys_list(each.proc, visit_name, &each) : -ENOENT;
    sys_close(each.proc);
    return result;
}

pid_t proc_inner_pid(const struct proc_process *process)
{
    pid_t innermost = 0;
    int count = read_pids(process->directory, "status", &innermost);
    return count < 0 ? count : innermost;
}

int64_t proc_pid_namespace(const struct proc_process *process)
{
    struct stat status;
    if (fstatat(process->directory, "ns/pid", &status, 0) < 0)
        return refused(-errno);
    return (int64_t)status.st_ino;
}

int proc_maps(const struct proc_process *process, uint64_t address, uint64_t device, uint64_t inode)
{
    int found;
    FILE *lines = open_lines(process->directory, "maps", &found);
    if (lines == NULL)
        return found;
    char *line = NULL;
    size_t capacity = 0;
    while (found == 0 && getline(&line, &capacity, lines) > 0) {
        unsigned long begin, offset, number;
        unsigned major, minor;
        char access[5];
        if (sscanf(line, "%lx-%*x %4s %lx %x:%x %lu", &begin, access, &offset, &major, &minor,
                   &number) != 6)
            continue;
        found = begin == address && strcmp(access, "rw-s") == 0 && offset == 0 &&
                makedev(major, minor) == device && number == inode;
    }
    free(line);
    fclose(lines);
    return found;
}
