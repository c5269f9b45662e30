/* SPDX-License-Identifier: MIT
 *
 * Starting a flusher: where it is looked for, and what it may answer. */
#include "support.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/stat.h>

static char flusher[PATH_MAX]; /* the build's */
static char directory[96], file[128];

static void setup(void)
{
    support_setup();
    snprintf(flusher, sizeof flusher, "%s", getenv("DURALOG_FLUSHER"));
    snprintf(directory, sizeof directory, "%s/bin", support_directory);
    snprintf(file, sizeof file, "%s/duralog-flusher", directory);
    ck_assert_int_eq(mkdir(directory, 0700), 0);
}

static void teardown(void)
{
    setenv("DURALOG_FLUSHER", flusher, 1);
    support_teardown();
}

static int open_log(void)
{
    shmwal *log;
    shmwal_options options = support_options(0);
    int error = shmwal_open(support_log, &options, &log);
    if (error == 0)
        shmwal_close(log);
    return error;
}

/* An element that is empty, one that is too long for a path, and one without the program. */
START_TEST(flusher_is_found_on_path_among_much_else)
{
    static char path[2 * PATH_MAX];
    int used = snprintf(path, sizeof path, ":/nowhere:/");
    memset(path + used, 'x', PATH_MAX - 10);
    snprintf(path + used + PATH_MAX - 10, 200, ":%s", directory);
    unsetenv("DURALOG_FLUSHER");
    setenv("PATH", path, 1);
    bool installed = access(SHMWAL_BINDIR "/duralog-flusher", X_OK) == 0;
    ck_assert_int_eq(open_log(), installed ? 0 : -ENOEXEC);
    ck_assert_int_eq(symlink(flusher, file), 0);
    SUPPORT_OK(open_log());
    SUPPORT_OK(shmwal_stop(support_log, 60 * SECONDS));
    setenv("DURALOG_FLUSHER", "", 1); /* names none */
    SUPPORT_OK(open_log());
    SUPPORT_OK(shmwal_stop(support_log, 60 * SECONDS));
    unsetenv("PATH");
    ck_assert_int_eq(open_log(), installed ? 0 : -ENOEXEC);
}
END_TEST

static const struct {
    const char *says;
    int error;
    const char *sentence;
} answers[] = {
    {"5 0 the device is on fire", -EIO, "the device is on fire"},
    {"", -ENOEXEC, "ended before it served"},
    {"nonsense", -ENOEXEC, "ended before it served"},
    {"5", -ENOEXEC, "ended before it served"},
    {"0 0 words", -ENOEXEC, "ended before it served"},
    {"-5 0 words", -ENOEXEC, "ended before it served"},
};

START_TEST(answer_that_is_none_is_a_flusher_that_did_not_serve)
{
    FILE *script = fopen(file, "w");
    fprintf(script, "#!/bin/sh\necho '%s'\n", answers[_i].says);
    fclose(script);
    ck_assert_int_eq(chmod(file, 0700), 0);
    setenv("DURALOG_FLUSHER", file, 1);
    ck_assert_int_eq(open_log(), answers[_i].error);
    ck_assert_msg(strstr(shmwal_error(), answers[_i].sentence) != NULL, "%s", shmwal_error());
}
END_TEST

static void kill_flusher(void)
{
    shmwal_status status = {.size = sizeof status};
    SUPPORT_OK(shmwal_get_status(support_log, &status));
    ck_assert_int_eq(kill(status.flusher_pid, SIGKILL), 0);
}

/* It is full, and its flusher dead: what keeps another one from being started is told. */
START_TEST(append_that_needs_room_says_why_no_flusher_can_be_started)
{
    static const char data[8000];
    shmwal *log = support_open(0);
    kill_flusher();
    setenv("DURALOG_FLUSHER", "/nowhere/duralog-flusher", 1);
    int error = 0;
    while (error == 0)
        error = shmwal_append_for(log, data, sizeof data, SHMWAL_BYTES, 60 * SECONDS, NULL);
    ck_assert_int_eq(error, -ENOEXEC);
    shmwal_close(log);
}
END_TEST

/* Where it was there is none any more: nothing that could be served. */
START_TEST(wait_whose_log_has_gone_with_its_flusher_says_so)
{
    char moved[96];
    uint64_t lsn;
    shmwal *log = support_open(0);
    kill_flusher();
    snprintf(moved, sizeof moved, "%s/moved", support_directory);
    ck_assert_int_eq(rename(support_log, moved), 0);
    int error = 0;
    while (error == 0) {
        SUPPORT_OK(shmwal_append(log, "x", 1, &lsn));
        error = shmwal_wait(log, lsn, SHMWAL_DURABLE, 60 * SECONDS);
    }
    ck_assert_int_eq(error, -ENOENT);
    ck_assert_int_eq(rename(moved, support_log), 0);
    shmwal_close(log);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("launch");
    TCase *cases = tcase_create("launch");
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, flusher_is_found_on_path_among_much_else);
    tcase_add_loop_test(cases, answer_that_is_none_is_a_flusher_that_did_not_serve, 0,
                        sizeof answers / sizeof *answers);
    tcase_add_test(cases, append_that_needs_room_says_why_no_flusher_can_be_started);
    tcase_add_test(cases, wait_whose_log_has_gone_with_its_flusher_says_so);
    suite_add_tcase(suite, cases);
    return support_main(suite);
}
