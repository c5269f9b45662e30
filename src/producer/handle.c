/* SPDX-License-Identifier: MIT
 *
 * Opening and closing a handle, and keeping it usable in forked children. See handle.h. */
#include "producer/handle.h"

#include "base/error.h"
#include "base/shortage.h"
#include "format/uuid.h"
#include "sys/thread.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of a program that was compiled before `spare_bytes` came. */
#define OPTIONS_SIZE_1_0 offsetof(shmwal_options, spare_bytes)

static const uint32_t OPEN_FLAGS = SHMWAL_NO_CREATE | SHMWAL_NO_FLUSHER | SHMWAL_INTERRUPTIBLE;

static int check_options(const shmwal_options *given, shmwal_options *options)
{
    *options = (shmwal_options)SHMWAL_OPTIONS_INIT;
    if (given == NULL)
        return 0;
    if (given->size != sizeof *given && given->size != OPTIONS_SIZE_1_0)
        return fail(EINVAL, "the options' size is %zu, not %zu: begin with SHMWAL_OPTIONS_INIT",
                    given->size, sizeof *given);
    if ((given->flags & ~OPEN_FLAGS) != 0)
        return fail(EINVAL, "the options' flags 0x%x have unknown bits", given->flags);
    if (given->full_timeout_ns < -1)
        return fail(EINVAL, "full_timeout_ns is %lld: -1, 0 or more",
                    (long long)given->full_timeout_ns);
    memcpy(options, given, given->size);
    return 0;
}

static int create(const char *path, const shmwal_options *options)
{
    return directory_create_with_spares(path, options->ring_bytes, options->segment_bytes,
                                        options->spare_bytes);
}

static int open_directory(const char *path, const shmwal_options *options,
                          struct directory *directory)
{
    if (!(options->flags & SHMWAL_NO_CREATE)) {
        int error = create(path, options);
        if (error < 0)
            return error;
    }
    return directory_open(path, true, directory);
}

/* Attaches in this process and remembers its generation. Release, here and in handle_attach(): see
 * handle_ready(). */
static int attach(shmwal *log, const struct directory *directory)
{
    process_lock();
    int error = region_attach(directory, log->commit_interval_ns, &log->region);
    if (error == 0)
        atomic_store_explicit(&log->generation, process_generation(), memory_order_release);
    process_unlock();
    return error;
}

static int open_log(const struct directory *directory, const shmwal_options *options, shmwal *log)
{
    log->flags = options->flags;
    log->full_timeout_ns = options->full_timeout_ns;
    log->commit_interval_ns = options->commit_interval_ns;
    log->length_max = record_length_max(directory->meta.ring_bytes, directory->meta.segment_bytes);
    memcpy(log->uuid, directory->meta.uuid, sizeof log->uuid);
    log->path = strdup(directory->path);
    if (log->path == NULL)
        return fail(ENOMEM, "no memory for a handle");
    int error = attach(log, directory);
    if (error < 0)
        return error;
    sigset_t signals;
    pthread_sigmask(SIG_SETMASK, NULL, &signals);
    error = handle_start_flusher(log, log->flags & SHMWAL_INTERRUPTIBLE ? &signals : NULL);
    if (error < 0 && region_detach(&log->region))
        region_remove_unserved(directory);
    return error;
}

SHMWAL_API int shmwal_open(const char *path, const shmwal_options *given, shmwal **log)
{
    shmwal_options options;
    struct directory directory;
    NOT_CANCELLED;
    if (path == NULL || log == NULL)
        return fail(EINVAL, "shmwal_open needs a path and a place for the handle");
    int error = check_options(given, &options);
    if (error == 0)
        error = process_prepare();
    if (error == 0)
        error = open_directory(path, &options, &directory);
    if (error < 0)
        return error;
    shmwal *fresh = aligned_alloc(CACHE_LINE, round_up(sizeof *fresh, CACHE_LINE));
    if (fresh == NULL) {
        error = fail(ENOMEM, "no memory for a handle");
    } else {
        memset(fresh, 0, sizeof *fresh);
        error = open_log(&directory, &options, fresh);
    }
    directory_close(&directory);
    if (error < 0) {
        if (fresh != NULL)
            free(fresh->path);
        free(fresh);
        return error;
    }
    *log = fresh;
    return 0;
}

SHMWAL_API int shmwal_create(const char *path, const shmwal_options *given)
{
    shmwal_options options;
    NOT_CANCELLED;
    int error = check_options(given, &options);
    if (error == 0 && path == NULL)
        error = fail(EINVAL, "shmwal_create needs a path");
    if (error < 0)
        return error;
    return create(path, &options);
}

int handle_reopen_directory(const shmwal *log, struct directory *directory)
{
    int error = directory_open(log->path, true, directory);
    if (error == 0 && memcmp(directory->meta.uuid, log->uuid, sizeof log->uuid) != 0) {
        directory_close(directory);
        error = fail(ESTALE, "%s is another log than the one that was opened there", log->path);
    }
    return error;
}

SHMWAL_API int shmwal_close(shmwal *log)
{
    NOT_CANCELLED;
    if (log == NULL)
        return 0;
    if (atomic_load(&log->generation) == process_generation()) {
        struct directory directory;
        bool unserved = region_detach(&log->region);
        if (unserved && handle_reopen_directory(log, &directory) == 0) {
            region_remove_unserved(&directory);
            directory_close(&directory);
        }
    }
    free(log->path);
    free(log);
    return 0;
}

/* In a forked child. The parent's mapping is not here, and neither is its attachment: both stay the
 * parent's. Threads of the child may come here at once; the first attaches. */
static int attach_again(shmwal *log)
{
    struct directory directory;
    NOT_INTERRUPTED;
    int error = handle_reopen_directory(log, &directory);
    if (error < 0)
        return error;
    process_lock();
    if (atomic_load_explicit(&log->generation, memory_order_relaxed) != process_generation()) {
        error = region_attach(&directory, log->commit_interval_ns, &log->region);
        if (error == 0)
            atomic_store_explicit(&log->generation, process_generation(), memory_order_release);
    }
    process_unlock();
    directory_close(&directory);
    return error;
}

int handle_attach(shmwal *log)
{
    int error = attach_again(log);
    return error == 0 ? handle_revive_flusher(log) : error;
}

int handle_flusher_error(const shmwal *log)
{
    const struct flusher_state *state = log->region.state;
    switch (atomic_load(&state->status)) {
    case FLUSHER_FROZEN:
        return fail(EIO,
                    "%s: the device failed (%s); the durable LSN is frozen at %llu until a flusher "
                    "is started anew; see %s/flusher.log",
                    log->path, strerror(atomic_load(&state->device_errno)),
                    (unsigned long long)atomic_load(&state->durable_lsn), log->path);
    case FLUSHER_STOPPING:
    case FLUSHER_STOPPED:
        return fail(ESHUTDOWN,
                    "%s: the flusher was told to stop; open the log again or run duralog-flusher",
                    log->path);
    case FLUSHER_LOST:
        return region_fail_lost(log->path);
    default:
        return 0;
    }
}

bool handle_device_words(const shmwal *log, char words[HANDLE_DEVICE_WORDS])
{
    int error = atomic_load(&log->region.state->device_errno);
    const char *advice = shortage_advice(error);
    if (error != 0)
        snprintf(words, HANDLE_DEVICE_WORDS, "the flusher cannot write: %s%s%s", strerror(error),
                 *advice != 0 ? "; " : "", advice);
    return error != 0;
}

SHMWAL_API const char *shmwal_path(const shmwal *log)
{
    return log == NULL ? "" : log->path;
}

SHMWAL_API void shmwal_uuid(const shmwal *log, char text[37])
{
    *text = 0;
    if (log != NULL)
        uuid_format(log->uuid, text);
}
