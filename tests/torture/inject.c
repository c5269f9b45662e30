/* SPDX-License-Identifier: MIT
 *
 * Every system call of the real flusher fails, or is the last that it makes, while processes append
 * and wait: strace stands between it and the kernel.
 *
 * A case is one kind of call, one fault, and the number of the call that it strikes, once or from
 * then on for ever. What must hold in each:
 *
 *   - nobody hangs, and nobody dies but a flusher that is killed; who is refused learns why;
 *   - afterwards a flusher without a fault takes over, and everything is there whose append had
 *     returned, what was said to be durable first of all, each record where its append said;
 *   - no LSN is given out twice.
 *
 *   inject [--all | --cases N] [--seed N]     every call of every kind, or N of these
 *   inject KIND FAULT CALL [ever]             the one that was found to be wrong
 *
 * Exit status 77: there is no strace, or it may not trace here. Knows history.h, tape.h,
 * include/shmwal.h. Changes when the flusher makes other calls. */
#include "../remove_tree.h"
#include "draw.h"
#include "history.h"
#include "tape.h"

#include <shmwal.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WRITERS = 2, RECORDS = 40, STATUS_CANNOT = 77, CALLS_MAX = 400 };

#define HANG_NS  INT64_C(60000000000) /* far beyond what anything takes on a busy machine */
#define STALL_NS INT64_C(700000000)   /* where a stall is what must happen */

static const char *const kinds[] = {
    "openat",   "newfstatat", "pread64",    "pwritev2",  "fdatasync", "fsync",  "fallocate",
    "renameat", "unlinkat",   "getdents64", "fcntl",     "mmap",      "munmap", "close",
    "futex",    "madvise",    "utimensat",  "ftruncate", "unlink",    "lseek",  "write"};

static const struct fault {
    const char *name, *inject;
    bool shortage, kill;
} faults[] = {{"EIO", "error=EIO", false, false},      {"ENOSPC", "error=ENOSPC", true, false},
              {"EDQUOT", "error=EDQUOT", true, false}, {"EFBIG", "error=EFBIG", true, false},
              {"EMFILE", "error=EMFILE", true, false}, {"ENOMEM", "error=ENOMEM", true, false},
              {"EINTR", "error=EINTR", false, false},  {"SIGKILL", "signal=SIGKILL", false, true}};

enum { KINDS = sizeof kinds / sizeof *kinds, FAULTS = sizeof faults / sizeof *faults };

struct test_case {
    const char *kind;
    const struct fault *fault;
    unsigned call;
    bool for_ever;
};

/* What a writer was told, in memory that outlives it. */
struct told {
    uint32_t appended;
    uint64_t lsn[RECORDS];
    uint64_t durable_lsn;
    int error;
    char sentence[200];
};

static char base[64], log_path[80];
static struct told *told; /* of each writer */
static uint64_t cases, struck, wrong;

/* ---- Files ---- */

static void remove_all(const char *path)
{
    remove_tree(path);
}

static void clean(void)
{
    remove_all(base);
}

/* As strace has it: which of the calls are struck. EINTR for ever would be a machine that does
 * nothing else: twenty in a row must do. */
static void describe_when(const struct test_case *test, char when[32])
{
    if (!test->for_ever)
        snprintf(when, 32, "%u", test->call);
    else if (strcmp(test->fault->name, "EINTR") == 0)
        snprintf(when, 32, "%u..%u", test->call, test->call + 19);
    else
        snprintf(when, 32, "%u+", test->call);
}

/* A flusher's start goes through this script. Where a fault strikes once, only the first one is
 * traced. */
static void write_script(const struct test_case *test, const char *flusher)
{
    char path[80], when[32];
    describe_when(test, when);
    snprintf(path, sizeof path, "%s/flusher", base);
    FILE *script = fopen(path, "we");
    if (script == NULL) {
        perror("inject: cannot write a script");
        exit(1);
    }
    fprintf(script, "#!/bin/sh\nexec 2>/dev/null\n");
    if (!test->for_ever)
        fprintf(script, "mkdir '%s/first' || exec '%s' \"$@\"\n", base, flusher);
    fprintf(script, "exec strace -DDD -f -qqq -o '%s/trace' -e trace=%s ", base, test->kind);
    fprintf(script, "-e inject=%s:%s:when=%s ", test->kind, test->fault->inject, when);
    fprintf(script, "'%s' \"$@\"\n", flusher);
    fclose(script);
    chmod(path, 0700);
}

/* Whether the fault has struck. */
static bool has_struck(const struct test_case *test)
{
    char path[80], line[512];
    bool found = false;
    snprintf(path, sizeof path, "%s/trace", base);
    FILE *trace = fopen(path, "re");
    while (trace != NULL && !found && fgets(line, sizeof line, trace) != NULL)
        found = strstr(line, test->fault->kill ? "SIGKILL" : "(INJECTED)") != NULL;
    if (trace != NULL)
        fclose(trace);
    return found;
}

/* ---- Writers ---- */

static void give_up(struct told *mine, int error)
{
    mine->error = error;
    snprintf(mine->sentence, sizeof mine->sentence, "%s", shmwal_error());
    _exit(0);
}

static void append(unsigned writer, const struct test_case *test)
{
    static char bytes[RECORD_BYTES_MAX];
    struct told *mine = &told[writer];
    shmwal_options options = SHMWAL_OPTIONS_INIT;
    int64_t patience = test->fault->shortage && test->for_ever ? STALL_NS : HANG_NS;
    options.ring_bytes = options.segment_bytes = 64 << 10;
    options.spare_bytes = 2 * options.segment_bytes;
    options.full_timeout_ns = patience;
    shmwal *log;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int error = shmwal_open(log_path, &options, &log);
    if (error < 0)
        give_up(mine, error);
    for (uint32_t i = 0; i < RECORDS; i++) {
        size_t length = history_fill(writer, i, bytes);
        error = shmwal_append(log, bytes, length, &mine->lsn[i]);
        if (error < 0)
            give_up(mine, error);
        mine->appended = i + 1;
        if (i % 4 != writer)
            continue;
        error = shmwal_wait(log, mine->lsn[i], SHMWAL_DURABLE, patience);
        if (error < 0)
            give_up(mine, error);
        mine->durable_lsn = mine->lsn[i];
    }
    shmwal_close(log);
    _exit(0);
}

static const char *judge_writer(const struct told *mine, const struct test_case *test, int status)
{
    static char why[300];
    if (status != 0) {
        snprintf(why, sizeof why, "a writer died: status %d", status);
        return why;
    }
    bool stalls = test->fault->shortage && test->for_ever;
    if (mine->error == -ETIMEDOUT && !stalls) {
        snprintf(why, sizeof why, "a writer hung: %s", mine->sentence);
        return why;
    }
    if (mine->error < 0 && strlen(mine->sentence) < 20) {
        snprintf(why, sizeof why, "a writer got %d and no sentence", mine->error);
        return why;
    }
    return NULL;
}

/* ---- Afterwards ---- */

/* By a flusher without a fault. What an ailing one holds on to, it is told to let go first. */
static const char *take_over(const char *flusher)
{
    static char why[300];
    shmwal *log;
    shmwal_stop(log_path, HANG_NS);
    setenv("DURALOG_FLUSHER", flusher, 1);
    int error = shmwal_open(log_path, NULL, &log);
    if (error == 0) {
        error = shmwal_wait(log, shmwal_reserved_lsn(log), SHMWAL_DURABLE, HANG_NS);
        shmwal_close(log);
    }
    if (error == 0)
        error = shmwal_stop(log_path, HANG_NS);
    if (error == 0)
        return NULL;
    snprintf(why, sizeof why, "no flusher can take over: %s", shmwal_error());
    return why;
}

static const char *find_record(const struct history *history, unsigned writer, uint32_t number)
{
    static char why[200];
    uint64_t lsn = told[writer].lsn[number];
    for (uint64_t i = 0; i < history->count; i++) {
        const struct known_record *known = &history->records[i];
        if (known->writer != writer || known->number != number)
            continue;
        if (known->lsn == lsn)
            return NULL;
        snprintf(why, sizeof why, "record %u of writer %u is at LSN %" PRIu64 ", not at %" PRIu64,
                 number, writer, known->lsn, lsn);
        return why;
    }
    snprintf(why, sizeof why,
             "record %u of writer %u, whose append returned LSN %" PRIu64 " (durable up to %" PRIu64
             "), is lost",
             number, writer, lsn, told[writer].durable_lsn);
    return why;
}

static const char *judge_log(void)
{
    struct history history = {0};
    const char *why = history_extend(&history, log_path);
    for (unsigned writer = 0; writer < WRITERS && why == NULL; writer++)
        for (uint32_t i = 0; i < told[writer].appended && why == NULL; i++)
            why = find_record(&history, writer, i);
    history_clear(&history);
    return why;
}

/* ---- Cases ---- */

static const char *run_writers(const struct test_case *test)
{
    pid_t children[WRITERS];
    const char *why = NULL;
    for (unsigned i = 0; i < WRITERS; i++) {
        children[i] = fork();
        if (children[i] == 0)
            append(i, test);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        int status = 0;
        waitpid(children[i], &status, 0);
        const char *mine = judge_writer(&told[i], test, status);
        why = why == NULL ? mine : why;
    }
    return why;
}

/* True if the fault has struck: there is a call of that number. */
static bool run_case(const struct test_case *test, const char *flusher)
{
    char script[80], first[80], trace[80];
    shmwal_options options = SHMWAL_OPTIONS_INIT;
    options.ring_bytes = options.segment_bytes = 64 << 10;
    snprintf(script, sizeof script, "%s/flusher", base);
    snprintf(first, sizeof first, "%s/first", base);
    snprintf(trace, sizeof trace, "%s/trace", base);
    memset(told, 0, WRITERS * sizeof *told);
    write_script(test, flusher);
    setenv("DURALOG_FLUSHER", script, 1);
    const char *why = shmwal_create(log_path, &options) < 0 ? shmwal_error() : NULL;
    if (why == NULL)
        why = run_writers(test);
    bool has = has_struck(test);
    const char *later = take_over(flusher);
    why = why == NULL ? later : why;
    if (why == NULL)
        why = judge_log();
    cases++;
    struck += has;
    if (why != NULL) {
        wrong++;
        fprintf(stderr, "inject: %s fails with %s %s call %u: %s\n", test->kind, test->fault->name,
                test->for_ever ? "from" : "at", test->call, why);
    }
    remove_all(log_path);
    rmdir(first);
    unlink(trace);
    return has;
}

/* Some failures do not exist: close() always closes, whatever it says, and a futex wakes whom it is
 * told to. */
static bool is_possible(const char *kind, const struct fault *fault)
{
    return fault->kill || (strcmp(kind, "close") != 0 && strcmp(kind, "futex") != 0);
}

static void run_all(const char *flusher)
{
    for (unsigned fault = 0; fault < FAULTS; fault++)
        for (unsigned kind = 0; kind < KINDS; kind++)
            for (int for_ever = 0; for_ever < (faults[fault].kill ? 1 : 2); for_ever++) {
                struct test_case test = {kinds[kind], &faults[fault], 1, for_ever};
                while (is_possible(test.kind, test.fault) && test.call < CALLS_MAX &&
                       run_case(&test, flusher))
                    test.call++;
            }
}

/* A number beyond those of a kind's calls strikes nothing, and is tried again. */
static void run_some(const char *flusher, uint64_t wanted, uint64_t seed)
{
    for (uint64_t tries = 0; struck < wanted && tries < 4 * wanted; tries++) {
        uint64_t drawn = draw(&seed);
        const struct fault *fault = &faults[drawn % FAULTS];
        unsigned limit = drawn >> 8 & 1 ? 4 : 24;
        struct test_case test = {kinds[(drawn >> 16) % KINDS], fault,
                                 1 + (unsigned)(drawn >> 32) % limit,
                                 !fault->kill && (drawn >> 9 & 1)};
        if (is_possible(test.kind, test.fault))
            run_case(&test, flusher);
    }
}

static int run_one(const char *flusher, int count, char **words)
{
    struct test_case test = {
        .kind = words[0], .call = (unsigned)atoi(words[2]), .for_ever = count == 4};
    for (unsigned i = 0; i < FAULTS; i++)
        if (strcmp(words[1], faults[i].name) == 0)
            test.fault = &faults[i];
    if (test.fault == NULL)
        return 2;
    run_case(&test, flusher);
    return 0;
}

int main(int count, char **words)
{
    const char *flusher = getenv("DURALOG_FLUSHER");
    bool all = false;
    uint64_t wanted = 60, seed = (uint64_t)time(NULL);
    int i = 1;
    for (; i < count; i++) {
        if (strcmp(words[i], "--all") == 0)
            all = true;
        else if (strcmp(words[i], "--cases") == 0 && i + 1 < count)
            wanted = strtoull(words[++i], NULL, 0);
        else if (strcmp(words[i], "--seed") == 0 && i + 1 < count)
            seed = strtoull(words[++i], NULL, 0);
        else
            break;
    }
    if (flusher == NULL || (i < count && count - i != 3 && count - i != 4))
        return fprintf(stderr,
                       "usage: DURALOG_FLUSHER=... inject [--all] [--cases N] [--seed N]\n"),
               2;
    if (system("strace -qq -e inject=getpid:error=EIO true >/dev/null 2>&1") != 0) {
        printf("inject: not done: strace is missing, or may not trace here\n");
        return STATUS_CANNOT;
    }
    strcpy(base, "/tmp/duralog-inject-XXXXXX");
    if (mkdtemp(base) == NULL)
        return perror("inject"), 1;
    atexit(clean);
    snprintf(log_path, sizeof log_path, "%s/log", base);
    told = tape_share(WRITERS * sizeof *told);
    if (i < count && run_one(flusher, count - i, words + i) != 0)
        fprintf(stderr, "inject: no fault %s\n", words[i + 1]);
    else if (i < count)
        ;
    else if (all)
        run_all(flusher);
    else
        run_some(flusher, wanted, seed);
    printf("inject: %" PRIu64 " cases, %" PRIu64 " of them struck, %" PRIu64 " wrong; seed %" PRIu64
           "\n",
           cases, struck, wrong, seed);
    return wrong == 0 ? 0 : 1;
}
