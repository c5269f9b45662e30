/* SPDX-License-Identifier: MIT
 * LDFLAGS: -Wl,--wrap=sys_pwrite_full,--wrap=sys_fdatasync,--wrap=sys_fsync,--wrap=sys_allocate
 * LDFLAGS: -Wl,--wrap=sys_mkdirat,--wrap=sys_renameat,--wrap=sys_fstat
 *
 * Making and opening a log's directory, and everything that may stand in its place. */
#include "disk.h"
#include "faults.h"

#include <stdarg.h>

/* Somebody else's: what fstat says of directories is one more than the truth. */
static bool owned_by_another;

int __real_sys_fstat(int fd, struct stat *status);
int __wrap_sys_fstat(int fd, struct stat *status);
int __wrap_sys_fstat(int fd, struct stat *status)
{
    int error = __real_sys_fstat(fd, status);
    status->st_uid += owned_by_another && S_ISDIR(status->st_mode);
    return error;
}

/* A path below the test's directory. */
__attribute__((format(printf, 1, 2))) static const char *at(const char *format, ...)
{
    static char paths[4][256];
    static unsigned next;
    char *path = paths[next++ % 4], rest[128];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(rest, sizeof rest, format, arguments);
    va_end(arguments);
    snprintf(path, sizeof paths[0], "%s/%s", support_directory, rest);
    return path;
}

static void touch(const char *path)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static mode_t mode_of(const char *path)
{
    struct stat status;
    ck_assert_int_eq(lstat(path, &status), 0);
    return status.st_mode & 07777;
}

static int open_for(const char *path, bool writing)
{
    struct directory directory;
    int error = directory_open(path, writing, &directory);
    if (error == 0)
        directory_close(&directory);
    return error;
}

static void fails_both_ways(int error, const char *path, const char *word)
{
    FAILS(error, open_for(path, false));
    ck_assert_msg(strstr(fail_sentence(), word) != NULL, "%s", fail_sentence());
    FAILS(error, open_for(path, true));
    FAILS(error, directory_create(path, 0, 0));
    ck_assert_msg(strstr(fail_sentence(), word) != NULL, "%s", fail_sentence());
}

START_TEST(created_log_opens_with_its_sizes_and_is_private)
{
    ck_assert_uint_eq(disk.meta.ring_bytes, 64 * 1024);
    ck_assert_uint_eq(disk.meta.segment_bytes, DISK_SEGMENT_BYTES);
    ck_assert_int_eq(mode_of(support_log), 0700);
    ck_assert_int_eq(mode_of(at("log/meta")), 0600);
    ck_assert_int_eq(mode_of(at("log/lock")), 0600);
    ck_assert_int_eq(mode_of(at("log/segments")), 0700);
    ck_assert_int_eq(mode_of(disk_path(0)), 0600);
    ck_assert_int_eq(access(at("log/meta.tmp"), F_OK), -1);
}
END_TEST

START_TEST(create_on_a_log_changes_nothing)
{
    struct directory again;
    OK(directory_create(support_log, 1 << 20, 1 << 20));
    OK(directory_open(support_log, true, &again));
    ck_assert_int_eq(memcmp(&again.meta, &disk.meta, sizeof disk.meta), 0);
    ck_assert_uint_eq(again.inode, disk.inode);
    directory_close(&again);
}
END_TEST

START_TEST(create_makes_missing_parents)
{
    OK(directory_create(at("a/b/c/log/"), 0, 0));
    OK(open_for(at("a/b/c/log"), true));
    ck_assert_int_eq(chdir(support_directory), 0);
    OK(directory_create("here", 0, 0));
    OK(directory_create("below/here", 0, 0));
    OK(open_for(at("below/here"), true));
}
END_TEST

START_TEST(create_rounds_sizes_and_refuses_absurd_ones)
{
    struct directory made;
    OK(directory_create(at("odd"), 65537, 65537));
    OK(directory_open(at("odd"), true, &made));
    ck_assert_uint_eq(made.meta.ring_bytes, 131072);
    ck_assert_uint_eq(made.meta.segment_bytes, 69632);
    directory_close(&made);
    FAILS(EINVAL, directory_create(at("small"), 65535, 0));
    FAILS(EINVAL, directory_create(at("small"), 0, 65535));
    FAILS(EINVAL, directory_create(at("small"), (UINT64_C(64) << 30) + 1, 0));
    FAILS(EINVAL, directory_create(at("small"), 0, UINT64_MAX));
    ck_assert_int_eq(access(at("small"), F_OK), -1);
}
END_TEST

START_TEST(created_logs_differ_in_uuid)
{
    struct directory other;
    OK(directory_create(at("other"), 0, 0));
    OK(directory_open(at("other"), true, &other));
    ck_assert_int_ne(memcmp(other.meta.uuid, disk.meta.uuid, FORMAT_UUID_BYTES), 0);
    directory_close(&other);
}
END_TEST

START_TEST(nothing_there_is_no_log)
{
    FAILS(ENOENT, open_for(at("nothing"), true));
    FAILS(ENOENT, open_for(at("no/where"), false));
    FAILS(ENOENT, open_for("", false));
    FAILS(ENOENT, directory_create("", 0, 0));
}
END_TEST

START_TEST(empty_directory_is_no_log_and_becomes_one)
{
    ck_assert_int_eq(mkdir(at("empty"), 0755), 0);
    FAILS(ENOENT, open_for(at("empty"), true));
    OK(directory_create(at("empty"), 0, 0));
    OK(open_for(at("empty"), true));
}
END_TEST

START_TEST(file_is_no_log)
{
    touch(at("file"));
    fails_both_ways(ENOTDIR, at("file"), "a log is a directory");
    FAILS(ENOTDIR, directory_create(at("file/log"), 0, 0));
    FAILS(ENOENT, directory_create(NULL, 0, 0));
}
END_TEST

START_TEST(lock_that_is_no_file_is_told_before_a_log_is_made)
{
    ck_assert_int_eq(mkdir(at("begun"), 0700), 0);
    ck_assert_int_eq(mkfifo(at("begun/lock"), 0600), 0);
    FAILS(EBADMSG, directory_create(at("begun"), 0, 0));
    ck_assert_msg(strstr(fail_sentence(), "lock") != NULL, "%s", fail_sentence());
    ck_assert_int_eq(unlink(at("begun/lock")), 0);
    OK(directory_create(at("begun"), 0, 0));
}
END_TEST

/* Length, type, CRC-32 and payload of its first record: only what one may begin with counts. */
START_TEST(file_of_the_earlier_library_is_told_from_any_other)
{
    static const struct {
        const char *bytes;
        size_t length;
        const char *word;
    } files[] = {
        {"\2\0\0\0\1crc!{}", 11, "of the earlier"}, {"\2\0\0\0\2crc!ab", 11, "of the earlier"},
        {"\2\0\0\0\3crc!{}", 11, "a log is a"},     {"\2\0\0\0\1crc![]", 11, "a log is a"},
        {"\0\0\0\0\1crc!", 9, "a log is a"},        {"\2\0\0\0\1crc", 8, "a log is a"},
    };
    touch(at("file"));
    disk_set(at("file"), 0, files[_i].bytes, files[_i].length);
    fails_both_ways(ENOTDIR, at("file"), files[_i].word);
}
END_TEST

START_TEST(directory_with_other_things_is_no_log)
{
    ck_assert_int_eq(mkdir(at("photos"), 0700), 0);
    touch(at("photos/holiday.jpg"));
    fails_both_ways(ENOTEMPTY, at("photos"), "holiday.jpg");
    ck_assert_int_eq(access(at("photos/lock"), F_OK), -1);
}
END_TEST

START_TEST(log_of_somebody_else_may_be_read_but_not_written)
{
    owned_by_another = true;
    FAILS(EACCES, open_for(support_log, true));
    ck_assert_ptr_nonnull(strstr(fail_sentence(), "belongs to user"));
    FAILS(EACCES, directory_create(support_log, 0, 0));
    OK(open_for(support_log, false));
}
END_TEST

START_TEST(lost_meta_is_damage_and_stays_so)
{
    ck_assert_int_eq(unlink(at("log/meta")), 0);
    fails_both_ways(EBADMSG, support_log, "meta");
    ck_assert_int_eq(access(disk_path(0), F_OK), 0);
}
END_TEST

START_TEST(spoiled_meta_is_damage)
{
    for (uint64_t byte = 0; byte < FORMAT_BLOCK; byte += byte < 96 ? 1 : 97) {
        disk_flip(at("log/meta"), byte, 1);
        int error = open_for(support_log, true);
        ck_assert_msg(error == -EBADMSG || (byte >= 16 && byte < 20 && error == -EPROTO),
                      "byte %lu: %d", byte, error);
        disk_flip(at("log/meta"), byte, 1);
    }
    OK(open_for(support_log, true));
    ck_assert_int_eq(truncate(at("log/meta"), 4095), 0);
    fails_both_ways(EBADMSG, support_log, "meta");
}
END_TEST

START_TEST(later_version_is_refused_as_such)
{
    struct meta meta = disk.meta;
    meta.incompatible = 1;
    meta_seal(&meta);
    disk_set(at("log/meta"), 0, &meta, sizeof meta);
    fails_both_ways(EPROTO, support_log, "version");
}
END_TEST

START_TEST(other_files_among_the_segments_are_none)
{
    uint64_t end;
    touch(at("log/segments/README"));
    OK(store_find_end(&disk, &end));
    OK(store_close(disk_store()));
    ck_assert_int_eq(access(at("log/segments/README"), F_OK), 0); /* nor are they removed */
    ck_assert_int_eq(unlink(disk_path(0)), 0);
    ck_assert_int_eq(unlink(at("log/meta")), 0);
    FAILS(ENOENT, open_for(support_log, true)); /* nothing that is missed by a meta */
}
END_TEST

START_TEST(segments_directory_that_is_none_is_damage)
{
    ck_assert_int_eq(unlink(disk_path(0)), 0);
    ck_assert_int_eq(rmdir(at("log/segments")), 0);
    touch(at("log/segments"));
    fails_both_ways(EBADMSG, support_log, "segments");
}
END_TEST

START_TEST(missing_segments_are_damage)
{
    ck_assert_int_eq(unlink(disk_path(0)), 0);
    ck_assert_int_eq(rmdir(at("log/segments")), 0);
    fails_both_ways(EBADMSG, support_log, "segments");
}
END_TEST

START_TEST(symbolic_link_to_a_log_is_followed_but_none_inside)
{
    struct directory linked;
    ck_assert_int_eq(symlink("log", at("link")), 0);
    OK(directory_open(at("link"), true, &linked));
    ck_assert_str_eq(linked.path, disk.path);
    ck_assert_uint_eq(linked.inode, disk.inode);
    directory_close(&linked);
    ck_assert_int_eq(rename(at("log/meta"), at("meta")), 0);
    ck_assert_int_eq(symlink("../meta", at("log/meta")), 0);
    FAILS(ELOOP, open_for(support_log, true));
}
END_TEST

START_TEST(link_that_leads_nowhere_is_no_log)
{
    ck_assert_int_eq(symlink("nowhere", at("link")), 0);
    FAILS(ENOENT, open_for(at("link"), true));
    ck_assert_int_lt(directory_create(at("link"), 0, 0), 0);
    ck_assert_int_eq(access(at("nowhere"), F_OK), -1);
}
END_TEST

START_TEST(copy_without_a_lock_file_is_a_log)
{
    struct directory copy;
    ck_assert_int_eq(unlink(at("log/lock")), 0);
    OK(directory_open(support_log, false, &copy));
    ck_assert_int_eq(copy.lock_fd, -1);
    directory_close(&copy);
    OK(open_for(support_log, true));
}
END_TEST

/* Wherever the making of a log is cut, what is left is no log, and the next creation completes
 * it. */
START_TEST(creation_cut_anywhere_is_completed_by_the_next)
{
    bool cut = true;
    int call = 0;
    for (; cut; call++) {
        const char *path = at("p%d/log", call);
        faults_arm(call, INT_MAX, EIO, false);
        int error = directory_create(path, 64 * 1024, 64 * 1024);
        cut = faults.struck > 0;
        faults_disarm();
        if (cut) {
            ck_assert_int_eq(error, -EIO);
            error = open_for(path, true);
            ck_assert_msg(error == -ENOENT || error == 0, "call %d: %d", call, error);
        }
        OK(directory_create(path, 64 * 1024, 64 * 1024));
        struct directory made;
        uint64_t end;
        OK(directory_open(path, true, &made));
        OK(store_find_end(&made, &end));
        ck_assert_uint_eq(end, 0);
        ck_assert_uint_eq(faccessat(made.fd, "meta.tmp", F_OK, 0), -1);
        directory_close(&made);
    }
    ck_assert_int_gt(call, 10);
}
END_TEST

START_TEST(full_disk_leaves_no_log_and_says_so)
{
    for (int call = 2; call < 8; call++) {
        const char *path = at("full%d", call);
        faults_arm(call, 1, ENOSPC, false);
        int error = directory_create(path, 0, 0);
        faults_disarm();
        ck_assert_int_eq(error, -ENOSPC);
        ck_assert_ptr_nonnull(strstr(fail_sentence(), path));
        OK(directory_create(path, 0, 0));
    }
}
END_TEST

START_TEST(crowd_of_creators_makes_one_log)
{
    enum { CROWD = 8, ROUNDS = 5 };
    for (int round = 0; round < ROUNDS; round++) {
        pid_t children[CROWD];
        int go[2];
        char byte;
        ck_assert_int_eq(pipe(go), 0);
        for (int i = 0; i < CROWD; i++) {
            children[i] = fork();
            if (children[i] == 0) {
                close(go[1]);
                if (read(go[0], &byte, 1) != 0)
                    _exit(2);
                struct directory made;
                if (directory_create(at("c%d/log", round), 0, 65536) < 0 ||
                    directory_open(at("c%d/log", round), true, &made) < 0)
                    _exit(1);
                _exit(made.meta.uuid[0] % 100 + 10);
            }
        }
        close(go[1]);
        int first = support_wait(children[0]);
        ck_assert_int_ge(first, 10);
        for (int i = 1; i < CROWD; i++)
            ck_assert_int_eq(support_wait(children[i]), first);
        close(go[0]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("directory");
    TCase *tests = tcase_create("directory");
    tcase_add_unchecked_fixture(tests, disk_make_base, disk_remove_base);
    tcase_add_checked_fixture(tests, disk_setup, disk_teardown);
    tcase_set_timeout(tests, 120);
    const TTest *const all[] = {created_log_opens_with_its_sizes_and_is_private,
                                create_on_a_log_changes_nothing,
                                create_makes_missing_parents,
                                create_rounds_sizes_and_refuses_absurd_ones,
                                created_logs_differ_in_uuid,
                                nothing_there_is_no_log,
                                empty_directory_is_no_log_and_becomes_one,
                                file_is_no_log,
                                lock_that_is_no_file_is_told_before_a_log_is_made,
                                directory_with_other_things_is_no_log,
                                log_of_somebody_else_may_be_read_but_not_written,
                                lost_meta_is_damage_and_stays_so,
                                spoiled_meta_is_damage,
                                later_version_is_refused_as_such,
                                other_files_among_the_segments_are_none,
                                segments_directory_that_is_none_is_damage,
                                missing_segments_are_damage,
                                symbolic_link_to_a_log_is_followed_but_none_inside,
                                link_that_leads_nowhere_is_no_log,
                                copy_without_a_lock_file_is_a_log,
                                creation_cut_anywhere_is_completed_by_the_next,
                                full_disk_leaves_no_log_and_says_so,
                                crowd_of_creators_makes_one_log};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        tcase_add_test(tests, all[i]);
    tcase_add_loop_test(tests, file_of_the_earlier_library_is_told_from_any_other, 0, 6);
    suite_add_tcase(suite, tests);
    return support_main(suite);
}
