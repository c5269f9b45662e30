/* SPDX-License-Identifier: MIT
 *
 * The memory that frames are gathered into.
 *
 * There are as many as may be in flight, and they are used in turn: none is gathered into before
 * what it held is durable. Each has addresses for the largest record, but takes real memory only
 * for what has been put there: one huge page for an ordinary frame, since to tell the device of one
 * piece of memory costs much less than of hundreds. An unusually large one gives the rest back when
 * it is durable.
 *
 * Knows flusher.h. Changes when frames should share memory. */
#include "base/error.h"
#include "flusher/flusher.h"

#include <errno.h>
#include <sys/mman.h>

/* A multiple of FRAME_BYTES, which is the size of a huge page. */
static uint64_t bytes_each(const struct flusher *flusher)
{
    return round_up(sizeof(struct frame_header) + flusher->frame_capacity, FRAME_BYTES);
}

int frames_allocate(struct flusher *flusher)
{
    const struct meta *meta = &flusher->directory.meta;
    uint64_t ordinary = FRAME_BYTES - sizeof(struct frame_header);
    flusher->frame_capacity = record_span(record_length_max(meta->ring_bytes, meta->segment_bytes));
    if (flusher->frame_capacity < ordinary)
        flusher->frame_capacity = ordinary;
    flusher->frames_bytes = STORE_FRAMES * bytes_each(flusher) + FRAME_BYTES;
    void *memory = mmap(NULL, flusher->frames_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return fail_errno(errno, "no memory for %d frames of %llu bytes", STORE_FRAMES,
                          (unsigned long long)flusher->frame_capacity);
    flusher->frames_memory = memory;
    char *first = (char *)round_up((uintptr_t)memory, FRAME_BYTES);
    for (unsigned i = 0; i < STORE_FRAMES; i++) {
        flusher->frames[i] = (struct frame_header *)(first + i * bytes_each(flusher));
        madvise(flusher->frames[i], FRAME_BYTES, MADV_HUGEPAGE);
    }
    return 0;
}

void frames_free(struct flusher *flusher)
{
    munmap(flusher->frames_memory, flusher->frames_bytes);
}

/* Those in flight stand just before the one that is being gathered. */
void frames_trim(struct flusher *flusher)
{
    uint64_t gathered = sizeof(struct frame_header) + flusher->gathered - flusher->issued;
    unsigned first = gathered <= FRAME_BYTES ? 0 : 1;
    for (unsigned i = first; i < STORE_FRAMES - store_in_flight(flusher->store); i++) {
        struct frame_header *frame = flusher->frames[(flusher->turn + i) % STORE_FRAMES];
        if (sizeof *frame + frame->payload_bytes <= FRAME_BYTES)
            continue;
        frame->payload_bytes = 0;
        madvise((char *)frame + FRAME_BYTES, bytes_each(flusher) - FRAME_BYTES, MADV_DONTNEED);
    }
}
