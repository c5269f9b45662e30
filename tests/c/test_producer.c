/* SPDX-License-Identifier: MIT
 *
 * Appending, reserving, waiting: the producer's calls, against a real flusher or none. */
#include "support.h"

#include "region/shm.h"
#include "region/view.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

static shmwal *log_;

static void setup(void)
{
    support_setup();
}

/* Tests that use NO_FLUSHER leave the ring to the teardown's flusher. */
static void teardown(void)
{
    shmwal_close(log_);
    log_ = NULL;
    support_teardown();
}

static uint64_t append(const char *text)
{
    uint64_t lsn = 0;
    SUPPORT_OK(shmwal_append(log_, text, strlen(text), &lsn));
    return lsn;
}

/* All that is durable, each payload on a line. */
static char *contents(void)
{
    static char text[1 << 20];
    shmwal_reader *reader;
    shmwal_record record;
    size_t used = 0;
    SUPPORT_OK(shmwal_reader_open(support_log, 0, &reader));
    int got;
    while ((got = shmwal_reader_next(reader, &record)) == 1)
        used += (size_t)snprintf(text + used, sizeof text - used, "%.*s\n", (int)record.length,
                                 (const char *)record.data);
    SUPPORT_OK(got);
    shmwal_reader_close(reader);
    text[used] = 0;
    return text;
}

START_TEST(append_returns_the_lsn_just_past_the_record)
{
    log_ = support_open(SHMWAL_NO_FLUSHER);
    ck_assert_uint_eq(append("a"), 64);
    ck_assert_uint_eq(append("48 bytes fit beside the sixteen of the header...."), 192);
    ck_assert_uint_eq(shmwal_lsn(log_, SHMWAL_COMMITTED), 192);
    ck_assert_uint_eq(shmwal_reserved_lsn(log_), 192);
    ck_assert_uint_eq(shmwal_lsn(log_, SHMWAL_DURABLE), 0);
}
END_TEST

START_TEST(append_becomes_durable_and_is_read_back)
{
    log_ = support_open(0);
    append("one");
    append("");
    uint64_t lsn = append("three");
    SUPPORT_OK(shmwal_wait(log_, lsn, SHMWAL_DURABLE, 30 * SECONDS));
    ck_assert_uint_ge(shmwal_lsn(log_, SHMWAL_DURABLE), lsn);
    ck_assert_str_eq(contents(), "one\n\nthree\n");
}
END_TEST

START_TEST(append_refuses_bad_arguments_and_keeps_the_handle_usable)
{
    uint64_t lsn = 99;
    log_ = support_open(SHMWAL_NO_FLUSHER);
    ck_assert_int_eq(shmwal_append(NULL, "x", 1, &lsn), -EINVAL);
    ck_assert_int_eq(shmwal_append(log_, NULL, 1, &lsn), -EINVAL);
    ck_assert_int_eq(shmwal_append_typed(log_, "x", 1, 0, &lsn), -EINVAL);
    ck_assert_int_eq(shmwal_append_typed(log_, "x", 1, 256, &lsn), -EINVAL);
    ck_assert_uint_eq(lsn, 99);
    ck_assert_uint_eq(append("x"), 64);
}
END_TEST

START_TEST(calls_refuse_what_is_not_there)
{
    static const uint32_t length = 1;
    shmwal *log;
    shmwal_slot slot;
    shmwal_reader *reader;
    shmwal_record record;
    shmwal_status status = {.size = 3};
    char uuid[37] = "left alone";
    log_ = support_open(SHMWAL_NO_FLUSHER);
    ck_assert_int_eq(shmwal_open(NULL, NULL, &log), -EINVAL);
    ck_assert_int_eq(shmwal_open(support_log, NULL, NULL), -EINVAL);
    ck_assert_int_eq(shmwal_create(NULL, NULL), -EINVAL);
    ck_assert_int_eq(shmwal_stop(NULL, 0), -EINVAL);
    ck_assert_int_eq(shmwal_append_batch(log_, NULL, &length, NULL, 1, 0, NULL, NULL), -EINVAL);
    ck_assert_int_eq(shmwal_append_batch(log_, "x", NULL, NULL, 1, 0, NULL, NULL), -EINVAL);
    ck_assert_int_eq(
        shmwal_append_batch(log_, "x", &length, (const uint8_t[]){0}, 1, 0, NULL, NULL), -EINVAL);
    SUPPORT_OK(shmwal_append_batch(log_, "x", &length, NULL, 1, 0, NULL, NULL));
    ck_assert_int_eq(shmwal_reserve(NULL, 1, &slot), -EINVAL);
    ck_assert_int_eq(shmwal_reserve(log_, 1, NULL), -EINVAL);
    ck_assert_int_eq(shmwal_reserve(log_, 32 * 1024, &slot), -EMSGSIZE);
    SUPPORT_OK(shmwal_reserve(log_, 1, &slot));
    ck_assert_int_eq(shmwal_commit(NULL, &slot, NULL), -EINVAL);
    ck_assert_int_eq(shmwal_commit(log_, NULL, NULL), -EINVAL);
    slot.type = 0;
    ck_assert_int_eq(shmwal_commit(log_, &slot, NULL), -EINVAL);
    slot.type = 256;
    ck_assert_int_eq(shmwal_commit(log_, &slot, NULL), -EINVAL);
    SUPPORT_OK(shmwal_discard(log_, &slot)); /* whatever its type has become */
    ck_assert_uint_eq(shmwal_lsn(NULL, SHMWAL_DURABLE), 0);
    ck_assert_uint_eq(shmwal_lsn(log_, SHMWAL_REPLICATED), 0);
    ck_assert_uint_eq(shmwal_reserved_lsn(NULL), 0);
    ck_assert_str_eq(shmwal_path(NULL), "");
    shmwal_uuid(NULL, uuid);
    ck_assert_uint_lt(strlen(uuid), 36);
    ck_assert_int_eq(shmwal_get_status(NULL, &status), -EINVAL);
    ck_assert_int_eq(shmwal_get_status(support_log, NULL), -EINVAL);
    ck_assert_int_eq(shmwal_get_status(support_log, &status), -EINVAL);
    SUPPORT_OK(shmwal_reader_open(support_log, 0, &reader));
    ck_assert_int_eq(shmwal_reader_next_batch(NULL, &record, 1), -EINVAL);
    ck_assert_int_eq(shmwal_reader_next_batch(reader, NULL, 1), -EINVAL);
    shmwal_reader_close(reader);
}
END_TEST

START_TEST(append_larger_than_the_ring_can_take_is_refused)
{
    static char large[64 * 1024];
    uint64_t lsn = 99;
    log_ = support_open(0);
    ck_assert_int_eq(shmwal_append(log_, large, sizeof large, &lsn), -EMSGSIZE);
    ck_assert_ptr_nonnull(strstr(shmwal_error(), "ring_bytes"));
    ck_assert_uint_eq(lsn, 99);
    SUPPORT_OK(shmwal_append(log_, large, 32 * 1024 - 16, &lsn)); /* just half the ring */
    ck_assert_int_eq(shmwal_append(log_, large, 32 * 1024 - 15, NULL), -EMSGSIZE);
    SUPPORT_OK(shmwal_wait(log_, lsn, SHMWAL_DURABLE, 30 * SECONDS));
}
END_TEST

/* The shared state, as somebody sees it who does not append. */
static struct directory directory;
static struct region_view view;

static void open_view(void)
{
    SUPPORT_OK(directory_open(support_log, false, &directory));
    SUPPORT_OK(region_view_open(&directory, &view));
}

static void close_view(void)
{
    region_view_close(&view);
    directory_close(&directory);
}

static void fill_the_ring(void)
{
    char bytes[1000] = {0};
    int error = 0;
    while (error == 0)
        error = shmwal_append_for(log_, bytes, sizeof bytes, SHMWAL_BYTES, 0, NULL);
    ck_assert_int_eq(error, -EAGAIN);
}

START_TEST(append_to_a_full_ring_fails_at_once_or_in_time)
{
    char bytes[1000] = {0};
    log_ = support_open(SHMWAL_NO_FLUSHER);
    fill_the_ring();
    uint64_t end = shmwal_reserved_lsn(log_);
    ck_assert_int_eq(shmwal_append_for(log_, bytes, sizeof bytes, 1, 1000000, NULL), -ETIMEDOUT);
    ck_assert_uint_eq(shmwal_reserved_lsn(log_), end);
}
END_TEST

/* The flusher stands still until somebody already waits for room. */
START_TEST(append_to_a_full_ring_goes_on_when_there_is_room)
{
    char bytes[1000] = {0};
    uint64_t lsn;
    log_ = support_open(0);
    open_view();
    pid_t flusher = atomic_load(&view.state->pid);
    kill(flusher, SIGSTOP);
    fill_the_ring();
    uint32_t wakes = atomic_load(&view.state->room_sequence);
    pid_t child = fork();
    if (child == 0) {
        while (atomic_load(&view.control->room_wanted) == 0)
            usleep(1000);
        _exit(kill(flusher, SIGCONT) == 0 ? 0 : 1);
    }
    SUPPORT_OK(shmwal_append_for(log_, bytes, sizeof bytes, 1, 60 * SECONDS, &lsn));
    ck_assert_int_eq(support_wait(child), 0);
    SUPPORT_OK(shmwal_wait(log_, lsn, SHMWAL_DURABLE, 60 * SECONDS));
    ck_assert_uint_gt(atomic_load(&view.state->room_sequence), wakes); /* it was woken for it */
    close_view();
}
END_TEST

START_TEST(reserve_commit_and_discard_do_what_they_say)
{
    shmwal_slot one, two, three;
    uint64_t lsn;
    log_ = support_open(0);
    SUPPORT_OK(shmwal_reserve(log_, 5, &one));
    SUPPORT_OK(shmwal_reserve(log_, 5, &two));
    SUPPORT_OK(shmwal_reserve(log_, 5, &three));
    ck_assert_uint_eq((uintptr_t)one.data % 16, 0);
    memcpy(one.data, "first", 5);
    memcpy(two.data, "never", 5);
    memcpy(three.data, "third", 5);
    SUPPORT_OK(shmwal_commit(log_, &three, &lsn));
    ck_assert_uint_eq(shmwal_lsn(log_, SHMWAL_COMMITTED), 0);
    SUPPORT_OK(shmwal_discard(log_, &two));
    SUPPORT_OK(shmwal_commit(log_, &one, NULL));
    SUPPORT_OK(shmwal_wait(log_, lsn, SHMWAL_COMMITTED, 0));
    SUPPORT_OK(shmwal_wait(log_, lsn, SHMWAL_DURABLE, 30 * SECONDS));
    ck_assert_str_eq(contents(), "first\nthird\n");
}
END_TEST

START_TEST(commit_of_a_slot_that_is_not_reserved_is_refused)
{
    shmwal_slot slot, copy;
    log_ = support_open(SHMWAL_NO_FLUSHER);
    shmwal *other = support_open(SHMWAL_NO_FLUSHER);
    SUPPORT_OK(shmwal_reserve(log_, 5, &slot));
    copy = slot;
    ck_assert_int_eq(shmwal_commit(other, &slot, NULL), -EINVAL);
    copy.length = 5000;
    ck_assert_int_eq(shmwal_commit(log_, &copy, NULL), -EINVAL);
    copy = slot;
    copy.type = 0;
    ck_assert_int_eq(shmwal_commit(log_, &copy, NULL), -EINVAL);
    copy = slot;
    SUPPORT_OK(shmwal_commit(log_, &slot, NULL));
    ck_assert_int_eq(shmwal_commit(log_, &slot, NULL), -EINVAL);
    ck_assert_int_eq(shmwal_discard(log_, &copy), -EINVAL);
    shmwal_close(other);
}
END_TEST

/* Its memory may have been given to somebody else by then. */
START_TEST(commit_of_a_copied_slot_touches_nothing)
{
    shmwal_slot slot, copy;
    shmwal_reader *reader;
    shmwal_record record;
    log_ = support_open(SHMWAL_NO_FLUSHER);
    SUPPORT_OK(shmwal_reserve(log_, 5, &slot));
    memcpy(slot.data, "first", 5);
    copy = slot;
    SUPPORT_OK(shmwal_commit(log_, &slot, NULL));
    copy.type = SHMWAL_JSON;
    ck_assert_int_eq(shmwal_commit(log_, &copy, NULL), -EINVAL);
    shmwal *other = support_open(0);
    SUPPORT_OK(shmwal_wait(other, 64, SHMWAL_DURABLE, 60 * SECONDS));
    SUPPORT_OK(shmwal_reader_open(support_log, 0, &reader));
    ck_assert_int_eq(shmwal_reader_next(reader, &record), 1);
    ck_assert_uint_eq(record.type, SHMWAL_BYTES);
    shmwal_reader_close(reader);
    shmwal_close(other);
}
END_TEST

START_TEST(batch_appends_in_order_and_says_how_far_it_came)
{
    uint32_t lengths[] = {3, 0, 5, 1 << 20, 1};
    uint8_t types[] = {SHMWAL_BYTES, SHMWAL_TEXT, SHMWAL_JSON, SHMWAL_BYTES, SHMWAL_BYTES};
    uint64_t lsn = 0;
    size_t appended = 99;
    log_ = support_open(0);
    SUPPORT_OK(shmwal_append_batch(log_, "onethree", lengths, types, 3, -1, &lsn, &appended));
    ck_assert_uint_eq(appended, 3);
    ck_assert_uint_eq(lsn, 192);
    ck_assert_int_eq(shmwal_append_batch(log_, "onethree", lengths, types, 5, -1, NULL, &appended),
                     -EMSGSIZE);
    ck_assert_uint_eq(appended, 3);
    SUPPORT_OK(shmwal_wait(log_, 384, SHMWAL_DURABLE, 30 * SECONDS));
    ck_assert_str_eq(contents(), "one\n\nthree\none\n\nthree\n");
}
END_TEST

START_TEST(empty_record_needs_no_data)
{
    log_ = support_open(0);
    SUPPORT_OK(shmwal_append(log_, NULL, 0, NULL));
    SUPPORT_OK(shmwal_wait(log_, 64, SHMWAL_DURABLE, 30 * SECONDS));
    ck_assert_str_eq(contents(), "\n");
}
END_TEST

/* The time is over when its second part comes; but there is room, and nothing to wait for. For the
 * third there is none. */
START_TEST(batch_whose_time_is_over_still_takes_the_room_there_is)
{
    static const uint32_t lengths[] = {25000, 25000, 25000};
    static char data[75000];
    size_t appended;
    log_ = support_open(SHMWAL_NO_FLUSHER);
    ck_assert_int_eq(shmwal_append_batch(log_, data, lengths, NULL, 3, 1, NULL, &appended),
                     -ETIMEDOUT);
    ck_assert_uint_eq(appended, 2);
}
END_TEST

START_TEST(batch_larger_than_the_ring_waits_for_room_as_it_goes)
{
    enum { COUNT = 2000 };
    static char data[COUNT * 100];
    static uint32_t lengths[COUNT];
    uint64_t lsn;
    for (int i = 0; i < COUNT; i++)
        lengths[i] = 100;
    log_ = support_open(0);
    SUPPORT_OK(shmwal_append_batch(log_, data, lengths, NULL, COUNT, 60 * SECONDS, &lsn, NULL));
    ck_assert_uint_eq(lsn, COUNT * 128);
    SUPPORT_OK(shmwal_wait(log_, lsn, SHMWAL_DURABLE, 60 * SECONDS));
}
END_TEST

START_TEST(wait_refuses_what_can_never_come)
{
    log_ = support_open(SHMWAL_NO_FLUSHER);
    uint64_t lsn = append("x");
    ck_assert_int_eq(shmwal_wait(log_, lsn, SHMWAL_DURABLE, 0), -ETIMEDOUT);
    ck_assert_int_eq(shmwal_wait(log_, lsn, SHMWAL_DURABLE, 1000000), -ETIMEDOUT);
    ck_assert_int_eq(shmwal_wait(log_, lsn + 1, SHMWAL_DURABLE, -1), -EINVAL);
    ck_assert_int_eq(shmwal_wait(log_, lsn, SHMWAL_REPLICATED, -1), -ENOTSUP);
    ck_assert_int_eq(shmwal_wait(log_, lsn, (shmwal_level)9, -1), -EINVAL);
    ck_assert_int_eq(shmwal_wait(log_, 0, SHMWAL_DURABLE, 0), 0);
}
END_TEST

START_TEST(closed_handles_open_reservation_becomes_a_filler)
{
    shmwal_slot slot;
    uint64_t lsn;
    log_ = support_open(0);
    shmwal *other = support_open(0);
    SUPPORT_OK(shmwal_reserve(other, 5, &slot));
    lsn = append("behind it");
    ck_assert_int_eq(shmwal_wait(log_, lsn, SHMWAL_DURABLE, 20000000), -ETIMEDOUT);
    shmwal_close(other);
    SUPPORT_OK(shmwal_wait(log_, lsn, SHMWAL_DURABLE, 30 * SECONDS));
    ck_assert_str_eq(contents(), "behind it\n");
}
END_TEST

/* ---- Forks ---- */

START_TEST(forked_child_appends_through_its_parents_handle)
{
    log_ = support_open(0);
    append("parent");
    pid_t child = fork();
    if (child == 0) {
        uint64_t lsn;
        _exit(shmwal_append(log_, "child", 5, &lsn) == 0 &&
                      shmwal_wait(log_, lsn, SHMWAL_DURABLE, 30 * SECONDS) == 0
                  ? 0
                  : 1);
    }
    ck_assert_int_eq(support_wait(child), 0);
    append("parent again");
    SUPPORT_OK(shmwal_wait(log_, shmwal_reserved_lsn(log_), SHMWAL_DURABLE, 30 * SECONDS));
    ck_assert_str_eq(contents(), "parent\nchild\nparent again\n");
}
END_TEST

START_TEST(forked_child_that_closes_leaves_its_parent_attached)
{
    log_ = support_open(0);
    pid_t child = fork();
    if (child == 0)
        _exit(shmwal_close(log_) == 0 ? 0 : 1);
    ck_assert_int_eq(support_wait(child), 0);
    append("still here");
    SUPPORT_OK(shmwal_wait(log_, 64, SHMWAL_DURABLE, 30 * SECONDS));
}
END_TEST

START_TEST(slot_reserved_before_a_fork_belongs_to_the_parent)
{
    shmwal_slot slot;
    log_ = support_open(0);
    SUPPORT_OK(shmwal_reserve(log_, 1, &slot));
    pid_t child = fork();
    if (child == 0)
        _exit(shmwal_commit(log_, &slot, NULL) == -EINVAL ? 0 : 1);
    ck_assert_int_eq(support_wait(child), 0);
    *(char *)slot.data = 'p';
    SUPPORT_OK(shmwal_commit(log_, &slot, NULL));
    SUPPORT_OK(shmwal_wait(log_, 64, SHMWAL_DURABLE, 30 * SECONDS));
    ck_assert_str_eq(contents(), "p\n");
}
END_TEST

/* Fork while other threads of the parent are in the middle of appends, again and again. */
static _Atomic int stop_appending;

static void *append_until_told(void *unused)
{
    while (!atomic_load(&stop_appending))
        if (shmwal_append(log_, "thread", 6, NULL) < 0)
            abort();
    return unused;
}

START_TEST(forked_children_of_a_busy_process_work)
{
    pthread_t threads[2];
    log_ = support_open(0);
    atomic_store(&stop_appending, 0);
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, append_until_told, NULL);
    for (int i = 0; i < 50; i++) {
        pid_t child = fork();
        if (child == 0) {
            int error = shmwal_append(log_, "child", 5, NULL);
            _exit(error == 0 ? 0 : -error);
        }
        ck_assert_int_eq(support_wait(child), 0);
    }
    atomic_store(&stop_appending, 1);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    SUPPORT_OK(shmwal_wait(log_, shmwal_reserved_lsn(log_), SHMWAL_DURABLE, 60 * SECONDS));
}
END_TEST

static void wait_in_handler(int number)
{
    (void)number;
    if (shmwal_append(log_, "handler", 7, NULL) < 0)
        abort();
}

START_TEST(append_works_in_a_signal_handler)
{
    log_ = support_open(0);
    append("first");
    signal(SIGUSR1, wait_in_handler);
    raise(SIGUSR1);
    SUPPORT_OK(shmwal_wait(log_, shmwal_reserved_lsn(log_), SHMWAL_DURABLE, 30 * SECONDS));
    ck_assert_str_eq(contents(), "first\nhandler\n");
}
END_TEST

/* ---- Opening ---- */

START_TEST(open_refuses_what_is_no_log)
{
    shmwal *log = (shmwal *)8;
    shmwal_options options = SHMWAL_OPTIONS_INIT;
    char path[100];
    options.flags = SHMWAL_NO_CREATE;
    ck_assert_int_eq(shmwal_open(support_log, &options, &log), -ENOENT);
    ck_assert_ptr_eq(log, (shmwal *)8);
    snprintf(path, sizeof path, "%s/file", support_directory);
    fclose(fopen(path, "w"));
    ck_assert_int_eq(shmwal_open(path, NULL, &log), -ENOTDIR);
    ck_assert_ptr_nonnull(strstr(shmwal_error(), path));
    ck_assert_int_eq(shmwal_open(support_directory, NULL, &log), -ENOTEMPTY);
    options.flags = 1u << 31;
    ck_assert_int_eq(shmwal_open(support_log, &options, &log), -EINVAL);
    options = (shmwal_options)SHMWAL_OPTIONS_INIT;
    options.size = 8;
    ck_assert_int_eq(shmwal_open(support_log, &options, &log), -EINVAL);
    options = (shmwal_options)SHMWAL_OPTIONS_INIT;
    options.ring_bytes = 1;
    ck_assert_int_eq(shmwal_open(support_log, &options, &log), -EINVAL);
    ck_assert_ptr_nonnull(strstr(shmwal_error(), "ring"));
    options = (shmwal_options)SHMWAL_OPTIONS_INIT;
    options.full_timeout_ns = -2;
    ck_assert_int_eq(shmwal_open(support_log, &options, &log), -EINVAL);
    ck_assert_ptr_nonnull(strstr(shmwal_error(), "full_timeout_ns"));
    ck_assert_int_eq(shmwal_create(support_log, &options), -EINVAL);
}
END_TEST

/* A program that was compiled before a field came has none of its bytes: they are neither read nor
 * written. A size that no version had is a mistake. */
START_TEST(options_and_status_of_an_older_program_are_taken_as_they_are)
{
    struct {
        shmwal_options options;
        char behind[8];
    } given = {.options = support_options(0)};
    struct {
        shmwal_status status;
        char behind[8];
    } asked, untouched;
    memset(&untouched, 0xA5, sizeof untouched);
    given.options.spare_bytes = UINT64_MAX; /* would be refused, were it looked at */
    given.options.size = offsetof(shmwal_options, spare_bytes);
    SUPPORT_OK(shmwal_open(support_log, &given.options, &log_));
    append("one");

    size_t old = offsetof(shmwal_status, oldest_inner_pid);
    asked = untouched;
    asked.status.size = old;
    SUPPORT_OK(shmwal_get_status(support_log, &asked.status));
    ck_assert_uint_eq(asked.status.size, old);
    ck_assert_uint_eq(asked.status.segment_bytes, given.options.segment_bytes);
    ck_assert_mem_eq((char *)&asked + old, (char *)&untouched + old, sizeof asked - old);
    asked.status.size = sizeof asked.status;
    SUPPORT_OK(shmwal_get_status(support_log, &asked.status));
    ck_assert_uint_eq(asked.status.spare_bytes, 0);
    ck_assert_mem_eq(asked.behind, untouched.behind, sizeof asked.behind);
    for (size_t size = 0; size <= sizeof given; size++) {
        shmwal *other;
        given.options.size = asked.status.size = size;
        if (size != sizeof given.options && size != offsetof(shmwal_options, spare_bytes))
            ck_assert_int_eq(shmwal_open(support_log, &given.options, &other), -EINVAL);
        if (size != sizeof asked.status && size != old)
            ck_assert_int_eq(shmwal_get_status(support_log, &asked.status), -EINVAL);
    }
}
END_TEST

START_TEST(open_says_which_flusher_it_could_not_start)
{
    shmwal *log;
    setenv("DURALOG_FLUSHER", "/does/not/exist", 1);
    ck_assert_int_eq(shmwal_open(support_log, NULL, &log), -ENOEXEC);
    ck_assert_ptr_nonnull(strstr(shmwal_error(), "/does/not/exist"));
    unsetenv("DURALOG_FLUSHER");
    support_find_flusher();
}
END_TEST

/* In a mount namespace of its own, so that nobody else's /dev/shm is touched. */
START_TEST(open_says_that_dev_shm_is_full)
{
    pid_t child = fork();
    if (child == 0) {
        shmwal *log;
        if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
            mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("tmpfs", "/dev/shm", "tmpfs", 0, "size=256k") < 0)
            _exit(77);
        shmwal_options options = support_options(SHMWAL_NO_FLUSHER);
        options.ring_bytes = 1 << 20;
        if (shmwal_open(support_log, &options, &log) != -ENOSPC)
            _exit(1);
        if (strstr(shmwal_error(), "/dev/shm has no room") == NULL)
            _exit(2);
        /* And with room it works: nothing of the failed attempt is in the way. */
        if (mount("tmpfs", "/dev/shm", "tmpfs", MS_REMOUNT, "size=16m") < 0)
            _exit(3);
        _exit(shmwal_open(support_log, &options, &log) == 0 ? 0 : 4);
    }
    int status = support_wait(child);
    ck_assert_msg(status == 0 || status == 77, "exit %d", status);
}
END_TEST

static const struct size_limit {
    bool exists; /* the log, so that only its ring is to be made */
    rlim_t bytes;
} size_limits[] = {{false, 0}, {false, 4096}, {true, 4096}};

/* The signal that goes with the error, and would end the program, does not come; but for what the
 * program writes itself it does. */
START_TEST(open_beyond_the_limit_on_the_size_of_files_is_an_error_and_no_signal)
{
    const struct size_limit *test = &size_limits[_i];
    if (test->exists)
        SUPPORT_OK(shmwal_create(support_log, NULL));
    pid_t child = fork();
    if (child == 0) {
        shmwal *log;
        struct rlimit limit;
        getrlimit(RLIMIT_FSIZE, &limit);
        limit.rlim_cur = test->bytes;
        signal(SIGXFSZ, SIG_DFL);
        if (setrlimit(RLIMIT_FSIZE, &limit) < 0 || shmwal_open(support_log, NULL, &log) != -EFBIG)
            _exit(1);
        if (strstr(shmwal_error(), "RLIMIT_FSIZE") == NULL)
            _exit(2);
        int fd = open(support_directory, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
        _exit(pwrite(fd, "x", 1, (off_t)test->bytes) == 1 ? 3 : 4);
    }
    ck_assert_int_eq(support_wait(child), -SIGXFSZ);
}
END_TEST

START_TEST(open_refuses_a_log_of_somebody_else)
{
    if (geteuid() != 0)
        return;
    shmwal *log;
    SUPPORT_OK(shmwal_create(support_log, NULL));
    ck_assert_int_eq(chmod(support_directory, 0755), 0);
    pid_t child = fork();
    if (child == 0) {
        if (setgid(65534) < 0 || setuid(65534) < 0)
            _exit(77);
        _exit(shmwal_open(support_log, NULL, &log) == -EACCES ? 0 : 1);
    }
    ck_assert_int_eq(support_wait(child), 0);
    ck_assert_int_eq(chown(support_log, 65534, 65534), 0);
    ck_assert_int_eq(shmwal_open(support_log, NULL, &log), -EACCES); /* not even root */
    ck_assert_ptr_nonnull(strstr(shmwal_error(), "65534"));
    ck_assert_int_eq(chown(support_log, 0, 0), 0);
}
END_TEST

/* The parent of this test has a SIGCHLD handler and reaps everything it can. */
static _Atomic int children_seen;

static void on_child(int number)
{
    (void)number;
    atomic_fetch_add(&children_seen, 1);
}

START_TEST(starting_a_flusher_shows_the_program_no_child)
{
    signal(SIGCHLD, on_child);
    log_ = support_open(0);
    ck_assert_int_eq(atomic_load(&children_seen), 0);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
    ck_assert_int_eq(errno, ECHILD);
    signal(SIGCHLD, SIG_DFL);
}
END_TEST

/* Stands in for the flusher: leaves a line for each start, then becomes it. */
static void count_starts(char tally[100])
{
    char script[100];
    snprintf(script, sizeof script, "%s/counting-flusher", support_directory);
    snprintf(tally, 100, "%s/starts", support_directory);
    FILE *file = fopen(script, "w");
    ck_assert_ptr_nonnull(file);
    fprintf(file, "#!/bin/sh\necho start >> %s\nexec %s \"$@\"\n", tally,
            getenv("DURALOG_FLUSHER"));
    ck_assert_int_eq(fchmod(fileno(file), 0700), 0);
    fclose(file);
    setenv("DURALOG_FLUSHER", script, 1);
}

START_TEST(a_crowd_of_openers_starts_one_flusher)
{
    enum { CROWD = 12 };
    pid_t children[CROWD];
    char tally[100];
    struct stat starts;
    count_starts(tally);
    for (int i = 0; i < CROWD; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            shmwal *own;
            uint64_t lsn;
            shmwal_options options = support_options(0);
            if (shmwal_open(support_log, &options, &own) == 0 &&
                shmwal_append(own, "x", 1, &lsn) == 0 &&
                shmwal_wait(own, lsn, SHMWAL_DURABLE, 60 * SECONDS) == 0)
                _exit(0);
            fprintf(stderr, "%s\n", shmwal_error());
            _exit(1);
        }
    }
    for (int i = 0; i < CROWD; i++)
        ck_assert_int_eq(support_wait(children[i]), 0);
    log_ = support_open(0);
    ck_assert_uint_eq(shmwal_lsn(log_, SHMWAL_DURABLE), CROWD * 64);
    open_view();
    ck_assert_uint_eq(atomic_load(&view.state->incarnation), 1);
    close_view();
    ck_assert_int_eq(stat(tally, &starts), 0);
    ck_assert_int_eq(starts.st_size, (off_t)strlen("start\n"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("producer");
    TCase *cases = tcase_create("producer");
    tcase_set_timeout(cases, 600);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, append_returns_the_lsn_just_past_the_record);
    tcase_add_test(cases, append_becomes_durable_and_is_read_back);
    tcase_add_test(cases, append_refuses_bad_arguments_and_keeps_the_handle_usable);
    tcase_add_test(cases, calls_refuse_what_is_not_there);
    tcase_add_test(cases, append_larger_than_the_ring_can_take_is_refused);
    tcase_add_test(cases, append_to_a_full_ring_fails_at_once_or_in_time);
    tcase_add_test(cases, append_to_a_full_ring_goes_on_when_there_is_room);
    tcase_add_test(cases, reserve_commit_and_discard_do_what_they_say);
    tcase_add_test(cases, commit_of_a_slot_that_is_not_reserved_is_refused);
    tcase_add_test(cases, commit_of_a_copied_slot_touches_nothing);
    tcase_add_test(cases, batch_appends_in_order_and_says_how_far_it_came);
    tcase_add_test(cases, empty_record_needs_no_data);
    tcase_add_test(cases, batch_whose_time_is_over_still_takes_the_room_there_is);
    tcase_add_test(cases, batch_larger_than_the_ring_waits_for_room_as_it_goes);
    tcase_add_test(cases, wait_refuses_what_can_never_come);
    tcase_add_test(cases, closed_handles_open_reservation_becomes_a_filler);
    tcase_add_test(cases, forked_child_appends_through_its_parents_handle);
    tcase_add_test(cases, forked_child_that_closes_leaves_its_parent_attached);
    tcase_add_test(cases, slot_reserved_before_a_fork_belongs_to_the_parent);
    tcase_add_test(cases, forked_children_of_a_busy_process_work);
    tcase_add_test(cases, append_works_in_a_signal_handler);
    tcase_add_test(cases, open_refuses_what_is_no_log);
    tcase_add_test(cases, options_and_status_of_an_older_program_are_taken_as_they_are);
    tcase_add_test(cases, open_says_which_flusher_it_could_not_start);
    tcase_add_test(cases, open_says_that_dev_shm_is_full);
    tcase_add_loop_test(cases, open_beyond_the_limit_on_the_size_of_files_is_an_error_and_no_signal,
                        0, sizeof size_limits / sizeof *size_limits);
    tcase_add_test(cases, open_refuses_a_log_of_somebody_else);
    tcase_add_test(cases, starting_a_flusher_shows_the_program_no_child);
    tcase_add_test(cases, a_crowd_of_openers_starts_one_flusher);
    suite_add_tcase(suite, cases);
    return support_main(suite);
}
