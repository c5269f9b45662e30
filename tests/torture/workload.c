/* SPDX-License-Identifier: MIT
 * See workload.h. */
#include "workload.h"

#include "history.h"

#include <shmwal.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_NS INT64_C(120000000000)

static char complaint[1024];

static const char *complain(const char *what)
{
    snprintf(complaint, sizeof complaint, "%s: %s", what, shmwal_error());
    return complaint;
}

static void die(const char *what)
{
    fprintf(stderr, "torture: %s: %s\n", what, shmwal_error());
    _exit(1);
}

static shmwal_options options_of(const struct workload *workload)
{
    shmwal_options options = SHMWAL_OPTIONS_INIT;
    options.ring_bytes = workload->ring_bytes;
    options.segment_bytes = workload->segment_bytes;
    options.spare_bytes = workload->spare_bytes;
    options.full_timeout_ns = PATIENCE_NS;
    return options;
}

static void note_durable(struct tape *tape, const shmwal *log, uint64_t lsn)
{
    uint64_t all = shmwal_lsn(log, SHMWAL_DURABLE);
    tape_note(tape, EVENT_DURABLE, all > lsn ? all : lsn, NULL, 0);
}

/* Waits now for each record, now for none of a run of them. */
static void append(const struct workload *workload, unsigned writer, uint32_t first)
{
    static char bytes[RECORD_BYTES_MAX];
    unsigned seed = workload->seed * 31 + writer;
    shmwal_options options = options_of(workload);
    shmwal *log;
    uint64_t lsn;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (shmwal_open(workload->path, &options, &log) < 0)
        die("open");
    tape_note(workload->tape, EVENT_CREATED, 0, NULL, 0);
    for (uint32_t i = 0; i < workload->records; i++) {
        size_t length = history_fill(writer, first + i, bytes);
        if (shmwal_append(log, bytes, length, &lsn) < 0)
            die("append");
        bool waits = !workload->bulk && (i / 16 + writer) % 3 == 0;
        if (!waits && rand_r(&seed) % (workload->bulk ? 64 : 16) != 0)
            continue;
        if (shmwal_wait(log, lsn, SHMWAL_DURABLE, PATIENCE_NS) < 0)
            die("wait");
        note_durable(workload->tape, log, lsn);
    }
    shmwal_close(log);
    _exit(0);
}

/* Returns when it is gone: one that is dying still holds its lock, and would pass for alive. */
static void kill_flusher(const struct workload *workload, unsigned *seed)
{
    shmwal_status status = {.size = sizeof status};
    usleep((unsigned)rand_r(seed) % 20000);
    if (shmwal_get_status(workload->path, &status) < 0 || status.flusher_pid <= 0)
        return;
    struct pollfd gone = {.fd = pidfd_open((pid_t)status.flusher_pid, 0), .events = POLLIN};
    if (gone.fd < 0)
        return;
    pidfd_send_signal(gone.fd, SIGKILL, NULL, 0);
    poll(&gone, 1, -1);
    close(gone.fd);
}

/* A flusher that was killed last has left committed records in the ring: another one takes them. */
static const char *drain(const struct workload *workload)
{
    shmwal *log;
    if (shmwal_open(workload->path, NULL, &log) < 0)
        return complain("open again");
    int error = shmwal_wait(log, shmwal_reserved_lsn(log), SHMWAL_DURABLE, PATIENCE_NS);
    if (error == 0)
        note_durable(workload->tape, log, 0);
    shmwal_close(log);
    if (error < 0)
        return complain("wait for all");
    return shmwal_stop(workload->path, PATIENCE_NS) < 0 ? complain("stop") : NULL;
}

const char *workload_run(const struct workload *workload)
{
    shmwal_options options = options_of(workload);
    pid_t children[WRITERS_MAX];
    unsigned seed = workload->seed;
    bool failed = false;
    if (shmwal_create(workload->path, &options) < 0)
        return complain("create");
    tape_note(workload->tape, EVENT_CREATED, 0, NULL, 0);
    for (unsigned i = 0; i < workload->writers; i++) {
        unsigned writer = workload->first_writer + i;
        children[i] = fork();
        if (children[i] == 0)
            append(workload, writer, workload->next[writer]);
        workload->next[writer] += workload->records;
    }
    for (unsigned i = 0; i < workload->kills; i++)
        kill_flusher(workload, &seed);
    for (unsigned i = 0; i < workload->writers; i++) {
        int status;
        waitpid(children[i], &status, 0);
        failed |= status != 0;
    }
    return failed ? "a writer failed" : drain(workload);
}
