/* SPDX-License-Identifier: MIT
 *
 * What the C tests share: a directory of their own, removed at the end with the log in it, and
 * children. Header-only, so that a test is one file. */
#ifndef TESTS_SUPPORT_H
#define TESTS_SUPPORT_H

#include "../remove_tree.h"
#include "shmwal.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS INT64_C(1000000000)

static char support_directory[64];
static char support_log[80]; /* DIRECTORY/log: not made yet */

/* The flusher beside the build's library, whatever directory the test binary stands in. */
static inline void support_find_flusher(void)
{
    char own[512], flusher[600];
    ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
    if (length < 0 || getenv("DURALOG_FLUSHER") != NULL)
        return;
    own[length] = 0;
    for (int i = 0; i < 2; i++) { /* BUILD/tests/test_x */
        char *slash = strrchr(own, '/');
        if (slash != NULL)
            *slash = 0;
    }
    snprintf(flusher, sizeof flusher, "%s/duralog-flusher", own);
    if (access(flusher, X_OK) == 0)
        setenv("DURALOG_FLUSHER", flusher, 1);
}

static inline void support_setup(void)
{
    strcpy(support_directory, "/tmp/duralog-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(support_directory));
    snprintf(support_log, sizeof support_log, "%s/log", support_directory);
    support_find_flusher();
}

/* Stops the flusher, which removes the ring, since nobody is attached any more. A log that no
 * flusher serves may have a ring all the same: one that is started removes it. */
static inline void support_teardown(void)
{
    shmwal *log;
    shmwal_options options = SHMWAL_OPTIONS_INIT;
    options.flags = SHMWAL_NO_CREATE;
    if (shmwal_open(support_log, &options, &log) == 0) {
        shmwal_close(log);
        shmwal_stop(support_log, 30 * SECONDS);
    }
    remove_tree(support_directory);
}

/* Small sizes, so that tests are quick and reach the ends of things. */
static inline shmwal_options support_options(uint32_t flags)
{
    shmwal_options options = SHMWAL_OPTIONS_INIT;
    options.flags = flags;
    options.ring_bytes = 64 * 1024;
    options.segment_bytes = 256 * 1024;
    return options;
}

static inline shmwal *support_open(uint32_t flags)
{
    shmwal_options options = support_options(flags);
    shmwal *log = NULL;
    int error = shmwal_open(support_log, &options, &log);
    ck_assert_msg(error == 0, "%s", shmwal_error());
    return log;
}

/* Waits for a child and returns its exit status, or -signal. */
static inline int support_wait(pid_t child)
{
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

#define SUPPORT_OK(call)                                                                           \
    do {                                                                                           \
        int error_ = (call);                                                                       \
        ck_assert_msg(error_ >= 0, #call ": %s", shmwal_error());                                  \
    } while (0)

/* All that was appended to the log is durable. Neither this nor support_count() is ever inlined: in
 * a function that calls sigsetjmp() their variables might be clobbered by the jump. */
__attribute__((noinline, unused)) static void support_wait_for_all(shmwal *log)
{
    SUPPORT_OK(shmwal_wait(log, shmwal_reserved_lsn(log), SHMWAL_DURABLE, 300 * SECONDS));
}

/* How many of the durable records are this text. */
__attribute__((noinline, unused)) static uint64_t support_count(const char *text)
{
    shmwal_reader *reader;
    shmwal_record record;
    uint64_t found = 0;
    SUPPORT_OK(shmwal_reader_open(support_log, 0, &reader));
    while (shmwal_reader_next(reader, &record) == 1)
        found += record.length == strlen(text) && memcmp(record.data, text, record.length) == 0;
    SUPPORT_OK(shmwal_reader_close(reader));
    return found;
}

static inline int support_main(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}

#endif
