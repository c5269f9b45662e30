/* SPDX-License-Identifier: MIT
 *
 * The few calls on a log that every benchmark makes, each ending the program if it fails.
 *
 * Knows the public header and support.h. */
#ifndef BENCH_LOG_H
#define BENCH_LOG_H

#include "shmwal.h"
#include "support.h"

#include <time.h>

/* Creates the log if need be; `flags` as in shmwal_options. */
static inline shmwal *log_open(const char *path, uint32_t flags)
{
    shmwal_options options = SHMWAL_OPTIONS_INIT;
    shmwal *log;
    options.flags = flags;
    end_if(shmwal_open(path, &options, &log), "open", shmwal_error());
    return log;
}

static inline uint64_t log_append(shmwal *log, const void *data, size_t length)
{
    uint64_t lsn;
    if (__builtin_expect(shmwal_append(log, data, length, &lsn) < 0, 0))
        end("append", shmwal_error());
    return lsn;
}

/* Waits until the record that ends at `lsn` is durable. */
static inline void log_wait(shmwal *log, uint64_t lsn)
{
    if (shmwal_wait(log, lsn, SHMWAL_DURABLE, -1) < 0)
        end("wait", shmwal_error());
}

/* In a process that was just forked: attaches it, which the first append would otherwise do. */
static inline void log_attach(shmwal *log)
{
    log_wait(log, log_append(log, "", 0));
}

/* Waits until all that anybody has appended is durable. */
static inline void log_sync(shmwal *log)
{
    log_wait(log, shmwal_reserved_lsn(log));
}

/* 0 if none runs. */
static inline int log_flusher_pid(const char *path)
{
    shmwal_status status = {.size = sizeof status};
    end_if(shmwal_get_status(path, &status), "status", shmwal_error());
    return (int)status.flusher_pid;
}

/* Waits until the log has all the prefilled files that it was made to keep. */
static inline void log_await_spares(const char *path)
{
    const struct timespec pause = {0, 10 * 1000 * 1000};
    shmwal_status status = {.size = sizeof status};
    for (;;) {
        end_if(shmwal_get_status(path, &status), "status", shmwal_error());
        if (status.spares >= status.spares_kept)
            return;
        nanosleep(&pause, NULL);
    }
}

/* The processor time that the flusher has used so far, all of its threads. */
static inline int64_t log_flusher_cpu_ns(const char *path)
{
    clockid_t clock;
    struct timespec spent;
    if (clock_getcpuclockid(log_flusher_pid(path), &clock) != 0 || clock_gettime(clock, &spent) < 0)
        end("the flusher's processor time", "is there a flusher?");
    return spent.tv_sec * NS_PER_S + spent.tv_nsec;
}

#endif
