/* SPDX-License-Identifier: MIT
 * See spare.h. */
#include "store/spare.h"

#include "sys/file.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK_BYTES = 256 * 1024 };

enum spare_state { SPARE_NONE, SPARE_WANTED, SPARE_READY, SPARE_FAILED };

struct spare {
    int segments_fd;
    uint64_t bytes;
    enum segment_sync sync;
    bool started;
    pthread_t thread;
    pthread_mutex_t lock; /* guards the two below */
    enum spare_state state;
    bool closing;
    pthread_cond_t changed;
};

struct spare *spare_open(int segments_fd, uint64_t bytes, enum segment_sync sync)
{
    struct spare *spare = calloc(1, sizeof *spare);
    if (spare == NULL)
        return NULL;
    spare->segments_fd = segments_fd;
    spare->bytes = bytes;
    spare->sync = sync;
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
    bool written = sys_allocate(fd, spare->bytes) == 0;
    for (uint64_t done = 0; written && done < spare->bytes; done += CHUNK_BYTES) {
        uint64_t left = spare->bytes - done;
        written =
            !is_closing(spare) &&
            sys_pwrite_full(fd, zeros, left < CHUNK_BYTES ? left : CHUNK_BYTES, done, false) == 0;
    }
    free(zeros);
    return written && sys_fsync(fd) == 0;
}

static bool make_file(struct spare *spare)
{
    int flags = O_WRONLY | O_CREAT | O_EXCL | (spare->sync == SYNC_DIRECT ? O_DIRECT : 0);
    sys_unlinkat(spare->segments_fd, SPARE_NAME);
    int fd = sys_openat(spare->segments_fd, SPARE_NAME, flags, 0600);
    if (fd < 0)
        return false;
    bool made = write_zeros(spare, fd);
    if (sys_close(fd) < 0 || !made) {
        sys_unlinkat(spare->segments_fd, SPARE_NAME);
        return false;
    }
    return true;
}

static void *serve(void *argument)
{
    struct spare *spare = argument;
    pthread_mutex_lock(&spare->lock);
    while (!spare->closing) {
        if (spare->state != SPARE_WANTED) {
            pthread_cond_wait(&spare->changed, &spare->lock);
            continue;
        }
        pthread_mutex_unlock(&spare->lock);
        bool made = make_file(spare);
        pthread_mutex_lock(&spare->lock);
        spare->state = made ? SPARE_READY : SPARE_FAILED;
    }
    pthread_mutex_unlock(&spare->lock);
    return NULL;
}

/* Signals are for the thread that the program made itself. */
static bool start_thread(struct spare *spare)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    spare->started = pthread_create(&spare->thread, NULL, serve, spare) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return spare->started;
}

void spare_want(struct spare *spare)
{
    pthread_mutex_lock(&spare->lock);
    if (spare->state == SPARE_NONE) {
        spare->state = spare->started || start_thread(spare) ? SPARE_WANTED : SPARE_FAILED;
        pthread_cond_signal(&spare->changed);
    }
    pthread_mutex_unlock(&spare->lock);
}

bool spare_ready(struct spare *spare)
{
    pthread_mutex_lock(&spare->lock);
    bool ready = spare->state == SPARE_READY;
    pthread_mutex_unlock(&spare->lock);
    return ready;
}

void spare_taken(struct spare *spare)
{
    pthread_mutex_lock(&spare->lock);
    spare->state = SPARE_NONE;
    pthread_mutex_unlock(&spare->lock);
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
    if (spare->state == SPARE_READY)
        sys_unlinkat(spare->segments_fd, SPARE_NAME);
    pthread_cond_destroy(&spare->changed);
    pthread_mutex_destroy(&spare->lock);
    free(spare);
}
