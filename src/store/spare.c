/* SPDX-License-Identifier: MIT
 * See spare.h. */
#include "store/spare.h"

#include "sys/clock.h"
#include "sys/file.h"
#include "sys/thread.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CHUNK_BYTES = 128 * 1024, NAME_BYTES = 32 };

/* How long it rests after a chunk while frames are written: one commit in a hundred or fewer meets
 * a chunk, and 6 MB/s are prefilled. For so long after a frame another one is expected. */
#define REST_NS (20 * NS_PER_MS)
#define BUSY_NS (1 * NS_PER_S)

/* How long nothing is tried after a failure: twice as long after each, until one succeeds. */
#define RETRY_FIRST_NS (100 * NS_PER_MS)
#define RETRY_LAST_NS  (60 * NS_PER_S)

/* While it is made. */
static const char SCRATCH[] = "spare.tmp";

struct spare_file {
    uint32_t number;
    enum spare_kind kind;
};

struct spare {
    int segments_fd;
    uint64_t bytes;
    unsigned kept; /* how many are made ahead of need */
    enum segment_sync sync;
    bool started;            /* the owner's */
    _Atomic uint32_t frames; /* writer: the owner. Relaxed: only that it changes matters */
    uint32_t frames_seen;    /* the thread's, as are the next two; before it runs the owner's */
    int64_t busy_until_ns;   /* CLOCK_MONOTONIC */
    uint32_t next_number;    /* of a file */
    pthread_t thread;
    pthread_cond_t changed;
    pthread_mutex_t lock;   /* guards all below */
    enum spare_kind wanted; /* at once; SPARE_NONE: nothing is */
    unsigned count;         /* of `ready`, of which the last ones are taken first */
    struct spare_file *ready;
    int64_t retry_ns, not_before_ns; /* after a failure; CLOCK_MONOTONIC */
    bool closing;
};

unsigned spare_count(uint64_t spare_bytes, uint64_t segment_bytes)
{
    uint64_t count = spare_bytes / segment_bytes + (spare_bytes % segment_bytes != 0);
    return count < SPARES_MAX ? (unsigned)count : SPARES_MAX;
}

struct spare *spare_open(int segments_fd, uint64_t bytes, unsigned kept)
{
    struct spare *spare = calloc(1, sizeof *spare);
    if (spare == NULL)
        return NULL;
    spare->segments_fd = segments_fd;
    spare->bytes = bytes;
    spare->kept = kept;
    spare->ready = calloc(kept > 0 ? kept : 1, sizeof *spare->ready);
    if (spare->ready == NULL) {
        free(spare);
        return NULL;
    }
    spare->retry_ns = RETRY_FIRST_NS;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&spare->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&spare->lock, NULL);
    return spare;
}

/* Of what is there. One that is only allocated is always the only one. */
static enum spare_kind best(const struct spare *spare)
{
    return spare->count > 0 ? spare->ready[spare->count - 1].kind : SPARE_NONE;
}

/* ---- Files ---- */

/* One that is not prefilled must not be taken for it later: no flusher adopts a *.tmp. */
static void name_file(struct spare_file file, char name[NAME_BYTES])
{
    const char *suffix = file.kind == SPARE_PREFILLED ? SPARE_SUFFIX : ".spare.tmp";
    snprintf(name, NAME_BYTES, "%" PRIu32 "%s", file.number, suffix);
}

static void remove_file(const struct spare *spare, struct spare_file file)
{
    char name[NAME_BYTES];
    name_file(file, name);
    sys_unlinkat(spare->segments_fd, name);
}

/* Whether it is as long as a segment, all of it written, and none of it used: a segment's header is
 * synced before anything else goes to its file. And it is no copy's as well, by a hard link. */
static bool is_unused(int fd, uint64_t bytes)
{
    alignas(FORMAT_BLOCK) static const char zeros[FORMAT_BLOCK];
    alignas(FORMAT_BLOCK) char block[FORMAT_BLOCK];
    struct stat status;
    return sys_fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink == 1 &&
           (uint64_t)status.st_size == bytes && (uint64_t)status.st_blocks * 512 >= bytes &&
           sys_pread_full(fd, block, sizeof block, 0) == sizeof block &&
           memcmp(block, zeros, sizeof block) == 0;
}

bool spare_adopt(struct spare *spare, const char *name)
{
    struct spare_file file = {.kind = SPARE_PREFILLED};
    char own[NAME_BYTES];
    if (spare->count >= spare->kept || sscanf(name, "%" SCNu32, &file.number) != 1)
        return false;
    name_file(file, own);
    if (strcmp(own, name) != 0)
        return false;
    int fd = sys_openat(spare->segments_fd, name, O_RDONLY | O_NONBLOCK, 0);
    bool unused = fd >= 0 && is_unused(fd, spare->bytes);
    if (fd >= 0)
        sys_close(fd);
    if (!unused)
        return false;
    if (file.number >= spare->next_number)
        spare->next_number = file.number + 1;
    spare->ready[spare->count++] = file;
    return true;
}

/* ---- Prefilling ---- */

/* Whether one that is kept is missing. */
static bool lacks(const struct spare *spare)
{
    return spare->kept > 0 && (spare->count < spare->kept || best(spare) == SPARE_ALLOCATED);
}

/* What is to be made now: SPARE_NONE when all is there, or after a failure for a while. */
static enum spare_kind due(const struct spare *spare)
{
    if (spare->wanted != SPARE_NONE)
        return spare->wanted;
    bool waits = spare->not_before_ns != 0 && clock_monotonic_ns() < spare->not_before_ns;
    return lacks(spare) && !waits ? SPARE_PREFILLED : SPARE_NONE;
}

/* Sleeps until something has changed, or the time has come. */
static void sleep_until(struct spare *spare, int64_t when_ns)
{
    struct timespec when = {.tv_sec = when_ns / NS_PER_S, .tv_nsec = when_ns % NS_PER_S};
    pthread_cond_timedwait(&spare->changed, &spare->lock, &when);
}

/* Whether frames have been written lately. */
static bool is_busy(struct spare *spare, int64_t now_ns)
{
    uint32_t frames = atomic_load_explicit(&spare->frames, memory_order_relaxed);
    if (frames != spare->frames_seen)
        spare->busy_until_ns = now_ns + BUSY_NS;
    spare->frames_seen = frames;
    return now_ns < spare->busy_until_ns;
}

/* Between two chunks, rests if the log is in use. False if it is not worth going on: the end has
 * come, or a file that is allocated only is wanted right now. */
static bool may_go_on(struct spare *spare)
{
    int64_t now_ns = clock_monotonic_ns();
    bool busy = is_busy(spare, now_ns);
    pthread_mutex_lock(&spare->lock);
    if (busy && spare->wanted == SPARE_NONE && !spare->closing)
        sleep_until(spare, now_ns + REST_NS);
    bool goes_on = !spare->closing && spare->wanted != SPARE_ALLOCATED;
    pthread_mutex_unlock(&spare->lock);
    return goes_on;
}

/* In chunks, so that a commit's write never queues behind a large one, and an end is soon noticed.
 * Through the page cache each is synced, lest the last sync has to write all of them. The kind that
 * has come of it. */
static enum spare_kind write_zeros(struct spare *spare, int fd)
{
    void *zeros = aligned_alloc(FORMAT_BLOCK, CHUNK_BYTES);
    if (zeros == NULL)
        return SPARE_NONE;
    memset(zeros, 0, CHUNK_BYTES);
    enum spare_kind kind = SPARE_PREFILLED;
    for (uint64_t done = 0; kind == SPARE_PREFILLED && done < spare->bytes; done += CHUNK_BYTES) {
        uint64_t left = spare->bytes - done;
        uint64_t bytes = left < CHUNK_BYTES ? left : CHUNK_BYTES;
        if (sys_pwrite_full(fd, zeros, bytes, done, spare->sync == SYNC_FDATASYNC) < 0)
            kind = SPARE_NONE;
        else if (!may_go_on(spare))
            kind = SPARE_ALLOCATED;
    }
    free(zeros);
    return kind;
}

static bool is_closing(struct spare *spare)
{
    pthread_mutex_lock(&spare->lock);
    bool closing = spare->closing;
    pthread_mutex_unlock(&spare->lock);
    return closing;
}

/* One that is whole gets its own name; else nothing is left. The kind says which it is. */
static struct spare_file make_file(struct spare *spare, enum spare_kind kind)
{
    int flags = O_WRONLY | O_CREAT | O_EXCL | (spare->sync == SYNC_DIRECT ? O_DIRECT : 0);
    struct spare_file made = {.number = spare->next_number++};
    char name[NAME_BYTES];
    sys_unlinkat(spare->segments_fd, SCRATCH);
    int fd = sys_openat(spare->segments_fd, SCRATCH, flags, 0600);
    if (fd < 0)
        return made;
    if (sys_allocate(fd, spare->bytes) == 0)
        made.kind = kind == SPARE_PREFILLED ? write_zeros(spare, fd) : kind;
    if (is_closing(spare) || (made.kind != SPARE_NONE && sys_fsync(fd) < 0))
        made.kind = SPARE_NONE;
    if (sys_close(fd) < 0)
        made.kind = SPARE_NONE;
    name_file(made, name);
    if (made.kind == SPARE_NONE ||
        sys_renameat(spare->segments_fd, SCRATCH, spare->segments_fd, name) < 0) {
        sys_unlinkat(spare->segments_fd, SCRATCH);
        made.kind = SPARE_NONE;
    }
    return made;
}

/* ---- The thread ---- */

/* What is wanted counts as done, whatever came of it: it is asked for again. */
static void note_made(struct spare *spare, struct spare_file made)
{
    spare->wanted = SPARE_NONE;
    if (made.kind == SPARE_NONE) {
        spare->not_before_ns = clock_monotonic_ns() + spare->retry_ns;
        spare->retry_ns = spare->retry_ns < RETRY_LAST_NS / 2 ? 2 * spare->retry_ns : RETRY_LAST_NS;
        return;
    }
    spare->retry_ns = RETRY_FIRST_NS;
    spare->not_before_ns = 0;
    if (best(spare) == SPARE_ALLOCATED)
        remove_file(spare, spare->ready[--spare->count]);
    spare->ready[spare->count++] = made;
}

static void *serve(void *argument)
{
    struct spare *spare = argument;
    pthread_mutex_lock(&spare->lock);
    while (!spare->closing) {
        enum spare_kind kind = due(spare);
        if (kind != SPARE_NONE) {
            pthread_mutex_unlock(&spare->lock);
            struct spare_file made = make_file(spare, kind);
            pthread_mutex_lock(&spare->lock);
            note_made(spare, made);
        } else if (lacks(spare)) {
            sleep_until(spare, spare->not_before_ns);
        } else {
            pthread_cond_wait(&spare->changed, &spare->lock);
        }
    }
    pthread_mutex_unlock(&spare->lock);
    return NULL;
}

static void start_thread(struct spare *spare)
{
    if (!spare->started)
        spare->started = thread_start(&spare->thread, serve, spare);
}

void spare_start(struct spare *spare, enum segment_sync sync)
{
    spare->sync = sync;
    if (spare->kept > 0)
        start_thread(spare);
}

void spare_want(struct spare *spare, enum spare_kind kind)
{
    pthread_mutex_lock(&spare->lock);
    if (spare->wanted == SPARE_NONE && best(spare) < kind &&
        (spare->not_before_ns == 0 || clock_monotonic_ns() >= spare->not_before_ns)) {
        spare->wanted = kind;
        start_thread(spare);
        if (!spare->started)
            note_made(spare, (struct spare_file){0});
        pthread_cond_signal(&spare->changed);
    }
    pthread_mutex_unlock(&spare->lock);
}

void spare_note_frame(struct spare *spare)
{
    atomic_fetch_add_explicit(&spare->frames, 1, memory_order_relaxed);
}

enum spare_kind spare_ready(struct spare *spare)
{
    pthread_mutex_lock(&spare->lock);
    enum spare_kind kind = best(spare);
    pthread_mutex_unlock(&spare->lock);
    return kind;
}

enum spare_kind spare_take(struct spare *spare, const char *name)
{
    struct spare_file file = {0};
    char own[NAME_BYTES];
    pthread_mutex_lock(&spare->lock);
    if (spare->count > 0)
        file = spare->ready[--spare->count];
    pthread_cond_signal(&spare->changed);
    pthread_mutex_unlock(&spare->lock);
    if (file.kind == SPARE_NONE)
        return SPARE_NONE;
    name_file(file, own);
    int error = sys_renameat(spare->segments_fd, own, spare->segments_fd, name);
    return error < 0 ? SPARE_NONE : file.kind;
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
    for (unsigned i = 0; i < spare->count; i++)
        if (spare->kept == 0 || spare->ready[i].kind != SPARE_PREFILLED)
            remove_file(spare, spare->ready[i]);
    pthread_cond_destroy(&spare->changed);
    pthread_mutex_destroy(&spare->lock);
    free(spare->ready);
    free(spare);
}
