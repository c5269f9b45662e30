/* SPDX-License-Identifier: MIT
 * LDFLAGS: -Wl,--wrap=sys_openat,--wrap=sys_fstat,--wrap=sys_mkdirat,--wrap=sys_renameat
 * LDFLAGS: -Wl,--wrap=sys_unlinkat,--wrap=sys_touch,--wrap=sys_pread_full,--wrap=sys_pwrite_full
 * LDFLAGS: -Wl,--wrap=sys_fdatasync,--wrap=sys_fsync,--wrap=sys_allocate,--wrap=sys_punch
 * LDFLAGS: -Wl,--wrap=sys_list,--wrap=sys_lock_wait,--wrap=sys_lock_try,--wrap=sys_lock_held
 * LDFLAGS: -Wl,--wrap=sys_fork_private,--wrap=sys_process_open,--wrap=sys_process_kill
 * LDFLAGS: -Wl,--wrap=sys_process_await_end,--wrap=close
 * LDFLAGS: -Wl,--wrap=pread,--wrap=pwritev2,--wrap=fdatasync,--wrap=fsync,--wrap=posix_fallocate
 *
 * Every call of the seam to the file system fails, at each place where it is made: the store says
 * what failed, leaks nothing, keeps what it acknowledged, and goes on when the fault is gone. And
 * the seam itself: calls that are interrupted, or do only a part. */
#include "disk.h"
#include "seam.h"

#include <sys/uio.h>

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

/* All that was acknowledged is there, nothing is torn that was, and the log can be used. */
static void expect_whole(int call)
{
    uint64_t end;
    OK(disk_recover(&end));
    ck_assert_msg(end >= acknowledged, "%s, call %d: the log ends at %llu, %llu was acknowledged",
                  seam.name, call, (unsigned long long)end, (unsigned long long)acknowledged);
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
    ck_assert_msg(error == -mode->error || error == -EIO, "%s, call %d: %d", seam.name, call,
                  error);
    ck_assert_msg(strlen(fail_sentence()) > 20, "%s, call %d: no sentence", seam.name, call);
}

START_TEST(use_survives_the_failure_of_any_call)
{
    const struct mode *mode = &modes[_i];
    unsigned files = seam_open_files();
    for (int call = 0, more = 1; more; call++) {
        acknowledged = disk_lsn;
        seam_arm(call, mode->count, mode->error, NULL);
        int error = open_and_use();
        more = seam.struck > 0;
        seam_disarm();
        expect_error(error, mode, call);
        ck_assert_msg(seam_open_files() == files, "%s, call %d: a file stays open", seam.name,
                      call);
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
    unsigned files = seam_open_files();
    for (int call = 0, more = 1; more; call++) {
        snprintf(path, sizeof path, "%s/new/%d", support_directory, call);
        seam_arm(call, mode->count, mode->error, NULL);
        int error = directory_create(path, 0, DISK_SEGMENT_BYTES);
        more = seam.struck > 0;
        seam_disarm();
        expect_error(error, mode, call);
        ck_assert_msg(seam_open_files() == files, "%s, call %d: a file stays open", seam.name,
                      call);
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
    unsigned files = seam_open_files();
    for (int call = 0, more = 1; more; call++) {
        seam_arm(call, mode->count, mode->error, NULL);
        int error = read_and_verify();
        more = seam.struck > 0;
        seam_disarm();
        expect_error(error, mode, call);
        ck_assert_msg(seam_open_files() == files, "%s, call %d: a file stays open", seam.name,
                      call);
        OK(read_and_verify());
    }
}
END_TEST

/* ---- Reading what is damaged, and from far within ---- */

static void write_many_segments(void)
{
    while (disk_segments() < 6)
        OK(open_and_use());
}

/* The number of the record that ends at `lsn`. */
static unsigned number_of(uint64_t lsn)
{
    return disk_first_after(lsn) - 1;
}

/* Each record that comes must be the right one; how many have come. */
static unsigned salvaged;

static int read_and_salvage(uint64_t from_lsn)
{
    shmwal_reader *reader;
    shmwal_record record;
    shmwal_hole hole;
    salvaged = 0;
    int got = shmwal_reader_open(support_log, from_lsn, &reader);
    if (got < 0)
        return got;
    do {
        while ((got = shmwal_reader_next(reader, &record)) == 1) {
            disk_check_record(&record, number_of(record.lsn));
            salvaged++;
        }
        if (got == -EBADMSG)
            got = shmwal_reader_salvage(reader, &hole);
    } while (got == 1);
    shmwal_reader_close(reader);
    return got;
}

/* Any one call fails, or any one read finds that the file ends there: then there may be less, and
 * nothing that is wrong. */
static void fail_each_call_of_reading(uint64_t from_lsn, const struct mode *mode)
{
    OK(read_and_salvage(from_lsn));
    unsigned all = salvaged, files = seam_open_files();
    for (int call = 0, more = 1; more; call++) {
        seam_arm(call, mode->count, mode->error, mode->error == 0 ? "sys_pread_full" : NULL);
        int error = read_and_salvage(from_lsn);
        more = seam.struck > 0;
        seam_disarm();
        if (mode->error != 0)
            expect_error(error, mode, call);
        else
            ck_assert_msg(error == 0 || error == -EBADMSG, "call %d: %d", call, error);
        bool whole = error == 0 && mode->error != 0; /* what failed was of no weight */
        ck_assert_msg(whole ? salvaged == all : salvaged <= all, "%s, call %d: %u records",
                      seam.name, call, salvaged);
        ck_assert_msg(seam_open_files() == files, "%s, call %d: a file stays open", seam.name,
                      call);
        OK(read_and_salvage(from_lsn));
        ck_assert_uint_eq(salvaged, all);
    }
}

static const struct mode reading_modes[] = {{1, EIO}, {INT_MAX, EIO}, {1, 0}};

START_TEST(salvage_survives_the_failure_of_any_call)
{
    write_many_segments();
    disk_flip(disk_path(0), 2 * FORMAT_BLOCK + 100, 1);
    disk_flip(disk_path(disk_segment_lsn(2)), 72, 1);
    ck_assert_int_eq(unlink(disk_path(disk_segment_lsn(4))), 0);
    fail_each_call_of_reading(0, &reading_modes[_i]);
}
END_TEST

START_TEST(reading_from_far_within_survives_the_failure_of_any_call)
{
    write_many_segments();
    uint64_t second = disk_segment_lsn(1), third = disk_segment_lsn(2);
    fail_each_call_of_reading(second + (third - second) / 4 * 3, &reading_modes[_i]);
}
END_TEST

/* What stands behind the last frame is looked at in several reads. */
START_TEST(end_of_a_long_segment_survives_the_failure_of_any_call)
{
    uint64_t end;
    directory_close(&disk);
    remove_tree(support_log);
    OK(directory_create(support_log, 0, 1 << 20));
    OK(directory_open(support_log, true, &disk));
    for (int i = 0; i < 4; i++) /* so that frames lie across the ends of what is read at a time */
        OK(open_and_use());
    fail_each_call_of_reading(0, &reading_modes[_i]);
    for (int call = 0, more = 1; more; call++) {
        seam_arm(call, 1, EIO, "sys_pread_full");
        int error = disk_recover(&end);
        more = seam.struck > 0;
        seam_disarm();
        ck_assert_int_eq(error, more ? -EIO : 0);
    }
}
END_TEST

/* ---- File systems that do not know a call ---- */

/* Each call of this name fails once; how often that did not matter. Otherwise it is told. */
static unsigned forgiven(int (*act)(void), int error, const char *name)
{
    unsigned count = 0;
    for (int call = 0, more = 1; more; call++) {
        seam_arm(call, 1, error, name);
        int got = act();
        more = seam.struck > 0;
        seam_disarm();
        ck_assert_msg(got == 0 || got == -error, "%s, call %d: %d", name, call, got);
        count += more && got == 0;
    }
    return count;
}

static int create_another(void)
{
    static unsigned number;
    char path[128];
    snprintf(path, sizeof path, "%s/another/%u", support_directory, number++);
    return directory_create(path, 0, DISK_SEGMENT_BYTES);
}

static int recover(void)
{
    uint64_t end;
    return disk_recover(&end);
}

/* What cannot be synced, or is read-only, holds nothing new: but for the file of the meta and that
 * of the first segment. */
START_TEST(directory_that_cannot_be_synced_is_no_reason_to_fail)
{
    static const int lacking[] = {EINVAL, EROFS};
    OK(create_another()); /* from here on their parent is there */
    ck_assert_uint_eq(forgiven(create_another, lacking[_i], "sys_fsync"), 6);
    ck_assert_uint_eq(forgiven(recover, lacking[_i], "sys_fsync"), 2);
    ck_assert_uint_eq(forgiven(recover, lacking[_i], "sys_fdatasync"), 1);
}
END_TEST

START_TEST(segment_is_named_where_directories_cannot_be_synced)
{
    ck_assert_uint_gt(forgiven(open_and_use, EINVAL, "sys_fsync"), 3);
}
END_TEST

START_TEST(parent_that_may_not_be_read_is_not_synced)
{
    OK(create_another());
    ck_assert_uint_eq(forgiven(create_another, EACCES, "sys_openat"), 2);
}
END_TEST

/* The last segment is read past the cache where that can be. */
START_TEST(recovery_reads_through_the_cache_where_it_must)
{
    ck_assert_uint_eq(forgiven(recover, EINVAL, "sys_openat"), 1);
}
END_TEST

/* ---- A close that fails ---- */

/* It has closed all the same: what it reports is that something written before did not arrive, as
 * NFS and FUSE find out then, or that it was interrupted. To close once more is a mistake. */
int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
    ck_assert_msg(__real_close(fd) == 0, "closed twice");
    errno = seam.only != NULL && seam_strikes("close") ? seam.error : 0;
    return errno != 0 ? -1 : 0;
}

static const struct mode closes[] = {{1, EIO}, {1, EINTR}, {INT_MAX, EIO}};

/* Whatever counts was synced before its file is closed, so a close has nothing more to say. */
START_TEST(close_that_fails_loses_nothing_and_is_not_repeated)
{
    const struct mode *mode = &closes[_i];
    struct directory directory;
    char path[128];
    unsigned files = seam_open_files();
    for (int call = 0, more = 1; more; call++) {
        snprintf(path, sizeof path, "%s/new/%d", support_directory, call);
        seam_arm(call, mode->count, mode->error, "close");
        OK(open_and_use());
        OK(read_and_verify());
        OK(directory_create(path, 0, DISK_SEGMENT_BYTES));
        more = seam.struck == 1;
        seam_disarm();
        ck_assert_msg(seam_open_files() == files, "call %d: a file stays open", call);
        expect_whole(call);
        OK(directory_open(path, true, &directory));
        directory_close(&directory);
        if (disk_records < 3000)
            continue;
        disk_teardown();
        disk_setup();
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

static TCase *tests_of(Suite *suite, const char *name)
{
    TCase *tests = tcase_create(name);
    tcase_add_unchecked_fixture(tests, disk_make_base, disk_remove_base);
    tcase_add_checked_fixture(tests, disk_setup, disk_teardown);
    suite_add_tcase(suite, tests);
    return tests;
}

int main(void)
{
    Suite *suite = suite_create("seam");
    int mode_count = sizeof modes / sizeof *modes;
    TCase *tests = tests_of(suite, "any call");
    tcase_add_loop_test(tests, use_survives_the_failure_of_any_call, 0, mode_count);
    tcase_add_loop_test(tests, creation_survives_the_failure_of_any_call, 0, mode_count);
    tcase_add_loop_test(tests, reading_survives_the_failure_of_any_call, 0, mode_count);
    tests = tests_of(suite, "closes");
    tcase_add_loop_test(tests, close_that_fails_loses_nothing_and_is_not_repeated, 0,
                        sizeof closes / sizeof *closes);
    mode_count = sizeof reading_modes / sizeof *reading_modes;
    tests = tests_of(suite, "damage");
    tcase_add_loop_test(tests, salvage_survives_the_failure_of_any_call, 0, mode_count);
    tcase_add_loop_test(tests, reading_from_far_within_survives_the_failure_of_any_call, 0,
                        mode_count);
    tcase_add_loop_test(tests, end_of_a_long_segment_survives_the_failure_of_any_call, 0,
                        mode_count);
    tests = tests_of(suite, "unknown calls");
    tcase_add_loop_test(tests, directory_that_cannot_be_synced_is_no_reason_to_fail, 0, 2);
    tcase_add_test(tests, segment_is_named_where_directories_cannot_be_synced);
    tcase_add_test(tests, parent_that_may_not_be_read_is_not_synced);
    tcase_add_test(tests, recovery_reads_through_the_cache_where_it_must);
    tests = tests_of(suite, "the seam itself");
    tcase_add_test(tests, interrupted_and_partial_calls_are_completed);
    tcase_add_test(tests, write_that_does_nothing_is_an_error_and_no_loop);
    tcase_add_test(tests, store_takes_partial_transfers);
    return support_main(suite);
}
