/* SPDX-License-Identifier: MIT
 *
 * SIGKILL of any and all processes at random moments: everything whose append returned is there.
 *
 * Each round, worker processes append to one log, counting in shared memory what has returned;
 * after a random while some or all of them and, in most rounds, the flusher are killed. Then the
 * log is read from where the round began: each worker's records must be there without a gap up to
 * the last one whose append returned, and at most one beyond it per thread of control. Some workers
 * wait for durability, so that takeovers happen under waiters; some reserve and are killed between
 * reserve and commit.
 *
 *   kill LOG [ROUNDS [SEED [WORKERS]]]
 *
 * It prints the seed; with it again, the same choices are made. */
#include <shmwal.h>

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS_MAX = 64, LENGTH_MAX = 3000 };

/* What a record says of itself; the rest of it is filled with the low byte of `index`. */
struct claim {
    uint32_t round, worker;
    uint64_t index;
};

/* Counted by the worker after the call returned, read by the parent after its death. */
struct tally {
    _Alignas(64) _Atomic uint64_t appended; /* records whose append or commit returned */
    _Atomic uint64_t durable_lsn;           /* the highest LSN whose wait returned */
};

static struct tally *tallies;
static const char *path;
static unsigned workers = 4;
static uint64_t kills; /* that met a living process */

static void die(const char *what)
{
    fprintf(stderr, "kill: %s: %s\n", what, shmwal_error());
    exit(1);
}

static void check(bool condition, const char *what, unsigned round, unsigned worker)
{
    if (condition)
        return;
    fprintf(stderr, "kill: round %u, worker %u: %s\n", round, worker, what);
    exit(1);
}

static void append_in_place(shmwal *log, const struct claim *claim, size_t length, uint64_t *lsn)
{
    shmwal_slot slot;
    if (shmwal_reserve(log, length, &slot) < 0)
        die("reserve");
    memset(slot.data, (int)(claim->index & 255), length);
    memcpy(slot.data, claim, sizeof *claim);
    if (shmwal_commit(log, &slot, lsn) < 0)
        die("commit");
}

static void append_copy(shmwal *log, const struct claim *claim, size_t length, uint64_t *lsn)
{
    char bytes[LENGTH_MAX];
    memset(bytes, (int)(claim->index & 255), length);
    memcpy(bytes, claim, sizeof *claim);
    if (shmwal_append(log, bytes, length, lsn) < 0)
        die("append");
}

/* Appends until it is killed. */
static void work(unsigned round, unsigned worker, unsigned seed)
{
    shmwal *log;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (shmwal_open(path, NULL, &log) < 0)
        die("open");
    for (uint64_t i = 0;; i++) {
        struct claim claim = {round, worker, i};
        uint64_t lsn;
        size_t length = sizeof claim + (size_t)rand_r(&seed) % (LENGTH_MAX - sizeof claim);
        if (worker % 2 == 0)
            append_copy(log, &claim, length, &lsn);
        else
            append_in_place(log, &claim, length, &lsn);
        atomic_store(&tallies[worker].appended, i + 1);
        if (worker % 4 == 3 || rand_r(&seed) % 1000 == 0) {
            if (shmwal_wait(log, lsn, SHMWAL_DURABLE, -1) < 0)
                die("wait");
            atomic_store(&tallies[worker].durable_lsn, lsn);
        }
    }
}

static void pause_us(unsigned us)
{
    struct timespec time = {us / 1000000, us % 1000000 * 1000};
    nanosleep(&time, NULL);
}

static void kill_flusher(void)
{
    shmwal_status status = {.size = sizeof status};
    if (shmwal_get_status(path, &status) == 0 && status.flusher_pid > 0)
        kills += kill((pid_t)status.flusher_pid, SIGKILL) == 0;
}

/* Lets workers loose, kills at random; returns when all workers are gone. */
static void rage(unsigned round, unsigned *seed)
{
    pid_t pids[WORKERS_MAX];
    memset(tallies, 0, WORKERS_MAX * sizeof *tallies);
    for (unsigned i = 0; i < workers; i++) {
        unsigned worker_seed = (unsigned)rand_r(seed);
        pids[i] = fork();
        if (pids[i] == 0)
            work(round, i, worker_seed);
    }
    pause_us(1000 + (unsigned)rand_r(seed) % 60000);
    unsigned order = (unsigned)rand_r(seed);
    if (order % 4 == 0)
        kill_flusher(); /* before the workers: they find a successor or are killed waiting */
    for (unsigned i = 0; i < workers; i++) {
        if (rand_r(seed) % 3 == 0)
            pause_us((unsigned)rand_r(seed) % 5000);
        kill(pids[(i + order) % workers], SIGKILL);
    }
    if (order % 4 == 1 || order % 4 == 2)
        kill_flusher();
    for (unsigned i = 0; i < workers; i++) {
        int status;
        waitpid(pids[i], &status, 0);
        check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "ended before it was killed",
              round, i);
        kills++;
    }
}

static bool filled(const shmwal_record *record, const struct claim *claim)
{
    const unsigned char *bytes = record->data;
    for (size_t i = sizeof *claim; i < record->length; i++)
        if (bytes[i] != (claim->index & 255))
            return false;
    return true;
}

/* Reads what the round added and holds it against the tallies; returns the log's end. */
static uint64_t judge(unsigned round, uint64_t from_lsn, uint64_t *records)
{
    uint64_t found[WORKERS_MAX] = {0}, end;
    shmwal_reader *reader;
    shmwal_record record;
    shmwal *log;
    if (shmwal_open(path, NULL, &log) < 0)
        die("open after the kill");
    end = shmwal_reserved_lsn(log);
    if (shmwal_wait(log, end, SHMWAL_DURABLE, 60 * INT64_C(1000000000)) < 0)
        die("wait for all");
    if (shmwal_reader_open(path, from_lsn, &reader) < 0)
        die("reader");
    int got;
    while ((got = shmwal_reader_next(reader, &record)) == 1) {
        struct claim claim;
        check(record.length >= sizeof claim, "a record is too short", round, 0);
        memcpy(&claim, record.data, sizeof claim);
        check(claim.round == round && claim.worker < workers, "a foreign record", round, 0);
        check(claim.index == found[claim.worker], "a record is missing, doubled or out of order",
              round, claim.worker);
        check(filled(&record, &claim), "a record's bytes were altered", round, claim.worker);
        found[claim.worker]++;
        (*records)++;
    }
    if (got < 0)
        die("read");
    shmwal_reader_close(reader);
    for (unsigned i = 0; i < workers; i++) {
        uint64_t appended = atomic_load(&tallies[i].appended);
        check(found[i] >= appended, "an append had returned, and its record is not there", round,
              i);
        check(found[i] <= appended + 1, "a record that was never appended", round, i);
        check(atomic_load(&tallies[i].durable_lsn) <= end, "a durable LSN beyond the end", round,
              i);
    }
    if (shmwal_close(log) < 0)
        die("close");
    return end;
}

int main(int count, char **words)
{
    unsigned rounds = count > 2 ? (unsigned)atoi(words[2]) : 100;
    unsigned seed = count > 3 ? (unsigned)strtoul(words[3], NULL, 10) : (unsigned)time(NULL);
    unsigned first_seed = seed;
    uint64_t end = 0, records = 0;
    if (count > 4)
        workers = (unsigned)atoi(words[4]);
    if (count < 2 || workers == 0 || workers > WORKERS_MAX) {
        fprintf(stderr, "usage: kill LOG [ROUNDS [SEED [WORKERS]]]\n");
        return 2;
    }
    path = words[1];
    printf("seed %u\n", first_seed);
    fflush(stdout);
    tallies = mmap(NULL, WORKERS_MAX * sizeof *tallies, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shmwal_options options = SHMWAL_OPTIONS_INIT;
    options.ring_bytes = 1 << 20;
    options.segment_bytes = 4 << 20;
    if (shmwal_create(path, &options) < 0)
        die("create");
    for (unsigned round = 0; round < rounds; round++) {
        rage(round, &seed);
        end = judge(round, end, &records);
    }
    shmwal_verification result = {.size = sizeof result};
    if (shmwal_stop(path, 60 * INT64_C(1000000000)) < 0)
        die("stop");
    if (shmwal_verify(path, &result, NULL, NULL) < 0)
        die("verify");
    if (result.damaged || result.torn || result.records != records)
        die("verify found another log than was read");
    printf("%u rounds, %" PRIu64 " kills, %" PRIu64 " records, %" PRIu64 " bytes: nothing lost\n",
           rounds, kills, records, end);
    return 0;
}
