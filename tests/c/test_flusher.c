/* SPDX-License-Identifier: MIT
 * LDFLAGS: -Wl,--wrap=sys_pwrite_full -Wl,--wrap=sys_allocate -Wl,--wrap=sys_futex_wait_any
 * LDFLAGS: -Wl,--wrap=store_open,--wrap=close
 *
 * The flusher: as a process of its own, and run in a forked child whose writes can be made to
 * fail. */
#include "flusher/flusher.h"
#include "support.h"
#include "sys/fork.h"

#include "region/shm.h"
#include "region/view.h"
#include "sys/futex.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* Older kernels' headers define one that the C library has, too. */
#define sched_param kernel_sched_param
#include <linux/sched/types.h>
#undef sched_param

/* ---- Failing writes: shared with the child that flushes. ---- */

struct faults {
    _Atomic int write_errno;    /* of the next writes, 0: none */
    _Atomic int writes_to_fail; /* how many; -1: all */
    _Atomic int allocate_errno;
    _Atomic int close_errno; /* of closes from the chosen one on, which close all the same */
    _Atomic int close_first, closes_to_fail, closes, closes_of_nothing;
    _Atomic int failed;
    /* Writes and the opening of the store wait while the first is not 0; how many do. */
    _Atomic uint32_t hang, hanging;
};
static struct faults *faults;

static void hang_while_told(void)
{
    if (faults == NULL || atomic_load(&faults->hang) == 0)
        return;
    atomic_fetch_add(&faults->hanging, 1);
    sys_futex_wake(&faults->hanging);
    while (atomic_load(&faults->hang) != 0)
        sys_futex_wait(&faults->hang, 1, INT64_MAX);
}

static void await_hanging(void)
{
    while (atomic_load(&faults->hanging) == 0)
        sys_futex_wait(&faults->hanging, 0, INT64_MAX);
}

static void end_hanging(void)
{
    faults->hang = 0;
    sys_futex_wake(&faults->hang);
}

int __real_store_open(const struct directory *directory, uint64_t durable_lsn,
                      struct store **store);
int __wrap_store_open(const struct directory *directory, uint64_t durable_lsn,
                      struct store **store);
int __wrap_store_open(const struct directory *directory, uint64_t durable_lsn, struct store **store)
{
    hang_while_told();
    return __real_store_open(directory, durable_lsn, store);
}

int __real_sys_pwrite_full(int fd, const void *data, size_t length, uint64_t offset, bool durable);
int __wrap_sys_pwrite_full(int fd, const void *data, size_t length, uint64_t offset, bool durable);
int __wrap_sys_pwrite_full(int fd, const void *data, size_t length, uint64_t offset, bool durable)
{
    int error = faults == NULL ? 0 : atomic_load(&faults->write_errno);
    hang_while_told();
    if (error != 0 && atomic_load(&faults->writes_to_fail) != 0) {
        if (atomic_load(&faults->writes_to_fail) > 0)
            atomic_fetch_sub(&faults->writes_to_fail, 1);
        atomic_fetch_add(&faults->failed, 1);
        return -error;
    }
    return __real_sys_pwrite_full(fd, data, length, offset, durable);
}

int __real_sys_allocate(int fd, uint64_t bytes);
int __wrap_sys_allocate(int fd, uint64_t bytes);
int __wrap_sys_allocate(int fd, uint64_t bytes)
{
    int error = faults == NULL ? 0 : atomic_load(&faults->allocate_errno);
    return error != 0 ? -error : __real_sys_allocate(fd, bytes);
}

static bool in_child; /* this is the one that flushes */

int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
    int closed = __real_close(fd);
    if (!in_child || atomic_load(&faults->close_errno) == 0)
        return closed;
    if (closed < 0)
        atomic_fetch_add(&faults->closes_of_nothing, 1);
    int call = atomic_fetch_add(&faults->closes, 1) - atomic_load(&faults->close_first);
    if (call < 0 || call >= atomic_load(&faults->closes_to_fail))
        return closed;
    errno = atomic_load(&faults->close_errno);
    return -1;
}

static _Atomic int sleeps, wakes; /* of this process's threads */

int __real_sys_futex_wait_any(const struct sys_futex_seen *words, uint32_t count,
                              int64_t deadline_ns);
int __wrap_sys_futex_wait_any(const struct sys_futex_seen *words, uint32_t count,
                              int64_t deadline_ns);
int __wrap_sys_futex_wait_any(const struct sys_futex_seen *words, uint32_t count,
                              int64_t deadline_ns)
{
    atomic_fetch_add(&sleeps, 1);
    int woken = __real_sys_futex_wait_any(words, count, deadline_ns);
    if (woken >= 0)
        atomic_fetch_add(&wakes, 1);
    return woken;
}

static shmwal *log_;

static void setup(void)
{
    support_setup();
    faults = mmap(NULL, sizeof *faults, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

static void teardown(void)
{
    shmwal_close(log_);
    log_ = NULL;
    memset((void *)faults, 0, sizeof *faults);
    support_teardown();
    munmap(faults, sizeof *faults);
}

static int open_files(void)
{
    int open = 0;
    for (int fd = 0; fd < 1024; fd++)
        open += fcntl(fd, F_GETFD) >= 0;
    return open;
}

/* A flusher in a child of ours, whose writes the faults rule. Ends by a stop. A byte comes from
 * `answer` when it serves. */
static pid_t begin_to_flush_in_child(int *answer)
{
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        struct flusher flusher;
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that times out leaves none behind */
        in_child = true;
        int files = open_files();
        if (flusher_open(&flusher, support_log, false) < 0 || write(ends[1], "x", 1) != 1)
            _exit(99);
        freopen("/dev/null", "w", stderr);
        stop_on_signals(flusher.region.region.control);
        int error = flusher_run(&flusher);
        flusher_close(&flusher);
        _exit(open_files() != files ? 98 : error < 0 ? 1 : 0);
    }
    close(ends[1]);
    *answer = ends[0];
    return child;
}

/* It serves on return. */
static pid_t flush_in_child(void)
{
    int answer;
    char byte;
    pid_t child = begin_to_flush_in_child(&answer);
    ck_assert_int_eq(read(answer, &byte, 1), 1);
    close(answer);
    return child;
}

static uint64_t append(const char *text)
{
    uint64_t lsn = 0;
    SUPPORT_OK(shmwal_append(log_, text, strlen(text), &lsn));
    return lsn;
}

static void wait_durable(uint64_t lsn)
{
    SUPPORT_OK(shmwal_wait(log_, lsn, SHMWAL_DURABLE, 60 * SECONDS));
}

static shmwal_status status(void)
{
    shmwal_status found = {.size = sizeof found};
    SUPPORT_OK(shmwal_get_status(support_log, &found));
    return found;
}

static uint64_t count_records(void)
{
    shmwal_verification result = {.size = sizeof result};
    SUPPORT_OK(shmwal_verify(support_log, &result, NULL, NULL));
    ck_assert_msg(!result.damaged, "damaged: %s", result.damage.reason);
    return result.records;
}

/* ---- One flusher, whatever happens ---- */

START_TEST(killed_flusher_has_a_successor_that_finds_what_was_committed)
{
    log_ = support_open(0);
    wait_durable(append("before"));
    pid_t first = (pid_t)status().flusher_pid;
    ck_assert_int_gt(first, 0);
    kill(first, SIGKILL);
    uint64_t lsn = append("after");
    wait_durable(lsn);
    ck_assert_int_ne((pid_t)status().flusher_pid, first);
    ck_assert_uint_eq(count_records(), 2);
}
END_TEST

static bool ring_is_there(void)
{
    struct directory directory;
    struct region_view view;
    SUPPORT_OK(directory_open(support_log, true, &directory));
    int error = region_view_open(&directory, &view);
    if (error == 0)
        region_view_close(&view);
    directory_close(&directory);
    ck_assert(error == 0 || error == -ENOENT);
    return error == 0;
}

static void kill_and_close(pid_t flusher)
{
    kill(flusher, SIGKILL);
    ck_assert_int_eq(support_wait(flusher), -SIGKILL);
    SUPPORT_OK(shmwal_close(log_));
    log_ = NULL;
}

START_TEST(stop_removes_what_a_killed_flusher_has_left_once_it_is_durable)
{
    log_ = support_open(SHMWAL_NO_FLUSHER);
    pid_t flusher = flush_in_child();
    kill(flusher, SIGSTOP);
    append("only in the ring");
    kill_and_close(flusher);
    SUPPORT_OK(shmwal_stop(support_log, SECONDS));
    ck_assert(ring_is_there());

    log_ = support_open(SHMWAL_NO_FLUSHER);
    flusher = flush_in_child();
    wait_durable(shmwal_reserved_lsn(log_));
    kill_and_close(flusher);
    ck_assert(ring_is_there());
    SUPPORT_OK(shmwal_stop(support_log, SECONDS));
    ck_assert(!ring_is_there());
    ck_assert_uint_eq(count_records(), 1);
}
END_TEST

/* Each of them shorter than the time after which a waiter looks whether the flusher lives. */
START_TEST(killed_flusher_has_a_successor_though_all_wait_briefly)
{
    static const char data[8192];
    log_ = support_open(0);
    uint64_t lsn = append("before"), end = status().ring_bytes * 2;
    wait_durable(lsn);
    kill((pid_t)status().flusher_pid, SIGKILL);
    lsn = append("after");
    int rc = -ETIMEDOUT, tries = 0;
    while (rc == -ETIMEDOUT && tries++ < 10000)
        rc = shmwal_wait(log_, lsn, SHMWAL_DURABLE, SECONDS / 200);
    SUPPORT_OK(rc);

    kill((pid_t)status().flusher_pid, SIGKILL);
    for (tries = 0; lsn < end && tries < 10000; tries++)
        shmwal_append_for(log_, data, sizeof data, SHMWAL_BYTES, SECONDS / 200, &lsn);
    ck_assert_uint_ge(lsn, end);
}
END_TEST

START_TEST(flusher_killed_again_and_again_loses_nothing)
{
    log_ = support_open(0);
    for (int i = 0; i < 20; i++) {
        for (int j = 0; j < 20; j++)
            append("x");
        uint64_t lsn = append("y");
        pid_t flusher = (pid_t)status().flusher_pid;
        if (flusher > 0) /* 0: killed the last time, after it had served that wait */
            kill(flusher, SIGKILL);
        wait_durable(lsn);
    }
    ck_assert_uint_eq(count_records(), 20 * 21);
}
END_TEST

START_TEST(second_flusher_is_refused)
{
    struct flusher second;
    log_ = support_open(0);
    ck_assert_int_eq(flusher_open(&second, support_log, false), -EBUSY);
    wait_durable(append("x"));
}
END_TEST

START_TEST(all_killed_and_opened_anew_everything_committed_is_there)
{
    pid_t child = fork();
    if (child == 0) {
        log_ = support_open(SHMWAL_NO_FLUSHER);
        for (int i = 0; i < 100; i++)
            append("committed");
        raise(SIGKILL);
    }
    ck_assert_int_eq(support_wait(child), -SIGKILL);
    log_ = support_open(0);
    wait_durable(shmwal_reserved_lsn(log_));
    ck_assert_uint_eq(count_records(), 100);
}
END_TEST

/* ---- Stopping ---- */

START_TEST(stop_drains_and_tells_those_who_stay)
{
    log_ = support_open(0);
    uint64_t lsn = append("x");
    SUPPORT_OK(shmwal_stop(support_log, 60 * SECONDS));
    ck_assert_uint_eq(shmwal_lsn(log_, SHMWAL_DURABLE), lsn);
    ck_assert_int_eq(shmwal_append(log_, "y", 1, NULL), -ESHUTDOWN);
    ck_assert_int_eq(shmwal_wait(log_, lsn, SHMWAL_DURABLE, 0), 0);
    ck_assert_int_eq(status().state, SHMWAL_STATE_STOPPED);
    shmwal *other = support_open(0); /* the next open starts one, and all goes on */
    wait_durable(append("y"));
    shmwal_close(other);
}
END_TEST

START_TEST(flusher_that_is_told_to_stop_while_it_recovers_stops)
{
    int answer;
    log_ = support_open(SHMWAL_NO_FLUSHER);
    append("x");
    faults->hang = 1;
    pid_t flusher = begin_to_flush_in_child(&answer);
    await_hanging();
    ck_assert_int_eq(shmwal_stop(support_log, 0), -ETIMEDOUT);
    end_hanging();
    ck_assert_int_eq(support_wait(flusher), 0);
    close(answer);
    ck_assert_uint_eq(count_records(), 1);
}
END_TEST

START_TEST(stop_of_a_log_without_a_flusher_is_no_error)
{
    log_ = support_open(SHMWAL_NO_FLUSHER);
    SUPPORT_OK(shmwal_stop(support_log, 0));
    ck_assert_int_eq(shmwal_stop(support_directory, 0), -ENOTEMPTY);
}
END_TEST

START_TEST(stopped_log_leaves_no_ring_once_nobody_is_attached)
{
    struct directory directory;
    log_ = support_open(0);
    append("x");
    SUPPORT_OK(shmwal_stop(support_log, 60 * SECONDS));
    SUPPORT_OK(directory_open(support_log, true, &directory));
    int ring_fd = shm_object_open(&directory, SHM_RING, false);
    ck_assert_int_ge(ring_fd, 0); /* we are attached */
    sys_fork_close(ring_fd);
    shmwal_close(log_);
    log_ = NULL;
    ck_assert_int_eq(shm_object_open(&directory, SHM_RING, false), -ENOENT);
    directory_close(&directory);
}
END_TEST

START_TEST(flusher_started_by_an_opener_ends_when_nobody_is_left)
{
    struct directory directory;
    struct region_view view;
    log_ = support_open(0);
    append("x");
    SUPPORT_OK(directory_open(support_log, true, &directory));
    SUPPORT_OK(region_view_open(&directory, &view));
    shmwal_close(log_);
    log_ = NULL;
    ck_assert_int_eq(region_view_wait(&view, 64, INT64_MAX), 0); /* until the view is gone */
    ck_assert(region_view_gone(&view));
    ck_assert_int_eq(shm_object_open(&directory, SHM_STATE, false), -ENOENT);
    ck_assert_uint_eq(count_records(), 1);
    region_view_close(&view);
    directory_close(&directory);
}
END_TEST

/* The slice of an ordinary thread that asks for a short one, or has. On kernels that know no such
 * thing both are alike, whatever they are. */
static uint64_t slice_of(pid_t pid)
{
    struct sched_attr attributes = {0};
    ck_assert_int_eq(syscall(SYS_sched_getattr, pid, &attributes, sizeof attributes, 0), 0);
    return attributes.sched_runtime;
}

START_TEST(flusher_asks_for_short_slices)
{
    int ends[2];
    char byte;
    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        ask_for_short_slices();
        close(ends[1]);
        _exit(read(ends[0], &byte, 1) == 0 ? 0 : 1);
    }
    log_ = support_open(0);
    wait_durable(append("x"));
    while (slice_of(child) != slice_of((pid_t)status().flusher_pid))
        usleep(1000);
    close(ends[0]);
    close(ends[1]);
    ck_assert_int_eq(support_wait(child), 0);
}
END_TEST

/* ---- The dead and the mad ---- */

START_TEST(dead_producers_reservation_becomes_one_filler_of_its_size)
{
    log_ = support_open(0);
    append("before");
    pid_t child = fork();
    if (child == 0) {
        shmwal_slot slot;
        if (shmwal_reserve(log_, 5000, &slot) < 0)
            _exit(1);
        raise(SIGKILL);
    }
    ck_assert_int_eq(support_wait(child), -SIGKILL);
    uint64_t lsn = append("after");
    ck_assert_uint_eq(lsn, 64 + 5056 + 64);
    wait_durable(lsn);
    ck_assert_uint_eq(status().fillers_dead, 1);
    ck_assert_uint_eq(count_records(), 2);
}
END_TEST

START_TEST(stopped_producers_reservation_is_waited_for_and_named)
{
    log_ = support_open(0);
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        shmwal_slot slot;
        if (shmwal_reserve(log_, 1, &slot) < 0 || write(ends[1], "x", 1) != 1)
            _exit(1);
        raise(SIGSTOP);
        *(char *)slot.data = 's';
        _exit(shmwal_commit(log_, &slot, NULL) == 0 ? 0 : 1);
    }
    char byte;
    ck_assert_int_eq(read(ends[0], &byte, 1), 1);
    uint64_t lsn = append("behind");
    ck_assert_int_eq(shmwal_wait(log_, lsn, SHMWAL_DURABLE, SECONDS / 5), -ETIMEDOUT);
    shmwal_status found = status();
    ck_assert_int_eq(found.oldest_pid, child);
    ck_assert_uint_eq(found.oldest_lsn, 0);
    ck_assert(found.oldest_alive);
    ck_assert_uint_gt(found.oldest_age_ms, 0);
    ck_assert_uint_eq(found.fillers_dead, 0);
    kill(child, SIGCONT);
    ck_assert_int_eq(support_wait(child), 0);
    wait_durable(lsn);
    ck_assert_int_eq(status().oldest_pid, 0);
    ck_assert_uint_eq(count_records(), 2);
}
END_TEST

/* A sidecar that sleeps for good must hear of a hole that nobody will finish. */
START_TEST(dead_producers_hole_in_an_idle_sidecar_is_filled_for_those_behind_it)
{
    log_ = support_open(SHMWAL_NO_FLUSHER);
    pid_t flusher = flush_in_child();
    wait_durable(append("before"));
    usleep(2500000); /* until it has sealed, and has no reason to wake by itself */
    pid_t child = fork();
    if (child == 0) {
        shmwal_slot slot;
        if (shmwal_reserve(log_, 1, &slot) < 0)
            _exit(1);
        raise(SIGKILL);
    }
    ck_assert_int_eq(support_wait(child), -SIGKILL);
    append("behind it, and nobody waits");
    while (shmwal_lsn(log_, SHMWAL_DURABLE) < shmwal_reserved_lsn(log_))
        usleep(1000);
    usleep(2500000);
    child = fork();
    if (child == 0) {
        shmwal_slot slot;
        if (shmwal_reserve(log_, 1, &slot) < 0)
            _exit(1);
        raise(SIGKILL);
    }
    ck_assert_int_eq(support_wait(child), -SIGKILL);
    wait_durable(shmwal_reserved_lsn(log_)); /* nothing is behind it, and somebody waits */
    ck_assert_int_eq(kill(flusher, SIGTERM), 0);
    ck_assert_int_eq(support_wait(flusher), 0);
}
END_TEST

/* It is looked at again and again, at growing intervals: neither believed nor spun upon. */
START_TEST(header_that_was_stored_over_is_looked_at_with_patience)
{
    struct flusher flusher;
    struct region producer;
    uint64_t lsn;
    SUPPORT_OK(shmwal_create(support_log, NULL));
    SUPPORT_OK(flusher_open(&flusher, support_log, false));
    SUPPORT_OK(region_attach(&flusher.directory, 0, &producer));
    ck_assert(!orphan_resolve(&flusher));
    ck_assert_uint_eq(flusher.open_looks, 0);
    for (int i = 0; i < 2; i++) /* the second one completes the first one's header */
        ck_assert_int_eq(ring_reserve(&producer.ring, producer.attachment, 64, &lsn), 0);
    producer.ring.headers[0].AO_val1 = UINT64_C(0x1234567890) * 64 + RING_COMMITTED;
    for (uint32_t looks = 1; looks <= 3; looks++) {
        gather(&flusher);
        ck_assert_uint_eq(flusher.gathered, 0);
        ck_assert(!orphan_resolve(&flusher));
        ck_assert_uint_eq(flusher.open_looks, looks);
    }
    shm_remove(&flusher.directory);
    region_detach(&producer);
    flusher_close(&flusher);
}
END_TEST

START_TEST(record_that_does_not_validate_becomes_a_counted_filler)
{
    shmwal_slot slot;
    log_ = support_open(SHMWAL_NO_FLUSHER);
    append("good");
    SUPPORT_OK(shmwal_reserve(log_, 4, &slot));
    memcpy(slot.data, "good", 4);
    SUPPORT_OK(shmwal_commit(log_, &slot, NULL));
    memcpy(slot.data, "evil", 4); /* behind the commit, as a stray store does it */
    uint64_t lsn = append("good");
    shmwal *other = support_open(0);
    wait_durable(lsn);
    ck_assert_uint_eq(status().fillers_invalid, 1);
    ck_assert_uint_eq(count_records(), 2);
    shmwal_close(other);
}
END_TEST

/* Valid in all but that it says it is a filler: only the flusher writes those. */
START_TEST(record_that_says_it_is_a_filler_is_no_record)
{
    shmwal_slot slot;
    log_ = support_open(SHMWAL_NO_FLUSHER);
    SUPPORT_OK(shmwal_reserve(log_, 4, &slot));
    memcpy(slot.data, "good", 4);
    SUPPORT_OK(shmwal_commit(log_, &slot, NULL));
    struct record_header *record = (struct record_header *)slot.data - 1;
    record->type = RECORD_FILLER;
    record->checksum = record_checksum(record, slot.data, 0);
    uint64_t lsn = append("good");
    shmwal *other = support_open(0);
    wait_durable(lsn);
    ck_assert_uint_eq(status().fillers_invalid, 1);
    ck_assert_uint_eq(count_records(), 1);
    shmwal_close(other);
}
END_TEST

/* No frame would have room for it: it is given up, and what stands behind it is taken. */
START_TEST(extent_longer_than_any_record_is_not_taken)
{
    struct flusher flusher;
    struct region producer;
    uint64_t lsn;
    shmwal_options small = support_options(0);
    SUPPORT_OK(shmwal_create(support_log, &small));
    SUPPORT_OK(flusher_open(&flusher, support_log, false));
    SUPPORT_OK(region_attach(&flusher.directory, 0, &producer));
    uint64_t spans[] = {flusher.span_max + RING_UNIT, RING_UNIT};
    for (int i = 0; i < 2; i++) {
        SUPPORT_OK(ring_reserve(&producer.ring, producer.attachment, spans[i], &lsn));
        ck_assert(ring_finish(&producer.ring, producer.attachment, lsn, spans[i], RING_DISCARDED));
    }
    gather(&flusher);
    ck_assert_uint_eq(flusher.gathered, 0);
    while (flusher.gathered < spans[0] + spans[1]) {
        orphan_resolve(&flusher);
        gather(&flusher);
    }
    ck_assert_uint_eq(flusher.records, 3); /* fillers: no longer than a record may be */
    shm_remove(&flusher.directory);
    region_detach(&producer);
    flusher_close(&flusher);
}
END_TEST

/* ---- The device ---- */

START_TEST(write_that_fails_once_is_rehomed_and_nobody_notices)
{
    log_ = support_open(SHMWAL_NO_FLUSHER);
    pid_t flusher = flush_in_child();
    wait_durable(append("before"));
    atomic_store(&faults->writes_to_fail, 1);
    atomic_store(&faults->write_errno, EIO);
    wait_durable(append("through a failure"));
    ck_assert_int_eq(atomic_load(&faults->failed), 1);
    wait_durable(append("after"));
    ck_assert_int_eq(kill(flusher, SIGTERM), 0);
    ck_assert_int_eq(support_wait(flusher), 0);
    ck_assert_uint_eq(count_records(), 3);
}
END_TEST

START_TEST(device_that_fails_for_good_freezes_the_log_until_a_flusher_is_started_anew)
{
    log_ = support_open(SHMWAL_NO_FLUSHER);
    pid_t flusher = flush_in_child();
    uint64_t before = append("before");
    wait_durable(before);
    atomic_store(&faults->writes_to_fail, -1);
    atomic_store(&faults->write_errno, EIO);
    uint64_t lsn = append("not durable");
    ck_assert_int_eq(shmwal_wait(log_, lsn, SHMWAL_DURABLE, 60 * SECONDS), -EIO);
    ck_assert_int_eq(shmwal_append(log_, "x", 1, NULL), -EIO);
    ck_assert_uint_eq(shmwal_lsn(log_, SHMWAL_DURABLE), before);
    ck_assert_int_eq(status().state, SHMWAL_STATE_FROZEN);
    ck_assert_int_eq(status().device_errno, EIO);
    atomic_store(&faults->write_errno, 0); /* the device is well, but nothing thaws by itself */
    ck_assert_int_eq(shmwal_append(log_, "x", 1, NULL), -EIO);
    ck_assert_int_eq(kill(flusher, SIGTERM), 0);
    ck_assert_int_eq(support_wait(flusher), 1);
    flusher = flush_in_child();
    wait_durable(lsn); /* the ring still had it */
    ck_assert_int_eq(kill(flusher, SIGTERM), 0);
    ck_assert_int_eq(support_wait(flusher), 0);
    ck_assert_uint_eq(count_records(), 2);
}
END_TEST

/* ---- A close that fails: it has closed all the same ---- */

/* As NFS and FUSE report late what could not be written, and a signal that came meanwhile. */
static const struct {
    int error, count;
} closes[] = {{EIO, 1}, {EINTR, 1}, {EIO, INT_MAX}};

static uint64_t append_a_segment(void)
{
    static char bytes[8000];
    uint64_t lsn = 0;
    for (int i = 0; i < 32; i++)
        SUPPORT_OK(shmwal_append(log_, bytes, sizeof bytes, &lsn));
    return lsn;
}

/* Each close of a flusher's life, from its start by rolling over to its end; each life has a log of
 * its own. */
START_TEST(flusher_does_not_mind_a_close_that_fails)
{
    atomic_store(&faults->closes_to_fail, closes[_i].count);
    for (int call = 0, more = 1; more; call++) {
        log_ = support_open(SHMWAL_NO_FLUSHER);
        atomic_store(&faults->closes, 0);
        atomic_store(&faults->close_first, call);
        atomic_store(&faults->close_errno, closes[_i].error);
        pid_t flusher = flush_in_child();
        wait_durable(append_a_segment());
        ck_assert_int_eq(kill(flusher, SIGTERM), 0);
        ck_assert_int_eq(support_wait(flusher), 0);
        atomic_store(&faults->close_errno, 0);
        ck_assert_int_eq(atomic_load(&faults->closes_of_nothing), 0);
        ck_assert_uint_eq(count_records(), 32);
        more = atomic_load(&faults->closes) > call && closes[_i].count == 1;
        shmwal_close(log_); /* the last one, which removes the ring */
        remove_tree(support_directory);
        support_setup();
    }
    log_ = NULL;
    ck_assert_int_gt(atomic_load(&faults->closes), 3);
}
END_TEST

/* Whoever opens the log meanwhile is not held up by the ending one's last write. */
START_TEST(flusher_that_ends_on_a_hanging_device_keeps_nobody_from_attaching)
{
    shmwal *other;
    shmwal_options options = support_options(SHMWAL_NO_FLUSHER);
    log_ = support_open(SHMWAL_NO_FLUSHER);
    pid_t child = flush_in_child();
    wait_durable(append("one"));
    faults->hang = 1;
    kill(child, SIGTERM);
    await_hanging();
    SUPPORT_OK(shmwal_open(support_log, &options, &other)); /* or hangs */
    SUPPORT_OK(shmwal_close(other));
    end_hanging();
    ck_assert_int_eq(support_wait(child), 0);
}
END_TEST

static const int shortages[] = {ENOSPC, EDQUOT, EFBIG, EMFILE, ENFILE, ENOMEM};
enum { SHORTAGES = sizeof shortages / sizeof *shortages };

START_TEST(shortage_is_back_pressure_and_goes_on_by_itself)
{
    static char bytes[8000];
    const char *reason = strerror(shortages[_i]);
    uint64_t lsn = 0;
    int error = 0;
    log_ = support_open(SHMWAL_NO_FLUSHER);
    atomic_store(&faults->allocate_errno, shortages[_i]);
    pid_t flusher = flush_in_child();
    while (error == 0) /* until the first segment and then the ring are full */
        error = shmwal_append_for(log_, bytes, sizeof bytes, 1, SECONDS / 5, &lsn);
    ck_assert_int_eq(error, -ETIMEDOUT);
    ck_assert_ptr_nonnull(strstr(shmwal_error(), reason));
    ck_assert_int_eq(status().device_errno, shortages[_i]);
    ck_assert_int_eq(shmwal_wait(log_, lsn, SHMWAL_DURABLE, 0), -ETIMEDOUT);
    ck_assert_ptr_nonnull(strstr(shmwal_error(), reason));
    atomic_store(&faults->allocate_errno, 0);
    wait_durable(lsn);
    ck_assert_int_eq(status().device_errno, 0);
    ck_assert_int_eq(kill(flusher, SIGTERM), 0);
    ck_assert_int_eq(support_wait(flusher), 0);
    ck_assert_uint_eq(count_records(), lsn / 8064);
}
END_TEST

/* The write itself meets it, not the allocation: a disk whose blocks are copied on write, or a
 * limit that was lowered. */
START_TEST(write_that_meets_a_shortage_goes_on_in_a_fresh_segment)
{
    log_ = support_open(SHMWAL_NO_FLUSHER);
    pid_t flusher = flush_in_child();
    wait_durable(append("before"));
    atomic_store(&faults->writes_to_fail, -1);
    atomic_store(&faults->write_errno, shortages[_i]);
    uint64_t lsn = append("held up");
    while (status().device_errno == 0)
        sched_yield();
    ck_assert_int_eq(status().device_errno, shortages[_i]);
    ck_assert_int_eq(status().state, SHMWAL_STATE_OK);
    atomic_store(&faults->write_errno, 0);
    wait_durable(lsn);
    ck_assert_int_eq(status().device_errno, 0);
    ck_assert_uint_eq(status().segments, 2);
    ck_assert_int_eq(kill(flusher, SIGTERM), 0);
    ck_assert_int_eq(support_wait(flusher), 0);
    ck_assert_uint_eq(count_records(), 2);
}
END_TEST

/* Its predecessor was killed, so it must begin a segment; nobody is refused for that. */
START_TEST(flusher_starts_in_a_shortage_and_waits)
{
    log_ = support_open(SHMWAL_NO_FLUSHER);
    pid_t flusher = flush_in_child();
    wait_durable(append("before"));
    kill(flusher, SIGKILL);
    support_wait(flusher);
    uint64_t lsn = append("after");
    atomic_store(&faults->allocate_errno, shortages[_i]);
    flusher = flush_in_child();
    while (status().device_errno == 0)
        sched_yield();
    ck_assert_int_eq(status().device_errno, shortages[_i]);
    atomic_store(&faults->allocate_errno, 0);
    wait_durable(lsn);
    ck_assert_int_eq(kill(flusher, SIGTERM), 0);
    ck_assert_int_eq(support_wait(flusher), 0);
    ck_assert_uint_eq(count_records(), 2);
}
END_TEST

/* It ends; what it could not write stays in the ring. */
START_TEST(flusher_that_is_told_to_stop_in_a_shortage_stops)
{
    log_ = support_open(SHMWAL_NO_FLUSHER);
    pid_t flusher = flush_in_child();
    atomic_store(&faults->writes_to_fail, -1);
    atomic_store(&faults->write_errno, shortages[_i]);
    uint64_t lsn = append("not written");
    while (status().device_errno == 0)
        sched_yield();
    ck_assert_int_eq(kill(flusher, SIGTERM), 0);
    ck_assert_int_eq(support_wait(flusher), 1);
    ck_assert_int_eq(status().state, SHMWAL_STATE_STOPPED);
    atomic_store(&faults->write_errno, 0);
    flusher = flush_in_child();
    wait_durable(lsn);
    ck_assert_int_eq(kill(flusher, SIGTERM), 0);
    ck_assert_int_eq(support_wait(flusher), 0);
    ck_assert_uint_eq(count_records(), 1);
}
END_TEST

/* Its next segments shall have `bytes`, more or less than those before. */
static void set_segment_bytes(uint64_t bytes)
{
    struct meta meta;
    char path[100];
    snprintf(path, sizeof path, "%s/meta", support_log);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(pread(fd, &meta, sizeof meta, 0), sizeof meta);
    meta.segment_bytes = bytes;
    meta_seal(&meta);
    ck_assert_int_eq(pwrite(fd, &meta, sizeof meta, 0), sizeof meta);
    close(fd);
}

/* More than a file may have here: ext4 gives one 16 TiB, and refuses before it takes a block. */
static bool is_too_large_here(uint64_t bytes)
{
    int fd = open(support_directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    bool refused = fallocate(fd, 0, 0, (off_t)bytes) < 0 && errno == EFBIG;
    close(fd);
    return refused;
}

START_TEST(segment_larger_than_the_file_system_takes_is_back_pressure)
{
    static char bytes[8000];
    static const uint64_t too_large = (UINT64_C(16) << 40) + 65536;
    uint64_t lsn = 0;
    int error = 0;
    bool known = false;
    if (!is_too_large_here(too_large)) {
        printf("/tmp takes a file of 16 TiB: a segment too large for it is not tried\n");
        return;
    }
    log_ = support_open(SHMWAL_NO_FLUSHER);
    set_segment_bytes(too_large);
    pid_t flusher = flush_in_child();
    while (error == 0 || !known) { /* the first segment is small; then the ring fills */
        known = status().device_errno != 0;
        error = shmwal_append_for(log_, bytes, sizeof bytes, 1, SECONDS / 5, &lsn);
    }
    ck_assert_int_eq(error, -ETIMEDOUT);
    ck_assert_ptr_nonnull(strstr(shmwal_error(), strerror(EFBIG)));
    ck_assert_ptr_nonnull(strstr(shmwal_error(), "than its file system allows"));
    ck_assert_int_eq(status().device_errno, EFBIG);
    ck_assert_int_eq(status().state, SHMWAL_STATE_OK);
    ck_assert_int_eq(kill(flusher, SIGTERM), 0);
    ck_assert_int_eq(support_wait(flusher), 1);
    set_segment_bytes(256 * 1024);
    flusher = flush_in_child();
    wait_durable(lsn);
    ck_assert_int_eq(kill(flusher, SIGTERM), 0);
    ck_assert_int_eq(support_wait(flusher), 0);
    ck_assert_uint_eq(count_records(), lsn / 8064);
}
END_TEST

/* ---- Waking ---- */

enum { WAITERS = 24, ENOUGH_WAKES = 60 };

static void *commit_one(void *nothing)
{
    wait_durable(append("each waits for its own"));
    return nothing;
}

/* The flusher is stopped until all of them sleep, so one frame serves them. Who is forgotten looks
 * by himself after a while: that he was served proves nothing, so wake-ups are counted. Where all
 * is slow, some look by themselves just when the others are woken; then it takes more rounds. */
START_TEST(many_waiters_at_once_are_woken)
{
    pthread_t threads[WAITERS];
    log_ = support_open(0);
    wait_durable(append("the flusher serves"));
    pid_t flusher = (pid_t)status().flusher_pid;
    atomic_store(&wakes, 0);
    while (atomic_load(&wakes) < ENOUGH_WAKES) {
        atomic_store(&sleeps, 0);
        kill(flusher, SIGSTOP);
        for (int i = 0; i < WAITERS; i++)
            ck_assert_int_eq(pthread_create(&threads[i], NULL, commit_one, NULL), 0);
        while (atomic_load(&sleeps) < WAITERS)
            sched_yield();
        kill(flusher, SIGCONT);
        for (int i = 0; i < WAITERS; i++)
            pthread_join(threads[i], NULL);
    }
}
END_TEST

/* ---- Gathering ---- */

START_TEST(commit_interval_holds_back_until_somebody_waits)
{
    shmwal_options options = support_options(0);
    options.commit_interval_ns = 3600 * SECONDS;
    SUPPORT_OK(shmwal_open(support_log, &options, &log_));
    wait_durable(append("settles whatever came before"));
    uint64_t durable = shmwal_lsn(log_, SHMWAL_DURABLE);
    uint64_t lsn = 0;
    for (int i = 0; i < 100; i++)
        lsn = append("gathered");
    usleep(100000);
    ck_assert_uint_eq(shmwal_lsn(log_, SHMWAL_DURABLE), durable);
    wait_durable(lsn);
}
END_TEST

START_TEST(commit_interval_of_the_most_impatient_handle_holds)
{
    shmwal_options options = support_options(0);
    options.commit_interval_ns = 3600 * SECONDS;
    SUPPORT_OK(shmwal_open(support_log, &options, &log_));
    shmwal *impatient = support_open(0);
    append("x");
    while (shmwal_lsn(log_, SHMWAL_DURABLE) < 64) /* nobody waits, and it comes all the same */
        usleep(1000);
    shmwal_close(impatient);
}
END_TEST

START_TEST(commit_interval_does_not_become_back_pressure)
{
    char bytes[1000] = {0};
    shmwal_options options = support_options(0);
    options.commit_interval_ns = 3600 * SECONDS;
    SUPPORT_OK(shmwal_open(support_log, &options, &log_));
    for (int i = 0; i < 500; i++) /* several rings full */
        SUPPORT_OK(shmwal_append_for(log_, bytes, sizeof bytes, 1, 60 * SECONDS, NULL));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("flusher");
    TCase *cases = tcase_create("flusher");
    tcase_set_timeout(cases, 600);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, killed_flusher_has_a_successor_that_finds_what_was_committed);
    tcase_add_test(cases, killed_flusher_has_a_successor_though_all_wait_briefly);
    tcase_add_test(cases, stop_removes_what_a_killed_flusher_has_left_once_it_is_durable);
    tcase_add_test(cases, flusher_killed_again_and_again_loses_nothing);
    tcase_add_test(cases, second_flusher_is_refused);
    tcase_add_test(cases, all_killed_and_opened_anew_everything_committed_is_there);
    tcase_add_test(cases, stop_drains_and_tells_those_who_stay);
    tcase_add_test(cases, flusher_that_is_told_to_stop_while_it_recovers_stops);
    tcase_add_test(cases, stop_of_a_log_without_a_flusher_is_no_error);
    tcase_add_test(cases, stopped_log_leaves_no_ring_once_nobody_is_attached);
    tcase_add_test(cases, flusher_started_by_an_opener_ends_when_nobody_is_left);
    tcase_add_test(cases, flusher_asks_for_short_slices);
    tcase_add_test(cases, dead_producers_reservation_becomes_one_filler_of_its_size);
    tcase_add_test(cases, stopped_producers_reservation_is_waited_for_and_named);
    tcase_add_test(cases, dead_producers_hole_in_an_idle_sidecar_is_filled_for_those_behind_it);
    tcase_add_test(cases, header_that_was_stored_over_is_looked_at_with_patience);
    tcase_add_test(cases, record_that_does_not_validate_becomes_a_counted_filler);
    tcase_add_test(cases, record_that_says_it_is_a_filler_is_no_record);
    tcase_add_test(cases, extent_longer_than_any_record_is_not_taken);
    tcase_add_test(cases, write_that_fails_once_is_rehomed_and_nobody_notices);
    tcase_add_test(cases,
                   device_that_fails_for_good_freezes_the_log_until_a_flusher_is_started_anew);
    tcase_add_test(cases, flusher_that_ends_on_a_hanging_device_keeps_nobody_from_attaching);
    tcase_add_loop_test(cases, shortage_is_back_pressure_and_goes_on_by_itself, 0, SHORTAGES);
    tcase_add_loop_test(cases, write_that_meets_a_shortage_goes_on_in_a_fresh_segment, 0,
                        SHORTAGES);
    tcase_add_loop_test(cases, flusher_starts_in_a_shortage_and_waits, 0, SHORTAGES);
    tcase_add_loop_test(cases, flusher_that_is_told_to_stop_in_a_shortage_stops, 0, SHORTAGES);
    tcase_add_test(cases, many_waiters_at_once_are_woken);
    tcase_add_test(cases, commit_interval_holds_back_until_somebody_waits);
    tcase_add_test(cases, commit_interval_of_the_most_impatient_handle_holds);
    tcase_add_test(cases, commit_interval_does_not_become_back_pressure);
    suite_add_tcase(suite, cases);
    cases = tcase_create("file system");
    tcase_set_timeout(cases, 600);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_loop_test(cases, flusher_does_not_mind_a_close_that_fails, 0,
                        sizeof closes / sizeof *closes);
    tcase_add_test(cases, segment_larger_than_the_file_system_takes_is_back_pressure);
    suite_add_tcase(suite, cases);
    return support_main(suite);
}
