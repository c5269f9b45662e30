/* SPDX-License-Identifier: MIT
 * LDFLAGS: -Wl,--wrap=sys_openat,--wrap=sys_fstat,--wrap=sys_mkdirat,--wrap=sys_renameat
 * LDFLAGS: -Wl,--wrap=sys_unlinkat,--wrap=sys_touch,--wrap=sys_pread_full,--wrap=sys_pwrite_full
 * LDFLAGS: -Wl,--wrap=sys_fdatasync,--wrap=sys_fsync,--wrap=sys_allocate,--wrap=sys_punch
 * LDFLAGS: -Wl,--wrap=sys_list,--wrap=sys_lock_wait
 * LDFLAGS: -Wl,--wrap=pread,--wrap=pwritev2,--wrap=fdatasync,--wrap=fsync,--wrap=posix_fallocate
 *
 * Every call of the seam to the file system fails, at each place where it is made: the store says
 * what failed, leaks nothing, keeps what it acknowledged, and goes on when the fault is gone. And
 * the seam itself: calls that are interrupted, or do only a part. */
#include "disk.h"
#include "sys/file.h"
#include "sys/listing.h"
#include "sys/lock.h"

#include <dirent.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/uio.h>

/* ---- The fault ---- */

static atomic_int calls, first = INT_MAX, count, struck;
static int error_given;
static const char *struck_name = "";

static void arm(int at, int how_many, int error)
{
    calls = struck = 0;
    count = how_many;
    error_given = error;
    first = at;
}

static void disarm(void)
{
    first = INT_MAX;
}

static int strike(const char *name)
{
    if (first == INT_MAX)
        return 0;
    int call = atomic_fetch_add(&calls, 1);
    if (call < first || call - first >= count)
        return 0;
    if (atomic_fetch_add(&struck, 1) == 0)
        struck_name = name;
    return -error_given;
}

#define WRAP(type, name, parameters, ...)                                                          \
    type __real_##name parameters;                                                                 \
    type __wrap_##name parameters;                                                                 \
    type __wrap_##name parameters                                                                  \
    {                                                                                              \
        int error = strike(#name);                                                                 \
        return error != 0 ? error : __real_##name(__VA_ARGS__);                                    \
    }

WRAP(int, sys_openat, (int directory, const char *name, int flags, mode_t mode), directory, name,
     flags, mode)
WRAP(int, sys_fstat, (int fd, struct stat *status), fd, status)
WRAP(int, sys_mkdirat, (int directory, const char *name, mode_t mode), directory, name, mode)
WRAP(int, sys_renameat, (int directory, const char *from, int to_directory, const char *to),
     directory, from, to_directory, to)
WRAP(int, sys_unlinkat, (int directory, const char *name), directory, name)
WRAP(int, sys_touch, (int fd), fd)
WRAP(ssize_t, sys_pread_full, (int fd, void *data, size_t length, uint64_t offset), fd, data,
     length, offset)
WRAP(int, sys_pwrite_full, (int fd, const void *data, size_t length, uint64_t offset, bool durable),
     fd, data, length, offset, durable)
WRAP(int, sys_fdatasync, (int fd), fd)
WRAP(int, sys_fsync, (int fd), fd)
WRAP(int, sys_allocate, (int fd, uint64_t bytes), fd, bytes)
WRAP(int, sys_punch, (int fd, uint64_t offset, uint64_t bytes), fd, offset, bytes)
WRAP(int, sys_list, (int directory, int (*visit)(void *context, const char *name), void *context),
     directory, visit, context)
WRAP(int, sys_lock_wait, (int fd, uint64_t byte), fd, byte)

/* ---- What is done with a log ---- */

static uint64_t acknowledged;

static int use(struct store *store)
{
    int error = 0;
    for (int i = 0; i < 4 && error == 0; i++) {
        error = disk_write(store, 60); /* of some 12 KiB: every fourth one or so rolls */
        acknowledged = disk_lsn;
    }
    return error == 0 ? store_idle(store) : error;
}

static int open_and_use(void)
{
    struct directory directory;
    struct store *store;
    uint64_t end;
    int error = directory_open(support_log, true, &directory);
    if (error < 0)
        return error;
    error = store_find_end(&directory, &end);
    if (error == 0)
        error = store_open(&directory, end, &store);
    if (error == 0) {
        error = use(store);
        int closed = store_close(store);
        error = error == 0 ? closed : error;
    }
    directory_close(&directory);
    return error;
}

static int read_and_verify(void)
{
    shmwal_verification result = {.size = sizeof result};
    shmwal_status status = {.size = sizeof status};
    struct disk_reading reading = disk_read();
    if (reading.status < 0)
        return reading.status;
    ck_assert_uint_eq(reading.records, disk_records);
    int error = shmwal_verify(support_log, &result, NULL, NULL);
    return error < 0 ? error : shmwal_get_status(support_log, &status);
}

/* ---- What must hold ---- */

static unsigned open_files(void)
{
    DIR *stream = opendir("/proc/self/fd");
    unsigned files = 0;
    while (readdir(stream) != NULL)
        files++;
    closedir(stream);
    return files;
}

/* All that was acknowledged is there, nothing is torn that was, and the log can be used. */
static void expect_whole(int call)
{
    uint64_t end;
    OK(disk_recover(&end));
    ck_assert_msg(end >= acknowledged, "%s, call %d: the log ends at %llu, %llu was acknowledged",
                  struck_name, call, (unsigned long long)end, (unsigned long long)acknowledged);
    disk_records = disk_first_after(end);
    disk_lsn = end;
    OK(open_and_use());
    struct disk_reading reading = disk_read();
    ck_assert_int_eq(reading.status, 0);
    ck_assert_uint_eq(reading.records, disk_records);
}

static const struct mode {
    int count, error;
} modes[] = {{1, EIO}, {1, ENOSPC}, {1, EFBIG}, {1, EMFILE}, {INT_MAX, EIO}, {INT_MAX, EFBIG}};

/* What failed may have been made good, or be of no weight: then everything was acknowledged, and is
 * looked for. Otherwise the error is the one that was met, and a sentence tells of it. */
static void expect_error(int error, const struct mode *mode, int call)
{
    if (error == 0)
        return;
    ck_assert_msg(error == -mode->error || error == -EIO, "%s, call %d: %d", struck_name, call,
                  error);
    ck_assert_msg(strlen(fail_sentence()) > 20, "%s, call %d: no sentence", struck_name, call);
}

START_TEST(use_survives_the_failure_of_any_call)
{
    const struct mode *mode = &modes[_i];
    unsigned files = open_files();
    for (int call = 0, more = 1; more; call++) {
        acknowledged = disk_lsn;
        arm(call, mode->count, mode->error);
        int error = open_and_use();
        more = struck > 0;
        disarm();
        expect_error(error, mode, call);
        ck_assert_msg(open_files() == files, "%s, call %d: a file stays open", struck_name, call);
        expect_whole(call);
        if (disk_records < 3000)
            continue;
        disk_teardown();
        disk_setup();
    }
}
END_TEST

START_TEST(creation_survives_the_failure_of_any_call)
{
    const struct mode *mode = &modes[_i];
    char path[128];
    struct directory directory;
    unsigned files = open_files();
    for (int call = 0, more = 1; more; call++) {
        snprintf(path, sizeof path, "%s/new/%d", support_directory, call);
        arm(call, mode->count, mode->error);
        int error = directory_create(path, 0, DISK_SEGMENT_BYTES);
        more = struck > 0;
        disarm();
        expect_error(error, mode, call);
        ck_assert_msg(open_files() == files, "%s, call %d: a file stays open", struck_name, call);
        OK(directory_create(path, 0, DISK_SEGMENT_BYTES));
        OK(directory_open(path, true, &directory));
        directory_close(&directory);
    }
}
END_TEST

START_TEST(reading_survives_the_failure_of_any_call)
{
    const struct mode *mode = &modes[_i];
    OK(open_and_use());
    unsigned files = open_files();
    for (int call = 0, more = 1; more; call++) {
        arm(call, mode->count, mode->error);
        int error = read_and_verify();
        more = struck > 0;
        disarm();
        expect_error(error, mode, call);
        ck_assert_msg(open_files() == files, "%s, call %d: a file stays open", struck_name, call);
        OK(read_and_verify());
    }
}
END_TEST

/* ---- The seam itself ---- */

/* Of each call below: so many are interrupted first, and no more than so many bytes are done. */
static int interruptions;
static size_t at_most = SIZE_MAX;

static bool interrupted(void)
{
    if (interruptions == 0)
        return false;
    interruptions--;
    errno = EINTR;
    return true;
}

ssize_t __real_pread(int fd, void *data, size_t length, off_t offset);
ssize_t __wrap_pread(int fd, void *data, size_t length, off_t offset);
ssize_t __wrap_pread(int fd, void *data, size_t length, off_t offset)
{
    return interrupted() ? -1 : __real_pread(fd, data, length < at_most ? length : at_most, offset);
}

ssize_t __real_pwritev2(int fd, const struct iovec *parts, int part_count, off_t offset, int flags);
ssize_t __wrap_pwritev2(int fd, const struct iovec *parts, int part_count, off_t offset, int flags);
ssize_t __wrap_pwritev2(int fd, const struct iovec *parts, int part_count, off_t offset, int flags)
{
    struct iovec part = parts[0];
    ck_assert_int_eq(part_count, 1);
    if (at_most == 0)
        return 0;
    part.iov_len = part.iov_len < at_most ? part.iov_len : at_most;
    return interrupted() ? -1 : __real_pwritev2(fd, &part, 1, offset, flags);
}

#define WRAP_CALL(name, failure, parameters, ...)                                                  \
    int __real_##name parameters;                                                                  \
    int __wrap_##name parameters;                                                                  \
    int __wrap_##name parameters                                                                   \
    {                                                                                              \
        return interrupted() ? (failure) : __real_##name(__VA_ARGS__);                             \
    }

WRAP_CALL(fdatasync, -1, (int fd), fd)
WRAP_CALL(fsync, -1, (int fd), fd)
WRAP_CALL(posix_fallocate, EINTR, (int fd, off_t offset, off_t length), fd, offset, length)

START_TEST(interrupted_and_partial_calls_are_completed)
{
    char path[100], written[3 * FORMAT_BLOCK], read[sizeof written + 1];
    snprintf(path, sizeof path, "%s/file", support_directory);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    for (size_t i = 0; i < sizeof written; i++)
        written[i] = (char)(i * 7 + i / 256);
    for (at_most = 1000; at_most <= 4096; at_most += 1032) {
        interruptions = 3;
        ck_assert_int_eq(sys_pwrite_full(fd, written, sizeof written, 10, at_most > 3000), 0);
        ck_assert_int_eq(interruptions, 0);
        interruptions = 3;
        ck_assert_int_eq(sys_pread_full(fd, read, sizeof read, 10), sizeof written);
        ck_assert_int_eq(interruptions, 0);
        ck_assert(memcmp(read, written, sizeof written) == 0);
    }
    at_most = SIZE_MAX;
    interruptions = 2;
    ck_assert_int_eq(sys_fdatasync(fd), 0);
    ck_assert_int_eq(interruptions, 0);
    interruptions = 2;
    ck_assert_int_eq(sys_fsync(fd), 0);
    ck_assert_int_eq(interruptions, 0);
    interruptions = 2;
    ck_assert_int_eq(sys_allocate(fd, 65536), 0);
    ck_assert_int_eq(interruptions, 0);
    close(fd);
}
END_TEST

START_TEST(write_that_does_nothing_is_an_error_and_no_loop)
{
    char path[100];
    snprintf(path, sizeof path, "%s/file", support_directory);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    at_most = 0;
    ck_assert_int_eq(sys_pwrite_full(fd, path, sizeof path, 0, false), -EIO);
    at_most = SIZE_MAX;
    close(fd);
}
END_TEST

/* The store over a kernel that does every transfer by halves. */
START_TEST(store_takes_partial_transfers)
{
    at_most = 2048;
    OK(open_and_use());
    OK(open_and_use());
    struct disk_reading reading = disk_read();
    at_most = SIZE_MAX;
    ck_assert_int_eq(reading.status, 0);
    ck_assert_uint_eq(reading.records, disk_records);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("seam");
    TCase *tests = tcase_create("seam");
    int mode_count = sizeof modes / sizeof *modes;
    tcase_add_unchecked_fixture(tests, disk_make_base, disk_remove_base);
    tcase_add_checked_fixture(tests, disk_setup, disk_teardown);
    tcase_add_loop_test(tests, use_survives_the_failure_of_any_call, 0, mode_count);
    tcase_add_loop_test(tests, creation_survives_the_failure_of_any_call, 0, mode_count);
    tcase_add_loop_test(tests, reading_survives_the_failure_of_any_call, 0, mode_count);
    tcase_add_test(tests, interrupted_and_partial_calls_are_completed);
    tcase_add_test(tests, write_that_does_nothing_is_an_error_and_no_loop);
    tcase_add_test(tests, store_takes_partial_transfers);
    suite_add_tcase(suite, tests);
    return support_main(suite);
}
