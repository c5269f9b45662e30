/* SPDX-License-Identifier: MIT
 * LDFLAGS: -Wl,--wrap=sys_pread_full
 *
 * Attaching to a ring, and the proof that an attached process is gone. */
#include "region/region.h"

#include "region/attachment.h"
#include "region/shm.h"
#include "support.h"
#include "sys/clock.h"
#include "sys/fork.h"
#include "sys/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

static struct directory directory;

static int reads_left = -1; /* until one fails; -1: none does */

ssize_t __real_sys_pread_full(int fd, void *data, size_t length, uint64_t offset);
ssize_t __wrap_sys_pread_full(int fd, void *data, size_t length, uint64_t offset);
ssize_t __wrap_sys_pread_full(int fd, void *data, size_t length, uint64_t offset)
{
    if (reads_left >= 0 && reads_left-- == 0)
        return -EIO;
    return __real_sys_pread_full(fd, data, length, offset);
}

static void setup(void)
{
    support_setup();
    SUPPORT_OK(directory_create(support_log, 64 * 1024, 256 * 1024));
    SUPPORT_OK(directory_open(support_log, true, &directory));
}

static void teardown(void)
{
    shm_remove(&directory);
    directory_close(&directory);
    support_teardown();
}

static void attach(struct region *region)
{
    SUPPORT_OK(region_attach(&directory, 0, region));
}

/* The directory's own descriptors are not the child's: see sys/fork.h. */
static void attach_in_child(struct region *region)
{
    struct directory own;
    if (directory_open(support_log, true, &own) < 0 || region_attach(&own, 0, region) < 0)
        _exit(1);
    directory_close(&own);
}

/* What somebody who is not attached sees of the attachment. */
static int alive(uint64_t id)
{
    struct region region;
    int ring_fd;
    SUPPORT_OK(region_look(&directory, &region, &ring_fd));
    int result = attachment_alive(ring_fd, id);
    region_look_away(&region, ring_fd);
    return result;
}

/* A child that attaches, tells its number, does `then`, and sleeps until it is killed. */
struct attached_child {
    pid_t pid;
    uint64_t id;
};

static struct attached_child spawn(void (*then)(void))
{
    struct attached_child child;
    int ends[2];
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    child.pid = fork();
    if (child.pid == 0) {
        struct region region;
        attach_in_child(&region);
        if (then != NULL && then != (void (*)(void))exit)
            then();
        dprintf(ends[1], "%llu\n", (unsigned long long)region.attachment);
        for (;;)
            pause();
    }
    close(ends[1]);
    FILE *answer = fdopen(ends[0], "r");
    unsigned long long id = 0;
    ck_assert_int_eq(fscanf(answer, "%llu", &id), 1);
    fclose(answer);
    child.id = id;
    return child;
}

/* Death has an end: the kernel lets go of the memory a moment after the signal. */
static void await_death(uint64_t id)
{
    for (int i = 0; i < 10000 && alive(id) == 1; i++)
        usleep(1000);
    ck_assert_int_eq(alive(id), 0);
}

START_TEST(region_attach_makes_the_ring_and_the_next_one_finds_it)
{
    struct region one, two;
    attach(&one);
    attach(&two);
    ck_assert_uint_ne(one.attachment, two.attachment);
    uint64_t lsn;
    ck_assert_int_eq(ring_reserve(&one.ring, one.attachment, 64, &lsn), 0);
    ck_assert_uint_eq(ring_end(&two.ring), 64);
    ck_assert_int_eq(alive(one.attachment), 1);
    uint64_t id = one.attachment;
    region_detach(&one);
    ck_assert_int_eq(alive(id), 0);
    ck_assert_int_eq(alive(two.attachment), 1);
    region_detach(&two);
}
END_TEST

START_TEST(region_numbers_are_never_used_twice)
{
    struct region region;
    uint64_t before = 0;
    struct region keep;
    attach(&keep);
    for (int i = 0; i < 50; i++) {
        attach(&region);
        ck_assert_uint_gt(region.attachment, before);
        before = region.attachment;
        region_detach(&region);
    }
    region_detach(&keep);
}
END_TEST

/* Not by accident, which would fault, and not by asking for it either. */
START_TEST(region_state_cannot_be_written_by_a_producer)
{
    struct region region;
    attach(&region);
    ck_assert_int_eq(mprotect((void *)region.state, 4096, PROT_READ | PROT_WRITE), -1);
    ck_assert_int_eq(errno, EACCES);
    region_detach(&region);
}
END_TEST

START_TEST(region_killed_process_is_dead_even_as_a_zombie)
{
    struct attached_child child = spawn(NULL);
    ck_assert_int_eq(alive(child.id), 1);
    kill(child.pid, SIGKILL);
    await_death(child.id); /* nobody has waited for it yet */
    ck_assert_int_eq(support_wait(child.pid), -SIGKILL);
}
END_TEST

START_TEST(region_stopped_process_is_alive)
{
    struct attached_child child = spawn(NULL);
    kill(child.pid, SIGSTOP);
    usleep(50000);
    ck_assert_int_eq(alive(child.id), 1);
    kill(child.pid, SIGKILL);
    support_wait(child.pid);
    await_death(child.id);
}
END_TEST

static void close_everything(void)
{
    close_range(0, 2, 0);
    close_range(100, ~0U, 0);
    for (int fd = 3; fd < 100; fd++)
        if (fcntl(fd, F_GETFD) >= 0 && lseek(fd, 0, SEEK_CUR) >= 0) /* all but pipes */
            close(fd);
}

START_TEST(region_process_that_closes_all_descriptors_is_alive)
{
    struct attached_child child = spawn(close_everything);
    ck_assert_int_eq(alive(child.id), 1);
    kill(child.pid, SIGKILL);
    support_wait(child.pid);
    await_death(child.id);
}
END_TEST

static pid_t *grandchild;

static void fork_a_grandchild(void)
{
    pid_t pid = fork();
    if (pid == 0)
        for (;;)
            pause();
    *grandchild = pid;
}

START_TEST(region_forked_child_does_not_keep_its_parent_alive)
{
    grandchild =
        mmap(NULL, sizeof *grandchild, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct attached_child child = spawn(fork_a_grandchild);
    kill(child.pid, SIGKILL);
    support_wait(child.pid);
    await_death(child.id);
    ck_assert_int_eq(kill(*grandchild, 0), 0); /* it lives, and holds nothing */
    kill(*grandchild, SIGKILL);
    munmap(grandchild, sizeof *grandchild);
}
END_TEST

static void *sleep_for_ever(void *unused)
{
    for (;;)
        pause();
    return unused;
}

START_TEST(region_process_whose_main_thread_ended_is_alive)
{
    int ends[2];
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0) {
        struct region region;
        pthread_t thread;
        attach_in_child(&region);
        pthread_create(&thread, NULL, sleep_for_ever, NULL);
        dprintf(ends[1], "%llu\n", (unsigned long long)region.attachment);
        pthread_exit(NULL);
    }
    unsigned long long id = 0;
    FILE *answer = fdopen(ends[0], "r");
    ck_assert_int_eq(fscanf(answer, "%llu", &id), 1);
    usleep(50000);
    ck_assert_int_eq(alive(id), 1);
    kill(child, SIGKILL);
    support_wait(child);
    await_death(id);
    fclose(answer);
    close(ends[1]);
}
END_TEST

START_TEST(region_exec_ends_the_attachment)
{
    int ends[2];
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0) {
        struct region region;
        attach_in_child(&region);
        dprintf(ends[1], "%llu\n", (unsigned long long)region.attachment);
        execlp("sleep", "sleep", "60", NULL);
        _exit(1);
    }
    unsigned long long id = 0;
    close(ends[1]);
    FILE *answer = fdopen(ends[0], "r");
    ck_assert_int_eq(fscanf(answer, "%llu", &id), 1);
    await_death(id);
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    ck_assert_int_eq(support_wait(child), -SIGKILL);
    fclose(answer);
}
END_TEST

/* In a PID namespace of its own a process has a number that means nothing here. */
START_TEST(region_liveness_holds_across_pid_namespaces)
{
    if (geteuid() != 0)
        return;
    pid_t helper = fork();
    if (helper == 0) {
        if (unshare(CLONE_NEWPID) < 0)
            _exit(77);
        free(directory.path);
        SUPPORT_OK(directory_open(support_log, true, &directory)); /* see attach_in_child() */
        struct attached_child child = spawn(NULL);
        ck_assert_int_eq(alive(child.id), 1);
        kill(child.pid, SIGKILL);
        await_death(child.id);
        _exit(support_wait(child.pid) == -SIGKILL ? 0 : 1);
    }
    int status = support_wait(helper);
    ck_assert_msg(status == 0 || status == 77, "exit %d", status);
}
END_TEST

START_TEST(region_last_to_leave_takes_an_empty_ring_along)
{
    struct region one, two;
    int ring_fd;
    attach(&one);
    attach(&two);
    if (region_detach(&one))
        region_remove_unserved(&directory);
    ck_assert_int_ge(ring_fd = shm_object_open(&directory, SHM_RING, false), 0);
    sys_fork_close(ring_fd);
    if (region_detach(&two))
        region_remove_unserved(&directory);
    ck_assert_int_eq(shm_object_open(&directory, SHM_RING, false), -ENOENT);
    ck_assert_int_eq(shm_object_open(&directory, SHM_STATE, false), -ENOENT);
}
END_TEST

START_TEST(region_ring_with_something_in_it_stays)
{
    struct region region;
    uint64_t lsn;
    attach(&region);
    ck_assert_int_eq(ring_reserve(&region.ring, region.attachment, 64, &lsn), 0);
    ck_assert(ring_finish(&region.ring, region.attachment, lsn, 64, RING_COMMITTED));
    if (region_detach(&region))
        region_remove_unserved(&directory);
    attach(&region);
    ck_assert_uint_eq(ring_end(&region.ring), 64);
    ck_assert(ring_finished_at(&region.ring, 0));
    region_detach(&region);
}
END_TEST

START_TEST(region_interrupted_creation_is_made_anew)
{
    struct region region;
    const uint64_t zero = 0;
    attach(&region);
    int state_fd = shm_object_open(&directory, SHM_STATE, true);
    /* As a creator leaves it that is killed before it is done. */
    ck_assert_int_eq(pwrite(state_fd, &zero, sizeof zero, offsetof(struct flusher_state, magic)),
                     sizeof zero);
    sys_fork_close(state_fd);
    munmap((void *)region.state, sizeof *region.state);
    munmap(region.control, region.mapped_bytes);
    attach(&region);
    ck_assert_uint_eq(region.attachment, 1);
    region_detach(&region);
}
END_TEST

/* Whoever comes later finds the ring's parts all the same, and is not taken for somebody else. */
START_TEST(region_overwritten_control_leads_nobody_astray)
{
    struct region region, second;
    struct region_flusher flusher;
    attach(&region);
    memset(region.control, 0xee, sizeof *region.control);
    SUPPORT_OK(region_attach_flusher(&directory, &flusher));
    ck_assert_uint_eq(flusher.region.ring.size, 64 * 1024);
    memset(flusher.region.ring.bytes, 1, 2 * flusher.region.ring.size);
    ck_assert_mem_eq(region.ring.bytes, flusher.region.ring.bytes, 64 * 1024);
    region_detach_flusher(&flusher);
    ck_assert_int_eq(region_attach(&directory, 0, &second), -EBADMSG);
    atomic_store(&region.control->next_attachment, 0); /* names nobody */
    ck_assert_int_eq(region_attach(&directory, 0, &second), -EBADMSG);
    region_detach(&region);
}
END_TEST

/* As a library of another version, or a store astray, would leave it. */
START_TEST(region_of_another_layout_is_refused)
{
    struct region region, second;
    struct region_flusher flusher;
    uint64_t magic = REGION_MAGIC + 1;
    attach(&region);
    int state_fd = shm_object_open(&directory, SHM_STATE, true);
    ck_assert_int_eq(pwrite(state_fd, &magic, sizeof magic, 0), sizeof magic);
    sys_fork_close(state_fd);
    ck_assert_int_eq(region_attach(&directory, 0, &second), -EPROTO);
    ck_assert_int_eq(region_attach_flusher(&directory, &flusher), -EPROTO);
    region_remove_unserved(&directory); /* nor is it removed */
    ck_assert_int_eq(region_attach(&directory, 0, &second), -EPROTO);
    region_detach(&region);
}
END_TEST

START_TEST(region_whose_name_another_has_is_told)
{
    struct region first, second;
    attach(&first);
    SUPPORT_OK(region_check_named(&directory, &first));
    shm_remove(&directory);
    ck_assert_int_eq(region_check_named(&directory, &first), -EIO);
    attach(&second);
    SUPPORT_OK(region_check_named(&directory, &second));
    ck_assert_int_eq(region_check_named(&directory, &first), -EIO);
    ck_assert_ptr_nonnull(strstr(shmwal_error(), "was removed"));
    int ring_fd = shm_object_open(&directory, SHM_RING, true);
    ck_assert_int_eq(ftruncate(ring_fd, 4096), 0);
    ck_assert_int_eq(region_check_named(&directory, &second), -EIO);
    ck_assert_ptr_nonnull(strstr(shmwal_error(), "truncated"));
    SUPPORT_OK(region_check_served(&directory)); /* it is not served elsewhere */
    sys_fork_close(ring_fd);
    shm_remove(&directory);
    munmap((void *)second.state, sizeof *second.state);
    munmap(second.control, second.mapped_bytes);
    region_detach(&first);
}
END_TEST

/* Another /dev/shm's flusher has the lock; here stands a ring that nobody serves. */
START_TEST(region_that_is_served_elsewhere_is_refused)
{
    struct region first, second;
    struct directory elsewhere;
    attach(&first);
    SUPPORT_OK(directory_open(support_log, true, &elsewhere));
    SUPPORT_OK(sys_lock_try(elsewhere.lock_fd, LOCK_SERVING));
    ck_assert_int_eq(region_attach(&directory, 0, &second), -EBUSY);
    directory_close(&elsewhere);
    attach(&second);
    region_detach(&second);
    region_detach(&first);
}
END_TEST

START_TEST(region_whose_turn_is_over_is_not_looked_at)
{
    struct region first, second;
    int ring_fd;
    uint64_t id;
    char segment[160];
    attach(&first);
    SUPPORT_OK(directory_named_ring(&directory, &id));
    SUPPORT_OK(directory_name_ring(&directory, id + 2));
    ck_assert_int_eq(region_look(&directory, &second, &ring_fd), -ENOENT);
    snprintf(segment, sizeof segment, "%s/segments/%016x.seg", support_log, 0);
    ck_assert_int_eq(unlink(segment), 0);
    ck_assert_int_eq(region_attach(&directory, 0, &second), -EBADMSG); /* where does it end? */
    SUPPORT_OK(directory_name_ring(&directory, 0));                    /* names none */
    SUPPORT_OK(region_look(&directory, &second, &ring_fd));
    region_look_away(&second, ring_fd);
    region_detach(&first);
}
END_TEST

START_TEST(region_in_whose_place_a_fifo_stands_is_refused)
{
    struct region region;
    char name[SHM_NAME_BYTES], path[SHM_NAME_BYTES + 16];
    shm_object_name(&directory, SHM_RING, name);
    snprintf(path, sizeof path, "/dev/shm%s", name);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    ck_assert_int_eq(region_attach(&directory, 0, &region), -EACCES);
    ck_assert_ptr_nonnull(strstr(shmwal_error(), "no shared memory"));
    ck_assert_int_eq(unlink(path), 0);
}
END_TEST

/* All entries are those of others, who live: each has its lock. */
START_TEST(region_takes_no_more_than_it_has_entries_for)
{
    struct region region, second;
    attach(&region);
    int ring_fd = shm_object_open(&directory, SHM_RING, true);
    struct flock theirs = {.l_type = F_WRLCK,
                           .l_whence = SEEK_SET,
                           .l_start = LOCK_ATTACHMENTS + 2,
                           .l_len = ATTACHMENTS_MAX + 2};
    ck_assert_int_eq(fcntl(ring_fd, F_OFD_SETLK, &theirs), 0);
    for (uint32_t i = 0; i < ATTACHMENTS_MAX; i++)
        if (i != region.entry)
            atomic_store(&region.control->attachments[i].id, i + 2);
    ck_assert_int_eq(region_attach(&directory, 0, &second), -EUSERS);
    sys_fork_close(ring_fd); /* now they are dead */
    attach(&second);
    region_detach(&second);
    region_detach(&region);
}
END_TEST

START_TEST(region_truncated_ring_is_refused)
{
    struct region region;
    attach(&region);
    int ring_fd = shm_object_open(&directory, SHM_RING, true);
    region_detach(&region);
    ck_assert_int_eq(ftruncate(ring_fd, 4096), 0);
    ck_assert_int_eq(region_attach(&directory, 0, &region), -EIO);
    ck_assert_ptr_nonnull(strstr(shmwal_error(), "/dev/shm/duralog-"));
    sys_fork_close(ring_fd);
}
END_TEST

/* To take it for a ring that is not there, and make another, would lose what is committed. */
START_TEST(region_ring_that_cannot_be_read_is_an_error_and_stays)
{
    struct region first, second;
    struct region_flusher flusher;
    attach(&first);
    reads_left = 0;
    ck_assert_int_eq(region_attach(&directory, 0, &second), -EIO);
    reads_left = 0;
    ck_assert_int_eq(region_attach_flusher(&directory, &flusher), -EIO);
    ck_assert_int_eq(reads_left, -1);
    attach(&second);
    ck_assert_uint_gt(second.attachment, first.attachment); /* the same ring */
    if (region_detach(&second))
        region_remove_unserved(&directory);
    if (region_detach(&first))
        region_remove_unserved(&directory);
}
END_TEST

/* ---- Claims ---- */

static _Atomic int stop_changing;

/* Numbers that all have the same entry, and the process that claims each. */
static int32_t claimant(uint64_t id)
{
    return (int32_t)(id / ATTACHMENTS_MAX) + 1;
}

/* An entry whose handle is closed, and taken by another process, again and again: a number never
 * comes back. */
static void *change_hands(void *entry)
{
    struct attachment *mine = entry;
    for (uint64_t id = 1; !atomic_load(&stop_changing); id += ATTACHMENTS_MAX) {
        atomic_store(&mine->pid, claimant(id));
        atomic_store(&mine->id, id);
        atomic_store(&mine->id, 0);
    }
    return NULL;
}

START_TEST(region_claim_is_never_that_of_who_has_the_entry_now)
{
    static struct ring_control control;
    struct attachment *entry = &control.attachments[1];
    struct attachment_claim claim;
    pthread_t thread;
    atomic_store(&stop_changing, 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, change_hands, entry), 0);
    int64_t end = clock_monotonic_ns() + 3 * SECONDS; /* valgrind hardly lets the two meet */
    for (int found = 0; found < 100000 && clock_monotonic_ns() < end;) {
        uint64_t id = atomic_load(&entry->id);
        if (id != 0 && attachment_claims(&control, id, &claim)) {
            ck_assert_int_eq(claim.pid, claimant(id));
            found++;
        }
    }
    atomic_store(&stop_changing, 1);
    pthread_join(thread, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("region");
    TCase *cases = tcase_create("region");
    tcase_set_timeout(cases, 120);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, region_attach_makes_the_ring_and_the_next_one_finds_it);
    tcase_add_test(cases, region_numbers_are_never_used_twice);
    tcase_add_test(cases, region_state_cannot_be_written_by_a_producer);
    tcase_add_test(cases, region_killed_process_is_dead_even_as_a_zombie);
    tcase_add_test(cases, region_stopped_process_is_alive);
    tcase_add_test(cases, region_process_that_closes_all_descriptors_is_alive);
    tcase_add_test(cases, region_forked_child_does_not_keep_its_parent_alive);
    tcase_add_test(cases, region_process_whose_main_thread_ended_is_alive);
    tcase_add_test(cases, region_exec_ends_the_attachment);
    tcase_add_test(cases, region_liveness_holds_across_pid_namespaces);
    tcase_add_test(cases, region_last_to_leave_takes_an_empty_ring_along);
    tcase_add_test(cases, region_ring_with_something_in_it_stays);
    tcase_add_test(cases, region_interrupted_creation_is_made_anew);
    tcase_add_test(cases, region_overwritten_control_leads_nobody_astray);
    tcase_add_test(cases, region_of_another_layout_is_refused);
    tcase_add_test(cases, region_whose_name_another_has_is_told);
    tcase_add_test(cases, region_that_is_served_elsewhere_is_refused);
    tcase_add_test(cases, region_whose_turn_is_over_is_not_looked_at);
    tcase_add_test(cases, region_in_whose_place_a_fifo_stands_is_refused);
    tcase_add_test(cases, region_takes_no_more_than_it_has_entries_for);
    tcase_add_test(cases, region_truncated_ring_is_refused);
    tcase_add_test(cases, region_ring_that_cannot_be_read_is_an_error_and_stays);
    tcase_add_test(cases, region_claim_is_never_that_of_who_has_the_entry_now);
    suite_add_tcase(suite, cases);
    return support_main(suite);
}
