/* SPDX-License-Identifier: MIT
 *
 * A producer goes mad: it stores random values into everything of the ring that it may write.
 *
 * Each round, workers append to one log and count in shared memory what became durable; then one
 * more process, attached like them, stores random values into a part of the ring (tail, headers,
 * bytes, all the control words, or anything) while they go on, and is killed. Whatever it did,
 *
 *   - the flusher lives: the same process serves the log before and after;
 *   - what was durable before is read back as it was appended;
 *   - nothing is read that nobody appended: records are whole, and none is there twice;
 *   - once it is dead the log goes on: an append becomes durable and is read back.
 *
 * What is not durable when it strikes may be lost, and an append may fail, but with an error.
 *
 *     mad LOG [ROUNDS [SEED]]
 *
 * Knows the public header; of the ring's layout only where its parts lie. */
#include "region/layout.h"

#include <errno.h>
#include <inttypes.h>
#include <shmwal.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS = 3, LENGTH_MAX = 900, RING_BYTES = 64 * 1024, PAGE = 4096, INDEX_MAX = 1 << 20 };
#define WAIT_NS (60 * INT64_C(1000000000))

/* What a record says of itself; the rest of it is filled with the low byte of `index`. */
struct claim {
    uint32_t round, worker;
    uint64_t index;
};

/* A worker's; read by the parent. */
struct tally {
    _Atomic uint64_t refused; /* appends and waits that failed, with an error */
    _Atomic uint64_t durable_count;
    _Atomic bool durable[INDEX_MAX]; /* which records were, before the mad one struck */
};

static struct tally *tallies;
static _Atomic uint64_t *stores; /* the mad one's */
static const char *path;
static unsigned round_now;
static bool flusher_ended; /* this round, because it was stopped */

static void die(const char *what)
{
    fprintf(stderr, "mad: round %u: %s: %s\n", round_now, what, shmwal_error());
    exit(1);
}

static void check(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "mad: round %u: %s\n", round_now, what);
    exit(1);
}

static pid_t flusher_pid(void)
{
    shmwal_status status = {.size = sizeof status};
    if (shmwal_get_status(path, &status) < 0)
        die("status");
    return (pid_t)status.flusher_pid;
}

/* ---- The sane ones ---- */

static int append(shmwal *log, const struct claim *claim, unsigned *seed, uint64_t *lsn)
{
    char bytes[LENGTH_MAX];
    size_t length = sizeof *claim + (size_t)rand_r(seed) % (LENGTH_MAX - sizeof *claim);
    memset(bytes, (int)(claim->index & 255), sizeof bytes);
    memcpy(bytes, claim, sizeof *claim);
    return shmwal_append_for(log, bytes, length, SHMWAL_BYTES, WAIT_NS, lsn);
}

static void count_durable(struct tally *tally, bool *appended, uint64_t last)
{
    for (uint64_t i = last; i < INDEX_MAX && !atomic_load(&tally->durable[i]); i--)
        if (appended[i]) {
            atomic_store(&tally->durable[i], true);
            atomic_fetch_add(&tally->durable_count, 1);
        }
}

/* Appends and waits until it is killed. */
static void work(struct tally *tally, unsigned worker, unsigned seed)
{
    static bool appended[INDEX_MAX];
    shmwal *log;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (shmwal_open(path, NULL, &log) < 0)
        die("open");
    for (uint64_t i = 0; i < INDEX_MAX; i++) {
        struct claim claim = {round_now, worker, i};
        uint64_t lsn;
        int error = append(log, &claim, &seed, &lsn);
        appended[i] = error == 0;
        if (error == 0 && i % 4 == 0) {
            error = shmwal_wait(log, lsn, SHMWAL_DURABLE, WAIT_NS);
            if (error == 0 && atomic_load(stores) == 0)
                count_durable(tally, appended, i);
        }
        if (error < 0)
            atomic_fetch_add(&tally->refused, 1);
        /* The end that a wait is asked for may lie beyond a tail that was overwritten. */
        check(error == 0 || error == -EBADMSG || error == -EINVAL, shmwal_error());
    }
}

/* ---- The mad one ---- */

/* Where the ring's object is mapped in this process, by /proc/self/maps. */
static char *find_ring(size_t *length)
{
    char line[512];
    char *found = NULL;
    FILE *maps = fopen("/proc/self/maps", "r");
    check(maps != NULL, "no /proc/self/maps");
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long begin, end;
        if (found == NULL && strstr(line, "/duralog-") != NULL && strstr(line, " rw-s ") != NULL &&
            strstr(line, ".ring") != NULL && sscanf(line, "%lx-%lx", &begin, &end) == 2) {
            found = (char *)begin; /* NOLINT: the kernel says so */
            *length = end - begin;
        }
    }
    fclose(maps);
    check(found != NULL, "the ring is not mapped");
    return found;
}

struct part {
    const char *name;
    size_t begin, end; /* in the ring's object */
};

static struct part choose_part(unsigned *seed, size_t length)
{
    size_t headers = (sizeof(struct ring_control) + PAGE - 1) / PAGE * PAGE;
    size_t bytes = headers + RING_BYTES / RING_UNIT * sizeof(AO_double_t);
    size_t tail = offsetof(struct ring_control, tail);
    const struct part parts[] = {
        {"tail", tail, tail + sizeof(AO_double_t)},
        {"headers", headers, bytes},
        {"bytes", bytes, bytes + RING_BYTES},
        {"control", 0, offsetof(struct ring_control, attachments)},
        {"attachments", offsetof(struct ring_control, attachments), sizeof(struct ring_control)},
        {"all", 0, length},
    };
    return parts[(unsigned)rand_r(seed) % (sizeof parts / sizeof parts[0])];
}

/* One to eight random bytes; now and then zeros, ones, or a value that stands elsewhere. */
static void store_at_random(char *ring, struct part part, unsigned *seed)
{
    size_t width = (size_t)1 << rand_r(seed) % 4, room = part.end - part.begin;
    size_t at = part.begin + ((size_t)rand_r(seed) << 16 ^ (size_t)rand_r(seed)) % room;
    uint64_t value = (uint64_t)rand_r(seed) << 33 ^ (uint64_t)rand_r(seed);
    unsigned kind = (unsigned)rand_r(seed) % 8;
    at = at / width * width;
    if (kind < 2)
        value = kind == 0 ? 0 : UINT64_MAX;
    if (kind < 4 && at >= 64)
        memcpy(&value, ring + at - 64, sizeof value);
    atomic_fetch_add(stores, 1);
    if (at + width <= part.end)
        memcpy(ring + at, &value, width);
}

/* Stores until it is killed: in bursts, so that the flusher comes to see what they did. */
static void rave(unsigned seed)
{
    shmwal *log;
    size_t length = 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (shmwal_open(path, NULL, &log) < 0)
        die("open");
    char *ring = find_ring(&length);
    struct part part = choose_part(&seed, length);
    for (;;) {
        unsigned burst = 1 + (unsigned)rand_r(&seed) % 50;
        for (unsigned i = 0; i < burst; i++)
            store_at_random(ring, part, &seed);
        usleep((unsigned)rand_r(&seed) % 3000);
    }
}

/* ---- What is checked ---- */

static bool is_whole(const shmwal_record *record, struct claim *claim)
{
    const unsigned char *bytes = record->data;
    if (record->length < sizeof *claim)
        return false;
    memcpy(claim, bytes, sizeof *claim);
    for (size_t i = sizeof *claim; i < record->length; i++)
        if (bytes[i] != (claim->index & 255))
            return false;
    return claim->round == round_now && claim->worker <= WORKERS && claim->index < INDEX_MAX;
}

/* Reads the round's records; how many there are. */
static unsigned judge(uint64_t from_lsn, uint64_t last_lsn)
{
    static bool seen[WORKERS + 1][INDEX_MAX];
    uint64_t durable_found[WORKERS + 1] = {0};
    shmwal_reader *reader;
    shmwal_record record = {0};
    unsigned records = 0;
    int got = 1;
    memset(seen, 0, sizeof seen);
    if (shmwal_reader_open(path, from_lsn, &reader) < 0)
        die("reader");
    while (record.lsn != last_lsn && (got = shmwal_reader_next(reader, &record)) == 1) {
        struct claim claim;
        check(is_whole(&record, &claim), "a record that nobody appended");
        check(!seen[claim.worker][claim.index], "a record is there twice");
        if (claim.worker < WORKERS && atomic_load(&tallies[claim.worker].durable[claim.index]))
            durable_found[claim.worker]++;
        seen[claim.worker][claim.index] = true;
        records++;
    }
    if (got < 0)
        die("read");
    check(record.lsn == last_lsn, "the last record is not there");
    for (unsigned i = 0; i < WORKERS; i++)
        check(durable_found[i] == atomic_load(&tallies[i].durable_count),
              "what was durable before is not there");
    shmwal_reader_close(reader);
    return records;
}

/* A handle, after the storm. If the numbers of attachments were overwritten, nobody can attach to
 * this ring any more: a new one is made once the flusher was stopped. */
static shmwal *open_again(void)
{
    shmwal *log;
    int error = shmwal_open(path, NULL, &log);
    if (error == -EBADMSG) {
        flusher_ended = true;
        if (shmwal_stop(path, WAIT_NS) < 0)
            die("stop");
        error = shmwal_open(path, NULL, &log);
    }
    if (error < 0)
        die("open after the storm");
    return log;
}

/* An append that becomes durable: its LSN. What the storm left behind may cost it a few attempts,
 * each of which fails with an error. */
static uint64_t append_again(void)
{
    struct claim claim = {round_now, WORKERS, 0};
    uint64_t lsn;
    shmwal *log = open_again();
    int error = -1;
    for (; error < 0 && claim.index < 10000; claim.index++) {
        error = shmwal_append_for(log, &claim, sizeof claim, SHMWAL_BYTES, WAIT_NS, &lsn);
        if (error == 0)
            error = shmwal_wait(log, lsn, SHMWAL_DURABLE, WAIT_NS);
        check(error == 0 || error == -EBADMSG || error == -EINVAL, shmwal_error());
    }
    if (error < 0)
        die("the log does not go on");
    shmwal_close(log);
    return lsn;
}

static void pause_us(unsigned us)
{
    struct timespec time = {us / 1000000, us % 1000000 * 1000};
    nanosleep(&time, NULL);
}

static void end_process(pid_t pid)
{
    int status;
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "a process ended by itself");
}

static pid_t spawn_worker(unsigned worker, unsigned seed)
{
    pid_t pid = fork();
    if (pid == 0)
        work(&tallies[worker], worker, seed);
    return pid;
}

static pid_t spawn_mad(unsigned seed)
{
    pid_t pid = fork();
    if (pid == 0)
        rave(seed);
    return pid;
}

static void await_durable_records(void)
{
    for (unsigned i = 0; i < WORKERS; i++)
        while (atomic_load(&tallies[i].durable_count) == 0)
            pause_us(1000);
}

/* One storm. Returns where the log ends behind it. */
static uint64_t play_round(uint64_t from_lsn, unsigned *seed, unsigned *records)
{
    pid_t workers[WORKERS];
    memset(tallies, 0, WORKERS * sizeof *tallies);
    atomic_store(stores, 0);
    flusher_ended = false;
    for (unsigned i = 0; i < WORKERS; i++)
        workers[i] = spawn_worker(i, (unsigned)rand_r(seed));
    await_durable_records();
    pid_t flusher = flusher_pid();
    pid_t mad = spawn_mad((unsigned)rand_r(seed));
    uint64_t enough = 1 + (unsigned)rand_r(seed) % 2000;
    while (atomic_load(stores) < enough)
        pause_us(1000);
    end_process(mad);
    pause_us((unsigned)rand_r(seed) % 20000);
    for (unsigned i = 0; i < WORKERS; i++)
        end_process(workers[i]);
    uint64_t last_lsn = append_again();
    check(flusher_ended || flusher_pid() == flusher, "the flusher did not survive it");
    *records += judge(from_lsn, last_lsn);
    return last_lsn;
}

int main(int count, char **words)
{
    unsigned rounds = count > 2 ? (unsigned)atoi(words[2]) : 20;
    unsigned seed = count > 3 ? (unsigned)strtoul(words[3], NULL, 10) : 1, records = 0;
    uint64_t lsn = 0, stored = 0, refused = 0;
    shmwal_options options = SHMWAL_OPTIONS_INIT;
    if (count < 2) {
        fprintf(stderr, "usage: mad LOG [ROUNDS [SEED]]\n");
        return 2;
    }
    path = words[1];
    tallies = mmap(NULL, (WORKERS + 1) * sizeof *tallies, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    stores = (_Atomic uint64_t *)(tallies + WORKERS);
    options.ring_bytes = RING_BYTES;
    options.segment_bytes = 4 << 20;
    if (shmwal_create(path, &options) < 0)
        die("create");
    for (round_now = 0; round_now < rounds; round_now++) {
        lsn = play_round(lsn, &seed, &records);
        stored += atomic_load(stores);
        for (unsigned i = 0; i < WORKERS; i++)
            refused += atomic_load(&tallies[i].refused);
    }
    shmwal_verification result = {.size = sizeof result};
    if (shmwal_stop(path, WAIT_NS) < 0 || shmwal_verify(path, &result, NULL, NULL) < 0)
        die("verify");
    check(!result.damaged && !result.torn, "the log is damaged");
    printf("%u rounds, %" PRIu64 " stores, %u records read, %" PRIu64 " calls refused: the flusher "
           "lives\n",
           rounds, stored, records, refused);
    return 0;
}
