/* SPDX-License-Identifier: MIT
 * LDFLAGS: -Wl,--wrap=sys_pwrite_full,--wrap=sys_fdatasync,--wrap=sys_fsync,--wrap=sys_allocate
 * LDFLAGS: -Wl,--wrap=sys_mkdirat,--wrap=sys_renameat,--wrap=probe_sync,--wrap=spare_want
 *
 * Writing a log: rolling, sealing, spares, and what the store does when the device fails. Every
 * test runs with each way of syncing. */
#include "disk.h"
#include "faults.h"
#include "store/probe.h"
#include "store/spare.h"
#include "sys/clock.h"
#include "sys/listing.h"

#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/wait.h>

/* Which way the probe chooses; where O_DIRECT is refused, the other. */
static enum segment_sync chosen;

enum segment_sync __wrap_probe_sync(int segments_fd);
enum segment_sync __real_probe_sync(int segments_fd);
enum segment_sync __wrap_probe_sync(int segments_fd)
{
    int fd = openat(segments_fd, "probe.tmp", O_RDWR | O_CREAT | O_DIRECT | O_CLOEXEC, 0600);
    if (fd < 0)
        return SYNC_FDATASYNC;
    close(fd);
    unlinkat(segments_fd, "probe.tmp", 0);
    return chosen;
}

/* Writes frames of growing and shrinking size until `records` are written. */
static void write_many(struct store *store, unsigned records)
{
    while (disk_records < records)
        OK(disk_write(store, 1 + disk_records % 40));
}

static void expect_all_read(void)
{
    struct disk_reading reading = disk_read();
    ck_assert_msg(reading.status == 0, "%s", fail_sentence());
    ck_assert_uint_eq(reading.records, disk_records);
    ck_assert(!reading.found);
}

/* The store's spare, seen when the store asks for one. */
static struct spare *spare_seen;
static bool spares_wanted = true;

void __real_spare_want(struct spare *spare, enum spare_kind kind);
void __wrap_spare_want(struct spare *spare, enum spare_kind kind);
void __wrap_spare_want(struct spare *spare, enum spare_kind kind)
{
    spare_seen = spare;
    if (spares_wanted)
        __real_spare_want(spare, kind);
}

static bool exists(const char *name)
{
    return faccessat(disk.segments_fd, name, F_OK, 0) == 0;
}

static int count_spare(void *context, const char *name)
{
    const char *suffix = strrchr(name, '.');
    *(unsigned *)context += suffix != NULL && strcmp(suffix, SPARE_SUFFIX) == 0;
    return 0;
}

static unsigned count_spares(void)
{
    unsigned count = 0;
    OK(sys_list(disk.segments_fd, count_spare, &count));
    return count;
}

/* Of the last accepted frame of a segment, which must end where the next one begins. */
static enum frame_kind last_kind(unsigned place)
{
    struct segment segment;
    const struct frame_header *frame;
    enum frame_kind last = FRAME_DATA;
    struct scan scan = {0};
    OK(segment_open(disk.segments_fd, disk_segment_lsn(place), disk.meta.uuid, SEGMENT_READ,
                    SYNC_FDATASYNC, &segment));
    scan_start(&scan, &segment);
    while (scan_next(&scan, &frame) == 1)
        last = (enum frame_kind)frame->kind;
    ck_assert_uint_eq(scan.lsn, disk_segment_lsn(place + 1));
    scan_close(&scan);
    segment_close(&segment);
    return last;
}

START_TEST(store_reads_back_what_was_written)
{
    chosen = (enum segment_sync)_i;
    struct store *store = disk_store();
    write_many(store, 100);
    expect_all_read();
    OK(store_close(store));
    expect_all_read();
}
END_TEST

START_TEST(store_continues_in_the_same_segment_after_a_clean_end)
{
    chosen = (enum segment_sync)_i;
    spares_wanted = false; /* one that happens to be ready would be gone over to */
    for (int round = 0; round < 3; round++) {
        struct store *store = disk_store();
        OK(disk_write(store, 3));
        OK(store_close(store));
    }
    ck_assert_uint_eq(disk_segments(), 1);
    expect_all_read();
}
END_TEST

START_TEST(store_begins_a_segment_after_an_unclean_end)
{
    chosen = (enum segment_sync)_i;
    struct store *abandoned = disk_store(), *store;
    OK(disk_write(abandoned, 3));
    store = disk_store();
    ck_assert_uint_eq(disk_segments(), 2);
    OK(disk_write(store, 3));
    OK(store_close(store));
    expect_all_read();
    OK(store_close(abandoned)); /* its seal goes where nobody looks any more */
    expect_all_read();
}
END_TEST

START_TEST(store_rolls_through_many_segments_that_form_a_chain)
{
    chosen = (enum segment_sync)_i;
    struct store *store = disk_store();
    write_many(store, 3000);
    OK(store_close(store));
    unsigned segments = disk_segments();
    ck_assert_uint_gt(segments, 5);
    for (unsigned i = 1; i < segments; i++) {
        struct segment_header before = disk_header(disk_segment_lsn(i - 1));
        struct segment_header header = disk_header(disk_segment_lsn(i));
        ck_assert_ptr_null(segment_follows(&before, &header));
        ck_assert_uint_ne(before.salt, header.salt);
    }
    expect_all_read();
}
END_TEST

START_TEST(store_ends_a_full_segment_with_a_roll_mark)
{
    chosen = (enum segment_sync)_i;
    struct store *store = disk_store();
    while (disk_segments() == 1)
        OK(disk_write(store, 30));
    OK(store_close(store));
    ck_assert_int_eq(last_kind(0), FRAME_ROLL);
}
END_TEST

/* store.c says why each of them may be the last. */
START_TEST(store_rolls_in_the_order_that_a_crash_may_cut)
{
    chosen = (enum segment_sync)_i;
    spares_wanted = false;
    struct store *store = disk_store();
    while (store_room(store) > 4096)
        OK(disk_write(store, 1));
    faults_trace();
    OK(disk_write(store, 60));
    faults_disarm();
    /* allocate, header, sync the file; frame; rename; sync the directory; roll mark */
    ck_assert_str_eq(faults.trace, store_sync_method(store)[0] == 'O' ? "AWFWRPW" : "AWDFWDRPWD");
    ck_assert_uint_eq(disk_segments(), 2);
    OK(store_close(store));
}
END_TEST

START_TEST(store_room_is_just_what_fits)
{
    chosen = (enum segment_sync)_i;
    struct store *store = disk_store();
    OK(disk_write(store, 3));
    uint64_t room = store_room(store);
    struct frame_header *frame = (struct frame_header *)disk_frame;
    record_write_filler(frame + 1, room, 1, disk_lsn);
    OK(store_write(store, frame, disk_lsn, room, 1));
    disk_lsn += room;
    ck_assert_uint_eq(disk_segments(), 1);
    ck_assert_uint_eq(store_room(store), 0);
    OK(store_idle(store)); /* the seal has its own room, and the roll mark too */
    OK(disk_write(store, 1));
    ck_assert_uint_eq(disk_segments(), 2);
    OK(store_close(store));
    ck_assert_int_eq(disk_read().status, 0);
    ck_assert_int_eq(last_kind(0), FRAME_ROLL);
}
END_TEST

START_TEST(store_takes_the_largest_frame_and_refuses_a_larger_one)
{
    chosen = (enum segment_sync)_i;
    struct store *store = disk_store();
    struct frame_header *frame = (struct frame_header *)disk_frame;
    uint64_t most = store_room_max(store);
    OK(disk_write(store, 3));
    record_write_filler(frame + 1, most + 64, 1, disk_lsn);
    FAILS(EMSGSIZE, store_write(store, frame, disk_lsn, most + 64, 1));
    record_write_filler(frame + 1, most, 1, disk_lsn);
    OK(store_write(store, frame, disk_lsn, most, 1));
    ck_assert_uint_ge(most, record_span(record_length_max(disk.meta.ring_bytes, 65536)));
    OK(store_close(store));
    ck_assert_int_eq(disk_read().status, 0);
}
END_TEST

START_TEST(store_seals_once_and_again_after_more)
{
    chosen = (enum segment_sync)_i;
    struct store *store = disk_store();
    OK(disk_write(store, 3));
    uint64_t before = store_room(store);
    OK(store_idle(store));
    uint64_t sealed = store_room(store);
    ck_assert_uint_lt(sealed, before);
    OK(store_idle(store));
    ck_assert_uint_eq(store_room(store), sealed);
    OK(disk_write(store, 1));
    OK(store_close(store));
    expect_all_read();
}
END_TEST

START_TEST(store_moves_to_a_spare_when_one_is_ready)
{
    chosen = (enum segment_sync)_i;
    struct store *store = disk_store();
    while (spare_seen == NULL) /* a quarter of the segment is used: one is wanted */
        OK(disk_write(store, 1));
    while (spare_ready(spare_seen) != SPARE_PREFILLED)
        sched_yield();
    ck_assert(exists("0.spare"));
    ck_assert_uint_eq(disk_segments(), 1);
    ck_assert_uint_gt(store_room(store), DISK_SEGMENT_BYTES / 2);
    OK(disk_write(store, 1)); /* it would fit, but from here on commits cost less */
    ck_assert_uint_eq(disk_segments(), 2);
    OK(store_close(store));
    ck_assert_uint_eq(count_spares(), 0);
    expect_all_read();
}
END_TEST

START_TEST(spare_that_could_not_be_made_is_tried_again)
{
    struct spare *spare = spare_open(disk.segments_fd, DISK_SEGMENT_BYTES, 0);
    ck_assert_ptr_nonnull(spare);
    spare_start(spare, (enum segment_sync)_i);
    faults_arm(0, 2, EIO, false); /* the first call of an attempt, and of the next one */
    while (spare_ready(spare) != SPARE_PREFILLED) {
        spare_want(spare, SPARE_PREFILLED);
        sched_yield();
    }
    ck_assert_int_eq(faults.struck, 2);
    faults_disarm();
    ck_assert_uint_eq(count_spares(), 1);
    spare_close(spare);
    ck_assert_uint_eq(count_spares(), 0);
}
END_TEST

START_TEST(store_removes_what_never_became_a_segment)
{
    chosen = (enum segment_sync)_i;
    const char *leftovers[] = {"next.tmp", "first.tmp", "probe.tmp", "0.spare"};
    for (int i = 0; i < 4; i++)
        close(openat(disk.segments_fd, leftovers[i], O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    OK(store_close(disk_store()));
    for (int i = 0; i < 4; i++)
        ck_assert_msg(!exists(leftovers[i]), "%s", leftovers[i]);
}
END_TEST

START_TEST(store_moves_a_frame_whose_write_failed_once)
{
    chosen = (enum segment_sync)_i;
    struct store *store = disk_store();
    OK(disk_write(store, 3));
    uint64_t cut = disk_lsn;
    faults_arm(0, 1, EIO, true);
    OK(disk_write(store, 20));
    ck_assert_int_eq(faults.struck, 1);
    faults_disarm();
    ck_assert_uint_eq(disk_segments(), 2);
    ck_assert_uint_eq(disk_segment_lsn(1), cut);
    OK(disk_write(store, 3));
    OK(store_close(store));
    expect_all_read();
}
END_TEST

START_TEST(store_moves_each_frame_that_fails)
{
    chosen = (enum segment_sync)_i;
    struct store *store = disk_store();
    for (int round = 0; round < 5; round++) {
        faults_arm(0, 1, EIO, true);
        OK(disk_write(store, 20));
        faults_disarm();
    }
    OK(store_close(store));
    expect_all_read();
}
END_TEST

START_TEST(store_moves_a_seal_whose_write_failed)
{
    chosen = (enum segment_sync)_i;
    struct store *store = disk_store();
    OK(disk_write(store, 3));
    faults_arm(0, 1, EIO, true);
    OK(store_idle(store));
    faults_disarm();
    ck_assert_uint_eq(disk_segments(), 2);
    OK(store_close(store));
    expect_all_read();
}
END_TEST

START_TEST(store_dies_of_a_device_that_fails_for_good)
{
    chosen = (enum segment_sync)_i;
    struct store *store = disk_store();
    OK(disk_write(store, 3));
    faults_arm(0, INT_MAX, EIO, false);
    FAILS(EIO, disk_write(store, 3));
    faults_disarm();
    FAILS(EIO, disk_write(store, 3)); /* it is not tried again, though it would work */
    OK(store_close(store));
    expect_all_read();
    store = disk_store();
    OK(disk_write(store, 3));
    OK(store_close(store));
    expect_all_read();
}
END_TEST

START_TEST(store_waits_out_a_full_disk)
{
    chosen = (enum segment_sync)_i;
    struct store *store = disk_store();
    OK(disk_write(store, 3));
    faults_arm(0, INT_MAX, ENOSPC, false);
    for (int i = 0; i < 3; i++)
        FAILS(ENOSPC, disk_write(store, 3));
    faults_disarm();
    write_many(store, 500);
    OK(store_close(store));
    expect_all_read();
}
END_TEST

/* A frame that needs a new segment is refused; then comes one that the old segment would still
 * take. If the new one had got its name before, it must not go to the old one, which is cut off. */
START_TEST(store_waits_out_a_full_disk_wherever_it_strikes)
{
    chosen = (enum segment_sync)_i;
    spares_wanted = false;
    struct store *store = disk_store();
    bool struck = true;
    for (int call = 0; struck; call++) {
        while (store_room(store) > 6000)
            OK(disk_write(store, 1));
        faults_arm(call / 2, 1 + call % 2, call % 4 < 2 ? ENOSPC : EDQUOT, false);
        int error = disk_write(store, 60);
        struck = faults.struck > 0;
        ck_assert(error == 0 || error == -ENOSPC || error == -EDQUOT);
        error = disk_write(store, 1);
        ck_assert(error == 0 || error == -ENOSPC || error == -EDQUOT);
        faults_disarm();
        OK(disk_write(store, 60));
        expect_all_read();
    }
    OK(store_close(store));
    expect_all_read();
}
END_TEST

/* One life of a log on a device that dies at a chosen call: returns whether it came to that. */
static bool live_until(int call)
{
    struct store *store;
    faults_arm(call, INT_MAX, EIO, false);
    if (store_open(&disk, disk_lsn, &store) == 0) {
        while (disk_records < 600 && disk_write(store, 1 + disk_records % 90) == 0)
            if (disk_records % 7 == 0)
                store_idle(store);
        store_close(store);
    }
    bool died = faults.struck > 0;
    faults_disarm();
    return died;
}

/* What was acknowledged is there after any death, and what follows it is a whole record or
 * nothing. */
START_TEST(store_loses_nothing_wherever_the_device_dies)
{
    chosen = (enum segment_sync)_i;
    bool died = true;
    for (int call = 0; died; call += 1 + call / 24) {
        disk_teardown();
        disk_setup();
        died = live_until(call);
        uint64_t acknowledged = disk_lsn, end;
        struct disk_reading reading = disk_read();
        ck_assert_msg(reading.status == 0, "call %d: %s", call, fail_sentence());
        ck_assert_uint_ge(reading.records, disk_records);
        OK(disk_recover(&end));
        ck_assert_uint_ge(end, acknowledged);
        struct store *store = disk_store(); /* as with a ring: goes on where it was acknowledged */
        OK(disk_write(store, 5));
        OK(store_close(store));
        expect_all_read();
    }
}
END_TEST

START_TEST(store_that_was_cut_short_while_opening_opens_again)
{
    chosen = (enum segment_sync)_i;
    bool died = true;
    for (int call = 0; died; call++) {
        disk_teardown();
        disk_setup();
        struct store *store = disk_store(), *abandoned = store;
        OK(disk_write(store, 9));
        faults_arm(call, INT_MAX, EIO, false);
        if (store_open(&disk, disk_lsn, &store) == 0)
            store_close(store);
        died = faults.struck > 0;
        faults_disarm();
        expect_all_read();
        store = disk_store();
        OK(disk_write(store, 9));
        OK(store_close(store));
        expect_all_read();
        store_close(abandoned);
    }
}
END_TEST

START_TEST(store_accepts_no_frame_of_an_earlier_life_of_its_file)
{
    chosen = (enum segment_sync)_i;
    struct store *store = disk_store();
    write_many(store, 200);
    OK(store_close(store));
    uint64_t last = disk_segment_lsn(disk_segments() - 1);
    struct segment_header wanted = disk_header(last);
    struct segment reused;
    const struct frame_header *frame;
    struct scan scan = {0};
    ck_assert_int_eq(
        renameat(disk.segments_fd, strrchr(disk_path(last), '/') + 1, disk.segments_fd, "0.spare"),
        0);
    OK(segment_create(disk.segments_fd, "0.spare", true, &wanted, SYNC_FDATASYNC, &reused));
    scan_start(&scan, &reused);
    ck_assert_int_eq(scan_next(&scan, &frame), 0);
    ck_assert_int_eq(scan_at_zeros(&scan), 0); /* the old frames do stand there */
    struct scan_tail tail;
    OK(scan_look_past(&scan, &tail));
    ck_assert_uint_eq(tail.later_offset, 0);
    scan_close(&scan);
    segment_close(&reused);
}
END_TEST

/* ---- Spares that are kept ahead of need ---- */

enum { KEPT = 5 };

/* The log again, as one that keeps so many. */
static void keep_spares(unsigned count)
{
    disk.meta.spare_bytes = count * DISK_SEGMENT_BYTES;
}

static void await_spares(unsigned count)
{
    while (count_spares() != count)
        sched_yield();
}

START_TEST(kept_spares_are_made_used_made_anew_and_left_for_the_next_flusher)
{
    chosen = (enum segment_sync)_i;
    keep_spares(KEPT);
    struct store *store = disk_store();
    await_spares(KEPT);
    write_many(store, 1500);
    ck_assert_uint_gt(disk_segments(), KEPT + 1); /* more than there were at first */
    await_spares(KEPT);
    OK(store_close(store));
    ck_assert_uint_eq(count_spares(), KEPT);
    expect_all_read();
    store = disk_store();
    ck_assert_uint_eq(count_spares(), KEPT);
    OK(disk_write(store, 1)); /* goes to one of them: it is better than what an earlier life left */
    OK(store_close(store));
    expect_all_read();
    keep_spares(0);
    OK(store_close(disk_store()));
    ck_assert_uint_eq(count_spares(), 0);
}
END_TEST

START_TEST(kept_spare_that_is_not_whole_or_was_used_is_made_anew)
{
    chosen = (enum segment_sync)_i;
    keep_spares(KEPT);
    struct store *store = disk_store();
    await_spares(KEPT);
    OK(store_close(store));
    const char *const odd[] = {"0.spare", "1.spare", "2.spare", "03.spare", "x.spare"};
    int used = openat(disk.segments_fd, odd[0], O_WRONLY | O_CLOEXEC);
    int sparse = openat(disk.segments_fd, odd[2], O_WRONLY | O_TRUNC | O_CLOEXEC);
    ck_assert_int_eq(pwrite(used, "DLsegmt1", 8, 0), 8);
    int cut = openat(disk.segments_fd, odd[1], O_WRONLY | O_CLOEXEC);
    ck_assert_int_eq(ftruncate(cut, DISK_SEGMENT_BYTES - FORMAT_BLOCK), 0);
    close(cut);
    ck_assert_int_eq(ftruncate(sparse, DISK_SEGMENT_BYTES), 0);
    ck_assert_int_eq(renameat(disk.segments_fd, "3.spare", disk.segments_fd, odd[3]), 0);
    ck_assert_int_eq(mkfifoat(disk.segments_fd, odd[4], 0600), 0);
    close(used);
    close(sparse);
    struct spare *spare = spare_open(disk.segments_fd, DISK_SEGMENT_BYTES, KEPT);
    for (int i = 0; i < 5; i++)
        ck_assert_msg(!spare_adopt(spare, odd[i]), "%s", odd[i]);
    ck_assert(spare_adopt(spare, "4.spare"));
    spare_close(spare);
    store = disk_store();
    await_spares(KEPT);
    for (int i = 0; i < 5; i++)
        ck_assert_msg(!exists(odd[i]), "%s", odd[i]);
    write_many(store, 1000);
    OK(store_close(store));
    expect_all_read();
}
END_TEST

/* A flusher that dies leaves what it was making; the next one keeps what is whole. */
START_TEST(kept_spares_outlive_a_flusher_that_dies)
{
    chosen = (enum segment_sync)_i;
    keep_spares(KEPT);
    pid_t child = fork();
    if (child == 0) {
        disk_store();
        while (count_spares() < 2)
            sched_yield();
        raise(SIGKILL);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    unsigned left = count_spares();
    ck_assert_uint_ge(left, 2);
    struct spare *spare = spare_open(disk.segments_fd, DISK_SEGMENT_BYTES, KEPT);
    ck_assert(spare_adopt(spare, "0.spare") && spare_adopt(spare, "1.spare"));
    spare_close(spare);
    struct store *store = disk_store();
    await_spares(KEPT);
    write_many(store, 500);
    OK(store_close(store));
    expect_all_read();
}
END_TEST

START_TEST(kept_spare_is_not_begun_for_a_seal)
{
    chosen = (enum segment_sync)_i;
    keep_spares(KEPT);
    struct store *store = disk_store();
    OK(disk_write(store, 1));
    await_spares(KEPT);
    OK(store_close(store));
    ck_assert_uint_eq(count_spares(), KEPT);
    ck_assert_uint_eq(disk_segments(), 1);
    expect_all_read();
}
END_TEST

/* A segment that was prefilled is known for one by the next flusher: it does not leave it for yet
 * another one, which has to be prefilled in its turn. */
START_TEST(kept_spare_in_use_is_used_on_by_the_next_flusher)
{
    chosen = (enum segment_sync)_i;
    keep_spares(KEPT);
    struct store *store = disk_store();
    await_spares(KEPT);
    OK(disk_write(store, 1));
    OK(disk_write(store, 1));
    await_spares(KEPT);
    unsigned segments = disk_segments();
    ck_assert_uint_eq(segments, 2);
    for (int i = 0; i < 3; i++) {
        OK(disk_write(store, 1));
        OK(store_close(store));
        store = disk_store();
    }
    OK(disk_write(store, 1));
    ck_assert_uint_eq(disk_segments(), segments);
    OK(store_close(store));
    expect_all_read();
}
END_TEST

/* Sixteen chunks with a rest of 20 ms behind each; nothing makes the rests shorter. */
START_TEST(kept_spares_are_made_slowly_while_frames_are_written)
{
    enum { BYTES = 2 << 20 };
    struct spare *spare = spare_open(disk.segments_fd, BYTES, 1);
    ck_assert_ptr_nonnull(spare);
    int64_t began_ns = clock_monotonic_ns();
    spare_note_frame(spare);
    spare_start(spare, (enum segment_sync)_i);
    while (spare_ready(spare) != SPARE_PREFILLED)
        sched_yield();
    ck_assert_int_ge(clock_monotonic_ns() - began_ns, 16 * 20 * NS_PER_MS);
    spare_close(spare);
}
END_TEST

/* Everything fails, again and again: the log goes on without spares, and has them in the end. */
START_TEST(kept_spares_come_once_the_disk_has_room)
{
    chosen = (enum segment_sync)_i;
    keep_spares(KEPT);
    struct store *store = disk_store();
    await_spares(KEPT);
    OK(store_close(store));
    faults_arm(0, 3, ENOSPC, false);
    struct spare *spare = spare_open(disk.segments_fd, DISK_SEGMENT_BYTES, KEPT + 2);
    spare_start(spare, chosen);
    while (faults.struck < 3)
        sched_yield();
    faults_disarm();
    while (spare_ready(spare) != SPARE_PREFILLED)
        sched_yield();
    spare_close(spare);
}
END_TEST

enum { SMALL_DISK_BYTES = 1 << 20, NOT_ALLOWED = 77 };

/* Fills what is left of the file system, to the last block. */
static void fill_disk(void)
{
    static const char bytes[FORMAT_BLOCK];
    int fd = open("/mnt/filler", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        _exit(2);
    while (write(fd, bytes, sizeof bytes) > 0)
        ;
    close(fd);
}

/* A log that keeps so many spares, on a real file system of its own in a mount namespace of its
 * own. */
static struct store *open_on_small_disk(unsigned kept)
{
    char size[32];
    snprintf(size, sizeof size, "size=%d", SMALL_DISK_BYTES);
    if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 ||
        mount("tmpfs", "/mnt", "tmpfs", 0, size) < 0)
        _exit(NOT_ALLOWED);
    directory_close(&disk);
    if (directory_create_with_spares("/mnt/log", 64 * 1024, DISK_SEGMENT_BYTES,
                                     (uint64_t)kept * DISK_SEGMENT_BYTES) < 0 ||
        directory_open("/mnt/log", true, &disk) < 0)
        _exit(3);
    struct store *store;
    if (store_open(&disk, 0, &store) < 0)
        _exit(4);
    return store;
}

/* Somebody else has filled the disk. */
static void use_filled_disk(void)
{
    struct store *store = open_on_small_disk(KEPT);
    await_spares(KEPT);
    fill_disk();
    int error = 0;
    while (error == 0 && disk_records < 3000)
        error = disk_write(store, 10);
    if (error != -ENOSPC || count_spares() != 0)
        _exit(5);
    uint64_t durable = store_durable(store);
    if (durable < KEPT * (DISK_SEGMENT_BYTES / 4)) /* the padding of small frames takes the rest */
        _exit(6);
    unlink("/mnt/filler");
    error = disk_write(store, 10);
    _exit(error == 0 && store_durable(store) > durable && store_close(store) == 0 ? 0 : 7);
}

/* More spares are to be kept than the disk has room for: there are fewer, and the log gets all of
 * them. */
static void fill_disk_with_spares(void)
{
    const unsigned room = SMALL_DISK_BYTES / DISK_SEGMENT_BYTES - 3;
    struct store *store = open_on_small_disk(4 * room);
    while (count_spares() < room)
        sched_yield();
    int error = 0;
    while ((error == 0 || count_spares() > 0) && disk_records < 4000) {
        error = disk_write(store, 10);
        if (error < 0 && error != -ENOSPC)
            _exit(5);
    }
    if (error != -ENOSPC)
        _exit(6);
    _exit(store_durable(store) >= room * (DISK_SEGMENT_BYTES / 4) ? 0 : 7);
}

/* Each in a process of its own, since it enters a namespace. */
static void run_on_small_disk(const char *test, void (*use)(void))
{
    pid_t child = fork();
    if (child == 0)
        use();
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    if (WEXITSTATUS(status) == NOT_ALLOWED)
        printf("%s: may not mount here\n", test);
    else
        ck_assert_int_eq(WEXITSTATUS(status), 0);
}

START_TEST(full_disk_stalls_the_log_only_when_its_spares_are_used_up)
{
    chosen = (enum segment_sync)_i;
    run_on_small_disk(__func__, use_filled_disk);
}
END_TEST

START_TEST(disk_without_room_for_all_spares_has_fewer)
{
    chosen = (enum segment_sync)_i;
    run_on_small_disk(__func__, fill_disk_with_spares);
    ck_assert_uint_eq(spare_count(UINT64_MAX, SEGMENT_BYTES_MIN), SPARES_MAX);
    ck_assert_uint_eq(spare_count(1, UINT64_MAX), 1);
}
END_TEST

START_TEST(probe_chooses_a_way_and_leaves_nothing)
{
    enum segment_sync way = __real_probe_sync(disk.segments_fd);
    ck_assert(way == SYNC_DIRECT || way == SYNC_FDATASYNC);
    ck_assert(!exists("probe.tmp"));
    faults_arm(0, INT_MAX, EIO, false);
    ck_assert_int_eq(__real_probe_sync(disk.segments_fd), SYNC_FDATASYNC);
    faults_disarm();
    ck_assert(!exists("probe.tmp"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store");
    TCase *tests = tcase_create("store");
    tcase_add_unchecked_fixture(tests, disk_make_base, disk_remove_base);
    tcase_add_checked_fixture(tests, disk_setup, disk_teardown);
    tcase_set_timeout(tests, 300);
    const TTest *const both[] = {store_reads_back_what_was_written,
                                 store_continues_in_the_same_segment_after_a_clean_end,
                                 store_begins_a_segment_after_an_unclean_end,
                                 store_rolls_through_many_segments_that_form_a_chain,
                                 store_ends_a_full_segment_with_a_roll_mark,
                                 store_rolls_in_the_order_that_a_crash_may_cut,
                                 store_room_is_just_what_fits,
                                 store_takes_the_largest_frame_and_refuses_a_larger_one,
                                 store_seals_once_and_again_after_more,
                                 store_moves_to_a_spare_when_one_is_ready,
                                 spare_that_could_not_be_made_is_tried_again,
                                 store_removes_what_never_became_a_segment,
                                 store_moves_a_frame_whose_write_failed_once,
                                 store_moves_each_frame_that_fails,
                                 store_moves_a_seal_whose_write_failed,
                                 store_dies_of_a_device_that_fails_for_good,
                                 store_waits_out_a_full_disk,
                                 store_waits_out_a_full_disk_wherever_it_strikes,
                                 store_loses_nothing_wherever_the_device_dies,
                                 store_that_was_cut_short_while_opening_opens_again,
                                 store_accepts_no_frame_of_an_earlier_life_of_its_file,
                                 kept_spares_are_made_used_made_anew_and_left_for_the_next_flusher,
                                 kept_spare_that_is_not_whole_or_was_used_is_made_anew,
                                 kept_spares_outlive_a_flusher_that_dies,
                                 kept_spare_is_not_begun_for_a_seal,
                                 kept_spare_in_use_is_used_on_by_the_next_flusher,
                                 kept_spares_are_made_slowly_while_frames_are_written,
                                 kept_spares_come_once_the_disk_has_room,
                                 full_disk_stalls_the_log_only_when_its_spares_are_used_up,
                                 disk_without_room_for_all_spares_has_fewer};
    for (size_t i = 0; i < sizeof both / sizeof *both; i++)
        tcase_add_loop_test(tests, both[i], 0, 2);
    tcase_add_test(tests, probe_chooses_a_way_and_leaves_nothing);
    suite_add_tcase(suite, tests);
    return support_main(suite);
}
