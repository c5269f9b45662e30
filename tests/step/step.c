/* SPDX-License-Identifier: MIT
 *
 * A producer is killed at every instruction of the public calls; the others go on at once.
 *
 * For each call and each instruction that it executes (in a loop: in its first rounds) a child
 * opens the log, begins the call, and is killed just before that instruction. Then this process,
 * attached to the same log, appends without waiting for room and waits until that is durable. It
 * checks that the child reserved all it would have or nothing; that its record is there whole, or
 * its exact extent became one filler, or it was discarded; and that what it was told stands.
 *
 *     step DIRECTORY [STRIDE [OPERATION]]     STRIDE: every how manieth is tried
 *
 * Knows stepping.h and the public header. */
#include "../remove_tree.h"
#include "stepping.h"

#include <inttypes.h>
#include <shmwal.h>
#include <sys/mman.h>
#include <time.h>

enum {
    LENGTH = 100,
    SPAN = 128, /* of a record of that length */
    BATCH = 3,
    ROUNDS = 8, /* an instruction in a loop is a kill point so often */
    AT_END = STEPS_MAX,
};
#define WAIT_NS INT64_C(60000000000)

/* What the child tells, in memory that outlives it. */
struct diary {
    volatile bool returned;
    int error;
    uint64_t lsn;
};

struct operation {
    const char *name;
    void (*prepare)(void);
    int (*act)(uint64_t *lsn);
    uint64_t prepared, reserved; /* what it has reserved before the call, and behind it */
    unsigned visible;            /* records that may be there afterwards: all of them, or none */
    bool promised;               /* once the call has returned they must be */
    bool discards;               /* an extent may end without a filler for the dead */
    bool sleeps;                 /* while the flusher is stopped */
    enum step_size size;
};

static struct diary *diary;
static char directory[256], path[300];
static shmwal *other;  /* this process's handle; the child has one of its own: */
static shmwal *victim; /* in the child alone */
static shmwal_slot slot;
static char payload[BATCH * LENGTH];
static shmwal_options options = SHMWAL_OPTIONS_INIT;
static unsigned points, step_now;

static void fail_at(const struct operation *operation, const char *what)
{
    fprintf(stderr, "step: %s, killed behind step %u: %s (%s)\n", operation->name, step_now, what,
            shmwal_error());
    exit(1);
}

static void require(bool condition, const struct operation *operation, const char *what)
{
    if (!condition)
        fail_at(operation, what);
}

/* ---- What the child does ---- */

static void must(int result)
{
    if (result >= 0)
        return;
    fprintf(stderr, "step: the child: %s\n", shmwal_error());
    _exit(98);
}

static void prepare_nothing(void) {}

static void prepare_open(void)
{
    must(shmwal_open(path, &options, &victim));
}

static void prepare_reserved(void)
{
    prepare_open();
    must(shmwal_reserve(victim, LENGTH, &slot));
    memcpy(slot.data, payload, LENGTH);
}

static void prepare_appended(void)
{
    prepare_open();
    must(shmwal_append(victim, payload, LENGTH, &diary->lsn));
}

static int act_append(uint64_t *lsn)
{
    return shmwal_append(victim, payload, LENGTH, lsn);
}

static int act_batch(uint64_t *lsn)
{
    const uint32_t lengths[BATCH] = {LENGTH, LENGTH, LENGTH};
    return shmwal_append_batch(victim, payload, lengths, NULL, BATCH, -1, lsn, NULL);
}

static int act_reserve(uint64_t *lsn)
{
    (void)lsn;
    return shmwal_reserve(victim, LENGTH, &slot);
}

static int act_commit(uint64_t *lsn)
{
    return shmwal_commit(victim, &slot, lsn);
}

static int act_discard(uint64_t *lsn)
{
    (void)lsn;
    return shmwal_discard(victim, &slot);
}

/* The flusher is stopped: it sleeps, looks whether one lives, sleeps again, and gives up. */
static int act_wait(uint64_t *lsn)
{
    int error = shmwal_wait(victim, *lsn, SHMWAL_DURABLE, 70 * 1000 * 1000);
    return error == -ETIMEDOUT ? 0 : error;
}

static int act_open(uint64_t *lsn)
{
    (void)lsn;
    return shmwal_open(path, &options, &victim);
}

static int act_close(uint64_t *lsn)
{
    (void)lsn;
    return shmwal_close(victim);
}

static const struct operation operations[] = {
    {"append", prepare_open, act_append, 0, SPAN, 1, true, false, false, EVERY_INSTRUCTION},
    {"batch", prepare_open, act_batch, 0, BATCH *SPAN, BATCH, true, false, false,
     EVERY_INSTRUCTION},
    {"reserve", prepare_open, act_reserve, 0, SPAN, 0, false, false, false, EVERY_INSTRUCTION},
    {"commit", prepare_reserved, act_commit, SPAN, SPAN, 1, true, false, false, EVERY_INSTRUCTION},
    {"discard", prepare_reserved, act_discard, SPAN, SPAN, 0, false, true, false,
     EVERY_INSTRUCTION},
    {"wait", prepare_appended, act_wait, SPAN, SPAN, 1, true, false, true, EVERY_INSTRUCTION},
    {"open", prepare_nothing, act_open, 0, 0, 0, false, false, false, OWN_INSTRUCTIONS},
    {"open: calls", prepare_nothing, act_open, 0, 0, 0, false, false, false, SYSTEM_CALLS},
    {"close", prepare_reserved, act_close, SPAN, SPAN, 0, false, false, false, OWN_INSTRUCTIONS},
    {"close: calls", prepare_reserved, act_close, SPAN, SPAN, 0, false, false, false, SYSTEM_CALLS},
};

/* Of a log that is not there. */
static const struct operation creation = {
    "creation", prepare_nothing, act_open, 0, 0, 0, false, false, false, OWN_INSTRUCTIONS};
static const struct operation creation_calls = {
    "creation: calls", prepare_nothing, act_open, 0, 0, 0, false, false, false, SYSTEM_CALLS};

static void run_child(const struct operation *operation)
{
    step_trace_me();
    operation->prepare();
    step_begin_here();
    int error = operation->act(&diary->lsn);
    diary->error = error;
    diary->returned = true;
    for (;;)
        step_begin_here();
}

/* ---- What is checked ---- */

static shmwal_status look(const struct operation *operation)
{
    shmwal_status status = {.size = sizeof status};
    if (shmwal_get_status(path, &status) < 0)
        fail_at(operation, "no status");
    return status;
}

/* How many records of the child stand in front of the one that ends at `last`. */
static unsigned count_records(const struct operation *operation, uint64_t from, uint64_t last)
{
    shmwal_reader *reader;
    shmwal_record record;
    unsigned count = 0;
    if (shmwal_reader_open(path, from, &reader) < 0)
        fail_at(operation, "no reader");
    for (;;) {
        if (shmwal_reader_next(reader, &record) != 1)
            fail_at(operation, "the log ends too early");
        if (record.lsn == last)
            break;
        const char *expected = payload + (size_t)count * LENGTH;
        require(count < operation->visible && record.length == LENGTH &&
                    memcmp(record.data, expected, LENGTH) == 0,
                operation, "a record that nobody appended");
        count++;
        require(record.lsn == from + (uint64_t)count * SPAN, operation, "a record elsewhere");
    }
    shmwal_reader_close(reader);
    return count;
}

static void judge(const struct operation *operation, uint64_t from, uint64_t fillers_before)
{
    uint64_t end = shmwal_reserved_lsn(other), reserved = end - from, last;
    require(reserved == operation->prepared || reserved == operation->reserved, operation,
            "something else than the call's extent is reserved");
    require(!diary->returned || (diary->error >= 0 && reserved == operation->reserved), operation,
            "the call returned, and its extent is not reserved");
    if (shmwal_append_for(other, "next", 4, SHMWAL_BYTES, 0, &last) < 0)
        fail_at(operation, "the others do not go on at once");
    require(last == end + 64, operation, "the next record does not follow the dead one's extent");
    if (shmwal_wait(other, last, SHMWAL_DURABLE, WAIT_NS) < 0)
        fail_at(operation, "the others do not go on");
    unsigned records = count_records(operation, from, last);
    uint64_t fillers = look(operation).fillers_dead - fillers_before;
    require(records == 0 || records == operation->visible, operation, "half of a batch");
    require(!diary->returned || !operation->promised || records > 0, operation,
            "what was acknowledged is not there");
    bool finished = records > 0 || reserved == 0;
    require(fillers == !finished || (operation->discards && fillers == 0), operation,
            "the dead one's extent did not become one filler");
}

/* ---- One child ---- */

static struct step_record record;

/* Begins the call in a child and leaves it at that place of the record, or behind so many system
 * calls, or at its end, having recorded it. */
static pid_t child_at(const struct operation *operation, unsigned place)
{
    memset((void *)diary, 0, sizeof *diary);
    step_now = place;
    pid_t child = fork();
    if (child == 0)
        run_child(operation);
    step_await_beginning(child);
    if (operation->size == SYSTEM_CALLS)
        step_many(child, SYSTEM_CALLS, place, &diary->returned);
    else if (place == AT_END)
        step_record(child, operation->size, &record, &diary->returned);
    else
        step_to(child, operation->size, &record, place, &diary->returned);
    points++;
    return child;
}

static void stop_flusher(const struct operation *operation, int signal)
{
    if (operation->sleeps && kill((pid_t)look(operation).flusher_pid, signal) < 0)
        fail_at(operation, "no flusher");
}

static void kill_at(const struct operation *operation, unsigned place)
{
    uint64_t from = shmwal_lsn(other, SHMWAL_DURABLE);
    uint64_t fillers = look(operation).fillers_dead;
    stop_flusher(operation, SIGSTOP);
    step_kill(child_at(operation, place));
    stop_flusher(operation, SIGCONT);
    judge(operation, from, fillers);
}

/* ---- Opening what is not there yet ---- */

/* The child makes the log, its ring and a flusher, and is killed; whoever comes next finds or makes
 * the same. */
static void kill_creator_at(const struct operation *operation, unsigned place)
{
    step_kill(child_at(operation, place));
    if (shmwal_open(path, &options, &other) < 0)
        fail_at(operation, "the log cannot be opened");
    judge(operation, 0, 0);
    shmwal_close(other);
    if (shmwal_stop(path, WAIT_NS) < 0)
        fail_at(operation, "the flusher does not stop");
    remove_tree(path);
}

/* ---- Every place ---- */

static void kill_everywhere(const struct operation *operation,
                            void (*kill_it_at)(const struct operation *, unsigned), unsigned stride)
{
    unsigned before = points, place = 0;
    if (operation->size == SYSTEM_CALLS) {
        for (; !diary->returned || place == 0; place += stride)
            kill_it_at(operation, place);
    } else {
        kill_it_at(operation, AT_END);
        step_survey(&record);
        for (unsigned i = 0; place < record.count; place++)
            if (record.places[place].round < ROUNDS && i++ % stride == 0)
                kill_it_at(operation, place);
    }
    printf("%-16s%6u kill points of %u\n", operation->name, points - before, place);
    fflush(stdout);
}

int main(int count, char **words)
{
    unsigned stride = count > 2 ? (unsigned)atoi(words[2]) : 1;
    const char *only = count > 3 ? words[3] : NULL;
    if (count < 2 || stride == 0) {
        fprintf(stderr, "usage: step DIRECTORY [STRIDE [OPERATION]]\n");
        return 2;
    }
    snprintf(directory, sizeof directory, "%s", words[1]);
    snprintf(path, sizeof path, "%s/log", directory);
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (char)(i * 7 + 1);
    options.ring_bytes = 64 * 1024;
    options.segment_bytes = 64 * 1024;
    diary = mmap(NULL, sizeof *diary, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (only == NULL || strcmp(only, "creation") == 0) {
        kill_everywhere(&creation_calls, kill_creator_at, stride);
        kill_everywhere(&creation, kill_creator_at, stride);
    }
    if (shmwal_open(path, &options, &other) < 0)
        fail_at(&creation, "no log");
    for (size_t i = 0; i < sizeof operations / sizeof operations[0]; i++)
        if (only == NULL || strcmp(only, operations[i].name) == 0)
            kill_everywhere(&operations[i], kill_at, stride);
    shmwal_close(other);
    if (shmwal_stop(path, WAIT_NS) < 0)
        fail_at(&creation, "the flusher does not stop");
    printf("%u kill points: nothing lost\n", points);
    return 0;
}
