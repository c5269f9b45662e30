/* SPDX-License-Identifier: MIT
 * See spare.h. */
#include "store/spare.h"

#include "sys/clock.h"
#include "sys/file.h"
#include "sys/thread.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 256 * 1024 };

/* How long nothing is tried after a failure: twice as long after each, until one succeeds. */
#define RETRY_FIRST_NS (100 * NS_PER_MS)
#define RETRY_LAST_NS  (60 * NS_PER_S)

struct spare {
    int segments_fd;
    uint64_t bytes;
    enum segment_sync sync;
    bool started; /* the owner's */
    pthread_t thread;
    pthread_cond_t changed;
    pthread_mutex_t lock;            /* guards all below */
    enum spare_kind wanted;          /* in the making; SPARE_NONE: nothing is */
    enum spare_kind ready;           /* while nothing is in the making: what is there */
    int64_t retry_ns, not_before_ns; /* after a failure; CLOCK_MONOTONIC */
    bool closing;
};

struct spare *spare_open(int segments_fd, uint64_t bytes, enum segment_sync sync)
{
    struct spare *spare = calloc(1, sizeof *spare);
    if (spare == NULL)
        return NULL;
    spare->segments_fd = segments_fd;
    spare->bytes = bytes;
    spare->sync = sync;
    spare->retry_ns = RETRY_FIRST_NS;
    pthread_mutex_init(&spare->lock, NULL);
    pthread_cond_init(&spare->changed, NULL);
    return spare;
}

static bool is_closing(struct spare *spare)
{
    pthread_mutex_lock(&spare->lock);
    bool closing = spare->closing;
    pthread_mutex_unlock(&spare->lock);
    return closing;
}

/* In chunks, so that a commit's write never queues behind a large one, and an end is soon
 * noticed. */
static bool write_zeros(struct spare *spare, int fd)
{
    void *zeros = aligned_alloc(FORMAT_BLOCK, CHUNK_BYTES);
    if (zeros == NULL)
        return false;
    memset(zeros, 0, CHUNK_BYTES);
    bool written = true;
    for (uint64_t done = 0; written && done < spare->bytes; done += CHUNK_BYTES) {
        uint64_t left = spare->bytes - done;
        written =
            !is_closing(spare) &&
            sys_pwrite_full(fd, zeros, left < CHUNK_BYTES ? left : CHUNK_BYTES, done, false) == 0;
    }
    free(zeros);
    return written;
}

static bool make_file(struct spare *spare, enum spare_kind kind)
{
    int flags = O_WRONLY | O_CREAT | O_EXCL | (spare->sync == SYNC_DIRECT ? O_DIRECT : 0);
    sys_unlinkat(spare->segments_fd, SPARE_NAME);
    int fd = sys_openat(spare->segments_fd, SPARE_NAME, flags, 0600);
    if (fd < 0)
        return false;
    bool made = sys_allocate(fd, spare->bytes) == 0;
    if (kind == SPARE_PREFILLED)
        made = made && write_zeros(spare, fd);
    made = made && sys_fsync(fd) == 0;
    if (sys_close(fd) < 0 || !made) {
        sys_unlinkat(spare->segments_fd, SPARE_NAME);
        return false;
    }
    return true;
}

static void note_made(struct spare *spare, bool made)
{
    spare->ready = made ? spare->wanted : SPARE_NONE;
    spare->wanted = SPARE_NONE;
    if (made) {
        spare->retry_ns = RETRY_FIRST_NS;
        return;
    }
    spare->not_before_ns = clock_monotonic_ns() + spare->retry_ns;
    spare->retry_ns = spare->retry_ns < RETRY_LAST_NS / 2 ? 2 * spare->retry_ns : RETRY_LAST_NS;
}

static void *serve(void *argument)
{
    struct spare *spare = argument;
    pthread_mutex_lock(&spare->lock);
    while (!spare->closing) {
        enum spare_kind kind = spare->wanted;
        if (kind == SPARE_NONE) {
            pthread_cond_wait(&spare->changed, &spare->lock);
            continue;
        }
        pthread_mutex_unlock(&spare->lock);
        bool made = make_file(spare, kind);
        pthread_mutex_lock(&spare->lock);
        note_made(spare, made);
    }
    pthread_mutex_unlock(&spare->lock);
    return NULL;
}

void spare_want(struct spare *spare, enum spare_kind kind)
{
    pthread_mutex_lock(&spare->lock);
    if (spare->wanted == SPARE_NONE && spare->ready < kind &&
        (spare->not_before_ns == 0 || clock_monotonic_ns() >= spare->not_before_ns)) {
        spare->wanted = kind;
        if (!spare->started)
            spare->started = thread_start(&spare->thread, serve, spare);
        if (!spare->started)
            note_made(spare, false);
        pthread_cond_signal(&spare->changed);
    }
    pthread_mutex_unlock(&spare->lock);
}

enum spare_kind spare_ready(struct spare *spare)
{
    pthread_mutex_lock(&spare->lock);
    enum spare_kind ready = spare->wanted == SPARE_NONE ? spare->ready : SPARE_NONE;
    pthread_mutex_unlock(&spare->lock);
    return ready;
}

enum spare_kind spare_take(struct spare *spare, const char *name)
{
    enum spare_kind kind = spare_ready(spare);
    if (kind == SPARE_NONE)
        return SPARE_NONE;
    pthread_mutex_lock(&spare->lock);
    spare->ready = SPARE_NONE;
    pthread_mutex_unlock(&spare->lock);
    int error = sys_renameat(spare->segments_fd, SPARE_NAME, spare->segments_fd, name);
    return error < 0 ? SPARE_NONE : kind;
}

void spare_close(struct spare *spare)
{
    if (spare == NULL)
        return;
    pthread_mutex_lock(&spare->lock);
    spare->closing = true;
    pthread_cond_signal(&spare->changed);
    pthread_mutex_unlock(&spare->lock);
    if (spare->started)
        pthread_join(spare->thread, NULL);
    if (spare->ready != SPARE_NONE)
        sys_unlinkat(spare->segments_fd, SPARE_NAME);
    pthread_cond_destroy(&spare->changed);
    pthread_mutex_destroy(&spare->lock);
    free(spare);
}
