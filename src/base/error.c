/* SPDX-License-Identifier: MIT
 * See error.h. One buffer a thread; a sentence that does not fit is cut, never overrun. */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

enum { SENTENCE_BYTES = 1024 };

static _Thread_local char sentence[SENTENCE_BYTES];
static _Thread_local enum fail_subject subject;

static void append(const char *text)
{
    size_t used = strlen(sentence);
    snprintf(sentence + used, sizeof sentence - used, "%s", text);
}

int fail(int error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    subject = ABOUT_LOG;
    return -error;
}

/* What the system's text leaves open. */
static void explain(int error)
{
    char text[128];
    struct rlimit limit;
    if (error == EPERM) /* what is only a matter of modes and owners is EACCES */
        append(" (forbidden by a seccomp filter, a security policy or a file's attributes)");
    if (error != EFBIG)
        return;
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        snprintf(text, sizeof text, " (this process may write files of %llu bytes: RLIMIT_FSIZE)",
                 (unsigned long long)limit.rlim_cur);
    else
        snprintf(text, sizeof text, " (the file system takes none that large)");
    append(text);
}

int fail_errno(int error, const char *format, ...)
{
    char text[128];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    append(": ");
    append(strerror_r(error, text, sizeof text));
    explain(error);
    subject = ABOUT_LOG;
    return -error;
}

int fail_context(int error, const char *format, ...)
{
    char rest[SENTENCE_BYTES];
    va_list arguments;
    snprintf(rest, sizeof rest, "%s", sentence);
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    append(": ");
    append(rest);
    return error;
}

int fail_about(enum fail_subject about, int error)
{
    subject = about;
    return error;
}

enum fail_subject fail_subject(void)
{
    return subject;
}

const char *fail_sentence(void)
{
    return sentence;
}
