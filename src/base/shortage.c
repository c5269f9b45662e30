/* SPDX-License-Identifier: MIT
 * See shortage.h. */
#include "base/shortage.h"

#include <errno.h>

bool is_shortage(int error)
{
    return *shortage_advice(-error) != 0;
}

const char *shortage_advice(int error)
{
    switch (error) {
    case ENOSPC:
        return "the log's disk is full: free some space";
    case EDQUOT:
        return "the quota of the flusher's user, or of the log's directory, is used up";
    case EFBIG:
        return "a segment is larger than the flusher's limit on the size of files (RLIMIT_FSIZE; "
               "prlimit --fsize raises it), or than its file system allows";
    case EMFILE:
        return "the flusher's limit on open files is reached (RLIMIT_NOFILE; prlimit --nofile "
               "raises it)";
    case ENFILE:
        return "the machine's limit on open files is reached (fs.file-max)";
    case ENOMEM:
        return "the machine, the flusher's control group or its limits give it no more memory";
    default:
        return "";
    }
}
