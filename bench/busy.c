/* SPDX-License-Identifier: MIT
 *
 * How long does an append take while the device never rests? Processes overwrite files beside the
 * log with 1 MiB writes, O_DIRECT + O_DSYNC, one after another, while one process appends records
 * of 100 B, each due at a fixed time.
 *
 * COORDINATED OMISSION. `due` runs from when an append was due, so that a stall counts for all
 * that it holds up, whoever caused it. The producer spins until an append is due: it does not
 * measure the kernel's timer. `bare` is the same loop with a copy of the record in place of the
 * append, in turns with it: its lateness is the machine's, which takes the core from both alike.
 * `call` runs from the call to the return, and a call that takes longer than the interval counts
 * for those that were due meanwhile as well: stalls of the append itself, and nobody else's.
 *
 * usage: busy LOG SCRATCH_FILE WRITERS RECORDS INTERVAL_NS. Prints microseconds: due.p50, call.p50,
 * bare.p50 and so on, and the writers' MB/s as device. Knows the public header. */
#include "histogram.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    BLOCK = 1 << 20,
    BLOCKS = 64,
    RECORD_BYTES = 100,
    TURN = 5000,
    COPIES = 4096,
    PATH_BYTES = 4096
};

struct job {
    const char *scratch;
    atomic_bool over;
    atomic_ullong blocks; /* written */
};

static int open_scratch(const struct job *job, unsigned index, int flags)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s.%u", job->scratch, index);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);
    end_if(fd, path, strerror(errno));
    return fd;
}

static void write_block(int fd, const char *block, uint64_t number)
{
    if (pwrite(fd, block, BLOCK, (off_t)(number % BLOCKS * BLOCK)) != BLOCK)
        end("write of the scratch file", strerror(errno));
}

/* Once over the file, so that what counts overwrites blocks that exist. */
static void prepare(void *context, unsigned index)
{
    const struct job *job = context;
    char *block = shared_memory(BLOCK);
    int fd = open_scratch(job, index, O_DIRECT);
    for (uint64_t i = 0; i < BLOCKS; i++)
        write_block(fd, block, i);
    end_if(fsync(fd), "fsync of the scratch file", strerror(errno));
    close(fd);
}

static void keep_busy(void *context, unsigned index)
{
    struct job *job = context;
    const char *block = shared_memory(BLOCK);
    int fd = open_scratch(job, index, O_DIRECT | O_DSYNC);
    for (uint64_t i = 0; !atomic_load(&job->over); i++) {
        write_block(fd, block, i);
        atomic_fetch_add(&job->blocks, 1);
    }
}

static shmwal *log_handle;
static const char record[RECORD_BYTES];

static void append_record(void)
{
    log_append(log_handle, record, sizeof record);
}

static void copy_record(void)
{
    static char copies[COPIES][RECORD_BYTES];
    static unsigned next;
    memcpy(copies[next++ % COPIES], record, sizeof record);
    __asm__ volatile("" : : : "memory");
}

/* A turn of what `work` does, each time when it is due. */
static void take_turn(void (*work)(void), int64_t interval_ns, struct histogram *from_due,
                      struct histogram *from_call)
{
    int64_t due = now_ns();
    for (unsigned i = 0; i < TURN; i++) {
        int64_t begin;
        due += interval_ns;
        while ((begin = now_ns()) < due)
            ;
        work();
        int64_t finish = now_ns();
        histogram_add(from_due, finish - due);
        histogram_add_corrected(from_call, finish - begin, interval_ns);
    }
}

static void append_at_fixed_times(uint64_t records, int64_t interval_ns)
{
    static struct histogram from_due, from_call, bare, unused;
    take_turn(append_record, interval_ns, &unused, &unused); /* warms up */
    for (uint64_t i = 0; i < records; i += TURN) {
        take_turn(append_record, interval_ns, &from_due, &from_call);
        take_turn(copy_record, interval_ns, &bare, &unused);
    }
    histogram_report(&from_due, "due");
    histogram_report(&from_call, "call");
    histogram_report(&bare, "bare");
}

int main(int count, char **words)
{
    const char *usage = "LOG SCRATCH_FILE WRITERS RECORDS INTERVAL_NS";
    const char *path = text_argument(count, words, 1, usage);
    struct job *job = shared_memory(sizeof *job);
    job->scratch = text_argument(count, words, 2, usage);
    unsigned writers = (unsigned)number_argument(count, words, 3, usage);
    uint64_t records = number_argument(count, words, 4, usage);
    int64_t interval_ns = (int64_t)number_argument(count, words, 5, usage);
    log_handle = log_open(path, 0);

    struct task task = {WORKER_PROCESSES, writers, prepare, keep_busy, job};
    struct run *run = run_begin(&task);
    int64_t start = now_ns();
    append_at_fixed_times(records, interval_ns);
    double seconds = (double)(now_ns() - start) / 1e9;
    report("device", (double)job->blocks * BLOCK / 1e6 / seconds);
    atomic_store(&job->over, true);
    run_end(run);
    log_sync(log_handle);
    shmwal_close(log_handle);
    return 0;
}
