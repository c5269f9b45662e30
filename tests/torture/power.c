/* SPDX-License-Identifier: MIT
 *
 * Power loss: the real flusher on a real file system, over a device whose writes are lost.
 *
 * A run records what a log in use, its creation included, does to the device. Then the power fails
 * at all places of the record, in many ways (states.h); each time the file system is mounted, which
 * replays its own journal, and the log is recovered and compared with what was appended and what
 * had been acknowledged (history.h). Now and then the log is used again after such a failure; that
 * is recorded, and the power fails in it, too.
 *
 *   power [--fs ext4|xfs|btrfs] [--states N] [--seed N] [--expect-loss]
 *
 * SIGTERM ends it at the next state, with the sum of what was tried until then. Exit status 0: no
 * state was wrong; 1: one was; 77: this machine cannot do it. --expect-loss: the flusher is one
 * that is known to be wrong, and 0 means that it was caught.
 *
 * Knows device, states, history, workload. Changes when another file system is tried. */
#include "device.h"
#include "draw.h"
#include "history.h"
#include "states.h"
#include "workload.h"

#include <shmwal.h>

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { STATUS_WRONG = 1, STATUS_USAGE = 2, STATUS_CANNOT = 77 };

/* A run costs seconds, so it pays for many states; a second run, after a failure, for some. */
enum {
    STATES_A_RUN = 2500,
    STATES_A_SECOND_RUN = 40,
    SECOND_RUN_EVERY = 150,
    AGAIN_EVERY = 6,
    BULK_RUN_EVERY = 3
};
enum { REPORTS_MAX = 20 };

struct file_system {
    const char *name, *make, *mount_options;
    uint64_t bytes;
    struct whole whole;
};

static const struct file_system file_systems[] = {
    {"ext4",
     "mkfs.ext4 -q -b 4096 -J size=4 -E nodiscard,lazy_itable_init=0",
     NULL,
     UINT64_C(32) << 20,
     {0, 4096}},
    {"xfs", "mkfs.xfs -q -K", "nouuid", UINT64_C(304) << 20, {0, 512}},
    {"btrfs", "mkfs.btrfs -q -K -M", NULL, UINT64_C(64) << 20, {65536, 69632}},
};

struct power {
    const struct file_system *file_system;
    struct device *device;
    struct tape *tape;
    char mount_point[80], log[128];
    uint64_t states_wanted, seed;
    bool expect_loss;

    struct history history;
    uint64_t states, second_states, runs, second_runs, refused, wrong;
    uint64_t widest; /* window: bytes between two flushes */
    uint64_t *seen;  /* a hash table of the states of this run */
};

enum { SEEN_SLOTS = 1 << 16 };

static volatile sig_atomic_t told_to_end;

static void on_signal(int number)
{
    (void)number;
    told_to_end = 1;
}

static bool is_over(const struct power *power)
{
    return told_to_end || power->states >= power->states_wanted ||
           (power->expect_loss && power->wrong > 0);
}

static double now_s(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* ---- The file system ---- */

static bool mount_it(const struct power *power)
{
    device_forget(power->device);
    return mount(power->device->node, power->mount_point, power->file_system->name, MS_NOATIME,
                 power->file_system->mount_options) == 0;
}

/* A flusher that has answered may still be on its way out. */
static void unmount_it(const struct power *power)
{
    while (umount2(power->mount_point, 0) < 0) {
        if (errno != EBUSY) {
            perror("power: umount");
            exit(STATUS_WRONG);
        }
        usleep(1000);
    }
}

static bool make_file_system(const struct power *power)
{
    char command[256];
    snprintf(command, sizeof command, "%s %s >/dev/null", power->file_system->make,
             power->device->node);
    return system(command) == 0;
}

/* ---- Recording ---- */

static void fail_run(const struct power *power, const char *wrong)
{
    fprintf(stderr, "power: seed %" PRIu64 ", run %" PRIu64 ": %s\n", power->seed, power->runs,
            wrong);
    exit(STATUS_WRONG);
}

/* Two lives of the log: made, used, its flusher killed; and used again after a clean end. */
static void record_run(struct power *power, uint64_t *seed)
{
    uint32_t next[WRITERS_MAX] = {0};
    bool bulk = power->runs % BULK_RUN_EVERY == 0;
    struct workload workload = {
        .path = power->log,
        .tape = power->tape,
        .ring_bytes = bulk ? 2 << 20 : 64 << 10,
        .segment_bytes = (uint64_t)(bulk ? 1024 : 64) << (10 + draw(seed) % 3),
        .first_writer = bulk ? BULK_WRITERS : 0,
        .writers = 1 + (unsigned)(draw(seed) % 3),
        .next = next,
        .records = 150,
        .bulk = bulk,
        .kills = 1,
        .seed = (unsigned)draw(seed),
    };
    workload.spare_bytes = draw(seed) % 5 * workload.segment_bytes; /* up to four, or none */
    tape_rewind(power->tape, 0, 0);
    power->tape->running = true;
    if (!mount_it(power))
        fail_run(power, "the new file system cannot be mounted");
    const char *wrong = workload_run(&workload);
    workload.kills = (unsigned)(draw(seed) % 2);
    if (wrong == NULL)
        wrong = workload_run(&workload);
    power->tape->running = false;
    history_clear(&power->history);
    if (wrong == NULL)
        wrong = history_extend(&power->history, power->log);
    for (unsigned i = 0; i < WRITERS_MAX && wrong == NULL; i++)
        if (power->history.next[i] != next[i])
            wrong = "records are missing without any loss of power";
    unmount_it(power);
    if (wrong != NULL)
        fail_run(power, wrong);
}

/* ---- States ---- */

/* False if this run has had it already. */
static bool is_new(struct power *power, uint64_t identity)
{
    uint64_t slot = identity % SEEN_SLOTS;
    for (unsigned i = 0; i < 8; i++, slot = (slot + 1) % SEEN_SLOTS) {
        if (power->seen[slot] == identity)
            return false;
        if (power->seen[slot] == 0)
            break;
    }
    power->seen[slot] = identity;
    return true;
}

static void report_wrong(struct power *power, const struct promise *promise, const char *wrong)
{
    power->wrong++;
    if (power->wrong > (power->expect_loss ? 1 : REPORTS_MAX))
        return;
    fprintf(stderr,
            "power: %s, seed %" PRIu64 ", run %" PRIu64 ", state %" PRIu64
            " (acknowledged up to LSN %" PRIu64 "): %s\n",
            power->file_system->name, power->seed, power->runs, power->states, promise->durable_lsn,
            wrong);
}

/* A log whose making was not acknowledged yet may be there or not, but it can be made. */
static const char *check_state(struct power *power, const struct history *history,
                               const struct promise *promise, bool again, uint64_t *end_lsn)
{
    shmwal_options options = SHMWAL_OPTIONS_INIT;
    options.ring_bytes = options.segment_bytes = 64 << 10;
    if (!promise->created && shmwal_create(power->log, &options) < 0)
        return shmwal_error();
    return history_check(history, power->log, promise->durable_lsn, again, end_lsn);
}

/* Mounts what is on the device now and judges the log; true if it could be mounted. */
static bool judge(struct power *power, const struct history *history, const struct promise *promise,
                  bool again)
{
    uint64_t end_lsn;
    if (!mount_it(power)) {
        if (power->refused++ == 0)
            fprintf(stderr, "power: %s refuses a state: %s\n", power->file_system->name,
                    strerror(errno));
        return false;
    }
    const char *wrong = check_state(power, history, promise, again, &end_lsn);
    if (wrong != NULL)
        report_wrong(power, promise, wrong);
    unmount_it(power);
    return true;
}

/* Uses the log again, as after a reboot, and writes down what that does to the device. */
static const char *record_second_run(struct power *power, struct promise *promise,
                                     struct history *history, uint64_t *seed)
{
    uint32_t next[WRITERS_MAX] = {0};
    uint64_t end_lsn;
    struct workload workload = {
        .path = power->log,
        .tape = power->tape,
        .ring_bytes = 64 << 10,
        .first_writer = WRITERS_MAX / 2,
        .writers = 1 + (unsigned)(draw(seed) % 2),
        .next = next,
        .records = 12,
        .kills = (unsigned)(draw(seed) % 2),
        .seed = (unsigned)draw(seed),
    };
    power->tape->running = true;
    if (!mount_it(power))
        return "";
    const char *wrong = check_state(power, &power->history, promise, false, &end_lsn);
    if (wrong == NULL) {
        tape_note(power->tape, EVENT_CREATED, 0, NULL, 0);
        tape_note(power->tape, EVENT_DURABLE, end_lsn, NULL, 0);
        history_copy(history, &power->history, end_lsn);
        wrong = workload_run(&workload);
    }
    power->tape->running = false;
    if (wrong == NULL)
        wrong = history_extend(history, power->log);
    unmount_it(power);
    return wrong;
}

static void fail_again(struct power *power, const struct history *history, uint64_t first,
                       struct promise promise, uint64_t *seed)
{
    struct tape *tape = power->tape;
    struct window window;
    uint64_t target = first + draw(seed) % (tape->count - first);
    for (window = window_at(tape, first); window.end < target;)
        window = window_at(tape, window.end + 1);
    device_layer(power->device);
    states_apply(power->device, first, window.begin);
    promise_raise(&promise, tape, first, window.begin);
    states_choose(power->device, window, power->file_system->whole, seed, &promise);
    if (judge(power, history, &promise, false))
        power->second_states++;
    device_restore(power->device);
}

/* On the device is a state of the first run: goes on from there, and fails again. */
static void second_run(struct power *power, struct promise promise, uint64_t *seed)
{
    struct tape *tape = power->tape;
    uint64_t first = tape->count, used = tape->used;
    struct history history = {0};
    device_layer(power->device);
    const char *wrong = record_second_run(power, &promise, &history, seed);
    device_restore(power->device);
    if (wrong != NULL && wrong[0] != '\0')
        report_wrong(power, &promise, wrong);
    for (unsigned i = 0; i < STATES_A_SECOND_RUN && wrong == NULL; i++)
        fail_again(power, &history, first, promise, seed);
    power->second_runs++;
    history_clear(&history);
    tape_rewind(tape, first, used);
}

static void note_width(struct power *power, struct window window)
{
    uint64_t bytes = 0;
    for (uint64_t i = window.begin; i < window.end; i++)
        bytes += power->tape->events[i].bytes;
    power->widest = bytes > power->widest ? bytes : power->widest;
}

static void one_state(struct power *power, struct window window, struct promise promise,
                      uint64_t *seed)
{
    device_layer(power->device);
    uint64_t identity =
        states_choose(power->device, window, power->file_system->whole, seed, &promise);
    if (is_new(power, identity ^ window.begin << 40)) {
        bool again = draw(seed) % AGAIN_EVERY == 0;
        if (draw(seed) % SECOND_RUN_EVERY == 0 && !power->expect_loss)
            second_run(power, promise, seed);
        if (judge(power, &power->history, &promise, again))
            power->states++;
    }
    device_restore(power->device);
}

/* As many in each window; in some of them only if there are more windows than states. */
static void fail_everywhere(struct power *power, uint64_t *seed)
{
    const struct tape *tape = power->tape;
    uint64_t events = tape->count, flushes = 1;
    struct promise promise = {0};
    for (uint64_t i = 0; i < events; i++)
        flushes += tape->events[i].kind == EVENT_FLUSH;
    memset(power->seen, 0, SEEN_SLOTS * sizeof *power->seen);
    uint64_t left = power->states_wanted - power->states;
    uint64_t wanted = left < STATES_A_RUN ? left : STATES_A_RUN;
    for (uint64_t at = 0; at < events && !is_over(power);) {
        struct window window = window_at(tape, at);
        note_width(power, window);
        uint64_t share = wanted / flushes + (draw(seed) % flushes < wanted % flushes);
        for (uint64_t i = 0; i < share && !is_over(power); i++)
            one_state(power, window, promise, seed);
        states_apply(power->device, window.begin, window.end);
        promise_raise(&promise, tape, window.begin, window.end);
        at = window.end + 1;
    }
}

static void one_run(struct power *power)
{
    uint64_t seed = power->seed + power->runs * 1000003;
    device_layer(power->device);
    record_run(power, &seed);
    device_restore(power->device);
    device_layer(power->device);
    fail_everywhere(power, &seed);
    device_restore(power->device);
    power->runs++;
}

/* ---- The program ---- */

static int summarize(const struct power *power, double seconds)
{
    printf("power: %s: %" PRIu64 " states of %" PRIu64 " runs, %" PRIu64 " states of %" PRIu64
           " runs after a failure, %" PRIu64 " KiB at most in flight, %" PRIu64
           " refused by the file system, %" PRIu64 " wrong; seed %" PRIu64 ", %.0f s\n",
           power->file_system->name, power->states, power->runs, power->second_states,
           power->second_runs, power->widest >> 10, power->refused, power->wrong, power->seed,
           seconds);
    if (power->expect_loss)
        return power->wrong > 0 ? 0 : STATUS_WRONG;
    return power->wrong == 0 ? 0 : STATUS_WRONG;
}

/* However the program ends: nothing is left. */
static struct power *to_clean;

static void clean(void)
{
    rmdir(to_clean->mount_point);
    device_close(to_clean->device);
}

static int usage(void)
{
    fprintf(stderr, "usage: power [--fs ext4|xfs|btrfs] [--states N] [--seed N] [--expect-loss]\n");
    return STATUS_USAGE;
}

static bool parse(int count, char **words, struct power *power)
{
    static const struct option options[] = {{"fs", required_argument, NULL, 'f'},
                                            {"states", required_argument, NULL, 'n'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"expect-loss", no_argument, NULL, 'x'},
                                            {0}};
    for (int option; (option = getopt_long(count, words, "", options, NULL)) != -1;) {
        if (option == 'n')
            power->states_wanted = strtoull(optarg, NULL, 0);
        else if (option == 's')
            power->seed = strtoull(optarg, NULL, 0);
        else if (option == 'x')
            power->expect_loss = true;
        else if (option != 'f')
            return false;
        for (size_t i = 0; option == 'f' && i < sizeof file_systems / sizeof *file_systems; i++)
            if (strcmp(optarg, file_systems[i].name) == 0)
                power->file_system = &file_systems[i];
    }
    return optind == count;
}

int main(int count, char **words)
{
    static struct power power = {.file_system = &file_systems[0], .states_wanted = 300};
    power.seed = (uint64_t)time(NULL);
    const char *reason;
    if (!parse(count, words, &power))
        return usage();
    double began = now_s();
    setlinebuf(stdout);
    power.tape = tape_new();
    power.seen = calloc(SEEN_SLOTS, sizeof *power.seen);
    power.device = device_open(power.file_system->bytes, power.tape, &reason);
    if (power.device == NULL || power.seen == NULL) {
        printf("power: not done: %s\n", reason);
        return STATUS_CANNOT;
    }
    strcpy(power.mount_point, "/tmp/duralog-power-XXXXXX");
    to_clean = &power;
    atexit(clean);
    signal(SIGTERM, on_signal);
    int status = STATUS_CANNOT;
    if (mkdtemp(power.mount_point) != NULL && make_file_system(&power)) {
        snprintf(power.log, sizeof power.log, "%s/a/b/log", power.mount_point);
        while (!is_over(&power))
            one_run(&power);
        status = summarize(&power, now_s() - began);
    } else {
        printf("power: not done: no %s can be made\n", power.file_system->name);
    }
    return status;
}
