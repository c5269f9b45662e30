/* SPDX-License-Identifier: MIT
 * See listing.h. The directory is opened anew: a duplicate would share its read position. */
#include "sys/listing.h"

#include "sys/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

int sys_list(int directory, int (*visit)(void *context, const char *name), void *context)
{
    int fd = sys_openat(directory, ".", O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return fd;
    DIR *stream = fdopendir(fd);
    if (stream == NULL) {
        int error = -errno;
        sys_close(fd);
        return error;
    }
    int result = 0;
    while (result == 0) {
        errno = 0;
        struct dirent *entry = readdir(stream);
        if (entry == NULL) {
            result = -errno;
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            result = visit(context, entry->d_name);
    }
    closedir(stream);
    return result;
}
