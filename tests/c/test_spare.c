/* SPDX-License-Identifier: MIT
 * LDFLAGS: -Wl,--wrap=pthread_create,--wrap=clock_gettime
 *
 * Spare files, by themselves: what is not made, not taken over and not left behind. What a store
 * does with them is test_store.c's. */
#include "disk.h"
#include "store/spare.h"
#include "sys/clock.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>

static int threads_refused; /* so many are still to be */
static unsigned threads_asked;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                          void *argument)
{
    threads_asked++;
    if (threads_refused > 0) {
        threads_refused--;
        return EAGAIN;
    }
    return __real_pthread_create(thread, attributes, run, argument);
}

static time_t later_s; /* by so much the clock is ahead */

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    int result = __real_clock_gettime(clock, now);
    now->tv_sec += later_s;
    return result;
}

/* ---- Files ---- */

static const char *path_of(const char *name)
{
    static char path[160];
    snprintf(path, sizeof path, "%s/segments/%s", support_log, name);
    return path;
}

/* Those whose names end so. */
static unsigned count_files(const char *suffix)
{
    DIR *stream = opendir(path_of("."));
    unsigned files = 0;
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;)
        files += strcmp(strrchr(entry->d_name, '.'), suffix) == 0;
    closedir(stream);
    return files;
}

static struct spare *begin(uint64_t bytes, unsigned kept)
{
    struct spare *spare = spare_open(disk.segments_fd, bytes, kept);
    ck_assert_ptr_nonnull(spare);
    return spare;
}

static void await(struct spare *spare, enum spare_kind kind)
{
    while (spare_ready(spare) != kind)
        sched_yield();
}

/* ---- How many ---- */

START_TEST(spares_are_counted_up_to_a_limit)
{
    ck_assert_uint_eq(spare_count(0, 65536), 0);
    ck_assert_uint_eq(spare_count(65537, 65536), 2);
    ck_assert_uint_eq(spare_count(UINT64_C(65536) * SPARES_MAX, 65536), SPARES_MAX);
    ck_assert_uint_eq(spare_count(UINT64_C(1) << 60, 65536), SPARES_MAX);
}
END_TEST

/* ---- Not taken over ---- */

/* It is whole by all that can be seen from outside: but it is a link, or of another name. */
START_TEST(file_that_is_no_spare_is_not_taken_over)
{
    static const char zeros[DISK_SEGMENT_BYTES];
    int fd = open(path_of("7.spare"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    ck_assert_int_eq(write(fd, zeros, sizeof zeros), (ssize_t)sizeof zeros);
    close(fd);
    ck_assert_int_eq(symlink("7.spare", path_of("8.spare")), 0);
    char path_of_copy[160];
    snprintf(path_of_copy, sizeof path_of_copy, "%s/copy", support_log);
    struct spare *spare = begin(DISK_SEGMENT_BYTES, 2);
    ck_assert(!spare_adopt(spare, "8.spare"));
    ck_assert(!spare_adopt(spare, "9.spare")); /* it has gone since it was listed */
    ck_assert(!spare_adopt(spare, "07.spare"));
    ck_assert(!spare_adopt(spare, "x.spare"));
    ck_assert_int_eq(link(path_of("7.spare"), path_of_copy), 0);
    ck_assert(!spare_adopt(spare, "7.spare")); /* it is a copy's as well */
    ck_assert_int_eq(unlink(path_of_copy), 0);
    ck_assert(spare_adopt(spare, "7.spare"));
    ck_assert_int_eq(spare_ready(spare), SPARE_PREFILLED);
    spare_close(spare);
    spare_close(NULL);
}
END_TEST

/* ---- Not made ---- */

START_TEST(spare_is_made_once_what_is_in_its_way_has_gone)
{
    ck_assert_int_eq(mkdir(path_of("spare.tmp"), 0700), 0);
    struct spare *spare = begin(DISK_SEGMENT_BYTES, 1);
    spare_start(spare, SYNC_FDATASYNC);
    spare_want(spare, SPARE_ALLOCATED);
    ck_assert_int_eq(rmdir(path_of("spare.tmp")), 0);
    await(spare, SPARE_PREFILLED);
    spare_close(spare);
    ck_assert_uint_eq(count_files(".spare"), 1);
}
END_TEST

/* After each failure it rests for twice as long, up to a minute. */
START_TEST(thread_that_cannot_be_started_is_asked_for_ever_more_rarely)
{
    struct spare *spare = begin(DISK_SEGMENT_BYTES, 0);
    threads_refused = 20;
    threads_asked = 0;
    spare_want(spare, SPARE_ALLOCATED);
    spare_want(spare, SPARE_ALLOCATED); /* it rests */
    ck_assert_uint_eq(threads_asked, 1);
    for (unsigned i = 1; i < 20; i++) {
        later_s += 61;
        spare_want(spare, SPARE_ALLOCATED);
        ck_assert_uint_eq(threads_asked, i + 1);
    }
    later_s += 30; /* not yet */
    spare_want(spare, SPARE_ALLOCATED);
    ck_assert_uint_eq(threads_asked, 20);
    later_s += 31;
    spare_want(spare, SPARE_ALLOCATED);
    await(spare, SPARE_ALLOCATED);
    spare_close(spare);
    ck_assert_uint_eq(count_files(".tmp"), 0);
}
END_TEST

/* ---- Not left behind ---- */

/* So large, and in pieces so small while frames come, that hardly any machine finishes it. */
enum { LONG_BYTES = 64 << 20 };

static struct spare *begin_a_long_one(void)
{
    struct spare *spare = begin(LONG_BYTES, 1);
    spare_note_frame(spare);
    spare_start(spare, SYNC_FDATASYNC);
    while (access(path_of("spare.tmp"), F_OK) < 0)
        sched_yield();
    return spare;
}

/* Any file will do, and right now: then it is replaced by a better one, which is not waited for. */
START_TEST(spare_that_was_cut_short_is_not_left_behind)
{
    struct spare *spare = begin_a_long_one();
    spare_want(spare, SPARE_ALLOCATED);
    while (spare_ready(spare) == SPARE_NONE)
        sched_yield();
    spare_close(spare);
    ck_assert_uint_eq(count_files(".tmp"), 0);
}
END_TEST

START_TEST(spare_that_is_being_made_is_not_left_behind)
{
    spare_close(begin_a_long_one());
    ck_assert_uint_eq(count_files(".tmp"), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spare");
    TCase *tests = tcase_create("spare");
    tcase_add_unchecked_fixture(tests, disk_make_base, disk_remove_base);
    tcase_add_checked_fixture(tests, disk_setup, disk_teardown);
    tcase_add_test(tests, spares_are_counted_up_to_a_limit);
    tcase_add_test(tests, file_that_is_no_spare_is_not_taken_over);
    tcase_add_test(tests, spare_is_made_once_what_is_in_its_way_has_gone);
    tcase_add_test(tests, thread_that_cannot_be_started_is_asked_for_ever_more_rarely);
    tcase_add_test(tests, spare_that_was_cut_short_is_not_left_behind);
    tcase_add_test(tests, spare_that_is_being_made_is_not_left_behind);
    suite_add_tcase(suite, tests);
    return support_main(suite);
}
