/* SPDX-License-Identifier: MIT
 *
 * The ring: how many processes reserve, commit and consume extents of one shared memory without a
 * lock.
 *
 * GUARANTEE. At any instant, whoever has just died, every extent between head and tail has a header
 * that names its owner and length, or is the one that the tail names. So a successor knows exactly
 * what was committed, and what a dead process leaves behind is filled exactly.
 *
 * MECHANISM. The bytes are cut into units of 64. Each unit has a 16-byte header in an array apart
 * from the bytes, so that no payload can ever look like a header:
 *
 *     position   the extent's first LSN | state     (LSNs are multiples of 64: low bits are free)
 *     extent     owner << 24 | length in units
 *
 * Only the header of an extent's first unit is used. Headers change by double-width CAS and are
 * never zeroed: since a position never repeats, a header left by an earlier lap is stale for ever,
 * and a late store meant for an earlier lap cannot match.
 *
 *     stale ──help──► reserved ──commit──► committed       (owner)
 *       │                 └─────discard──► discarded       (owner)
 *       └──────commit / discard──────────► …               (owner, nobody having helped)
 *
 * For an owner that is proven dead, and for no other, the flusher discards in its place. A header
 * that no protocol can have written is another matter: ring/mend.h.
 *
 * The tail is one 16-byte word {end LSN, extent of the last reservation}. To reserve is to move it
 * by CAS; whoever does so first completes the header that the old tail names ("helping").
 *
 * REJECTED. A bump of a 64-bit tail by fetch-and-add: a process killed right behind it leaves an
 * extent whose owner and length nobody knows. Committing in order: one killed producer hangs all
 * others. Aborting by time-out: a slow live writer then stores into memory that was given away.
 *
 * tests/model/ring.pml checks the protocol exhaustively, tests/weak the C code's memory orderings.
 * This file touches memory only: no system call. Knows base. Changes only together with the
 * model. */
#ifndef RING_RING_H
#define RING_RING_H

#include <atomic_ops.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#if !defined(AO_HAVE_compare_double_and_swap_double_full) || defined(AO_WEAK_DOUBLE_CAS_EMULATION)
#error                                                                                             \
    "needs a native double-width compare-and-swap (on x86-64: -mcx16); the emulation takes a lock"
#endif

enum {
    RING_UNIT = 64,
    RING_LENGTH_BITS = 24,
};
#define RING_OWNER_MAX ((UINT64_C(1) << (64 - RING_LENGTH_BITS)) - 1)
#define RING_SPAN_MAX  (((UINT64_C(1) << RING_LENGTH_BITS) - 1) * RING_UNIT)

enum ring_state {
    RING_FREE = 0, /* only in a header never used */
    RING_RESERVED = 1,
    RING_COMMITTED = 2,
    RING_DISCARDED = 3,
};

/* The shared word at the end of the reservations. Writer: any producer, by CAS. */
struct ring_tail_word {
    _Alignas(64) AO_double_t word;
};

/* One process's view of a ring. Written once, when it attaches, but for head_seen. */
struct ring {
    struct ring_tail_word *tail;
    AO_double_t *headers;
    char *bytes;                  /* mapped twice in a row: an extent never wraps */
    uint64_t size;                /* of bytes, a power of two */
    const _Atomic uint64_t *head; /* all below is consumed; writer: the flusher */
    _Atomic uint64_t
        head_seen; /* a copy in private memory, so that most appends do not touch *head */
};

/* A snapshot of a header. */
struct ring_header {
    uint64_t position, extent;
};

static inline uint64_t ring_extent(uint64_t owner, uint64_t span)
{
    return owner << RING_LENGTH_BITS | span / RING_UNIT;
}

static inline uint64_t ring_extent_owner(uint64_t extent)
{
    return extent >> RING_LENGTH_BITS;
}

static inline uint64_t ring_extent_span(uint64_t extent)
{
    return (extent & ((UINT64_C(1) << RING_LENGTH_BITS) - 1)) * RING_UNIT;
}

static inline uint64_t ring_header_lsn(struct ring_header header)
{
    return header.position & ~(uint64_t)(RING_UNIT - 1);
}

static inline enum ring_state ring_header_state(struct ring_header header)
{
    return (enum ring_state)(header.position & (RING_UNIT - 1));
}

/* The memory of the extent at `lsn`. */
static inline void *ring_at(const struct ring *ring, uint64_t lsn)
{
    return ring->bytes + (lsn & (ring->size - 1));
}

/* Before anybody else sees it: an empty ring whose first extent will begin at `first_lsn`. */
void ring_initialize(struct ring_tail_word *tail, uint64_t first_lsn);

/* The end of the last reservation. */
uint64_t ring_end(const struct ring *ring);

/* Reserves `span` bytes, a multiple of 64 that is at most the ring's size and RING_SPAN_MAX, for
 * `owner`: 0 and where the extent begins, or -EAGAIN if there is no room. Lock-free. */
int ring_reserve(struct ring *ring, uint64_t owner, uint64_t span, uint64_t *lsn);

/* Ends the reservation of `owner`, the caller or somebody proven dead, in `state`: RING_COMMITTED
 * or RING_DISCARDED. False if there is no such reservation (any more). */
bool ring_finish(const struct ring *ring, uint64_t owner, uint64_t lsn, uint64_t span,
                 enum ring_state state);

/* Whether ring_finish() would find that reservation: asked before its memory is touched, by who
 * holds a description of it that may be a copy. */
bool ring_is_open(const struct ring *ring, uint64_t owner, uint64_t lsn, uint64_t span);

/* The header at `lsn`; it is the extent's own if and only if ring_header_lsn() of it is `lsn` and
 * its state is not RING_FREE. */
struct ring_header ring_read(const struct ring *ring, uint64_t lsn);

/* The tail: `position` is its end LSN, `extent` the last reservation, length 0 if there is none. */
struct ring_header ring_read_tail(const struct ring *ring);

/* For ring/mend.h alone. Changes the tail from `old`; or leaves it, if it is no longer that. */
void ring_swap_tail(const struct ring *ring, struct ring_header old, struct ring_header new);

/* For ring/mend.h alone. Makes [lsn, lsn + span) a discarded extent of nobody, whatever the header
 * says. */
void ring_force_discarded(const struct ring *ring, uint64_t lsn, uint64_t span);

/* Whether the extent that begins at `lsn` is finished, read in the one total order of seq_cst
 * operations: for the look that precedes a sleep. */
bool ring_finished_at(const struct ring *ring, uint64_t lsn);

/* What is reserved at `lsn` and not finished, as the header has it, or the tail if nobody has
 * completed the header yet. False if no extent begins there (yet), or it is finished. Changes
 * nothing. */
bool ring_find_open(const struct ring *ring, uint64_t lsn, struct ring_header *open);

/* From `lsn`, an extent's beginning, the end of the last extent that is finished without a hole. If
 * the flusher has consumed past `lsn` meanwhile, begins again at the head. */
uint64_t ring_finished_until(const struct ring *ring, uint64_t lsn);

#endif
