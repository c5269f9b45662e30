/* SPDX-License-Identifier: MIT
 *
 * The memory that frames are gathered into.
 *
 * There are as many as may be in flight, and they are used in turn: none is gathered into before
 * what it held is durable. Each has addresses for the largest record, but takes real memory only
 * for what has been put there; an unusually large one gives that back when it is durable.
 *
 * Knows flusher.h. Changes when frames should share memory. */
#include "base/error.h"
#include "flusher/flusher.h"

#include <errno.h>
#include <sys/mman.h>

static uint64_t bytes_each(const struct flusher *flusher)
{
    return frame_file_bytes(flusher->frame_capacity);
}

int frames_allocate(struct flusher *flusher)
{
    const struct meta *meta = &flusher->directory.meta;
    flusher->frame_capacity = record_span(record_length_max(meta->ring_bytes, meta->segment_bytes));
    if (flusher->frame_capacity < FRAME_BYTES)
        flusher->frame_capacity = FRAME_BYTES;
    char *memory = mmap(NULL, STORE_FRAMES * bytes_each(flusher), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
        return fail_errno(errno, "no memory for %d frames of %llu bytes", STORE_FRAMES,
                          (unsigned long long)flusher->frame_capacity);
    for (unsigned i = 0; i < STORE_FRAMES; i++)
        flusher->frames[i] = (struct frame_header *)(memory + i * bytes_each(flusher));
    return 0;
}

void frames_free(struct flusher *flusher)
{
    munmap(flusher->frames[0], STORE_FRAMES * bytes_each(flusher));
}

/* Those in flight stand just before the one that is being gathered. */
void frames_trim(struct flusher *flusher)
{
    for (unsigned i = 1; i < STORE_FRAMES - store_in_flight(flusher->store); i++) {
        struct frame_header *frame = flusher->frames[(flusher->turn + i) % STORE_FRAMES];
        if (frame->payload_bytes <= FRAME_BYTES)
            continue;
        frame->payload_bytes = 0;
        madvise((char *)frame + FRAME_BYTES, bytes_each(flusher) - FRAME_BYTES, MADV_DONTNEED);
    }
}
