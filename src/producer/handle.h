/* SPDX-License-Identifier: MIT
 *
 * A handle: one process's attachment to one log.
 *
 * Knows region, store/directory.h, process, base. */
#ifndef PRODUCER_HANDLE_H
#define PRODUCER_HANDLE_H

#include "producer/process.h"
#include "region/region.h"
#include "shmwal.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct shmwal {
    /* Set at open, the same in every forked child. */
    char *path;
    uint8_t uuid[FORMAT_UUID_BYTES];
    uint32_t flags;
    int64_t full_timeout_ns;
    uint64_t commit_interval_ns;
    uint64_t length_max;

    /* Of the process whose generation this is. Writer: handle_attach(), under process_lock(). */
    _Atomic uint32_t generation;
    struct region region;
};

/* Attaches anew in a forked child; call through handle_region(). */
int handle_attach(shmwal *log);

/* 0 with the handle's region usable in this process, or a negative errno. */
static inline int handle_ready(shmwal *log)
{
    /* Acquire, with handle_attach's release: the region that goes with the generation. */
    uint32_t attached = atomic_load_explicit(&log->generation, memory_order_acquire);
    if (__builtin_expect(attached != 0 && attached == process_generation(), 1))
        return 0;
    return handle_attach(log);
}

/* 0 while appending and waiting are possible; -EIO if the device failed or the ring was truncated,
 * -ESHUTDOWN if the flusher was told to stop. */
int handle_flusher_error(const shmwal *log);

/* What keeps the flusher from writing for now, and what to do about it, in words. False if nothing
 * does. */
enum { HANDLE_DEVICE_WORDS = 320 };
bool handle_device_words(const shmwal *log, char words[HANDLE_DEVICE_WORDS]);

static inline int handle_flusher_usable(const shmwal *log)
{
    /* seq_cst, a plain load where it matters: who is about to sleep must see it, as W1 and D2
     * ask. */
    uint32_t status = atomic_load(&log->region.state->status);
    if (__builtin_expect(status <= FLUSHER_RUNNING, 1))
        return 0;
    return handle_flusher_error(log);
}

/* The directory of the log that this handle was opened on; -ESTALE if another one has taken its
 * path since. */
int handle_reopen_directory(const shmwal *log, struct directory *directory);

/* For who opens the log: starts a flusher if none runs, also in place of one that was told to stop,
 * and the handle's options allow. `signals` as in launch.h. */
int handle_start_flusher(shmwal *log, const sigset_t *signals);

/* Starts a flusher in place of one that died, if the handle's options allow. 0 if one runs now, if
 * somebody else is about it, and where this process cannot look or a signal has come meanwhile:
 * whoever waits will look again. No signal handler runs in here, since one that jumped out would
 * leave locks behind. */
int handle_revive_flusher(shmwal *log);

#endif
