/* SPDX-License-Identifier: MIT
 * See held.h. */
#include "region/held.h"

void held_note(struct flusher_state *state, const struct held *held)
{
    held_forget(state);
    atomic_store_explicit(&state->open_lsn, held->lsn, memory_order_release);           /* N1 */
    atomic_store_explicit(&state->open_owner, held->owner, memory_order_release);       /* N1 */
    atomic_store_explicit(&state->open_since_ns, held->since_ns, memory_order_release); /* N2 */
}

void held_forget(struct flusher_state *state)
{
    atomic_store_explicit(&state->open_since_ns, 0, memory_order_relaxed);
}

bool held_read(const struct flusher_state *state, struct held *held)
{
    held->since_ns = atomic_load_explicit(&state->open_since_ns, memory_order_acquire); /* N2 */
    held->lsn = atomic_load_explicit(&state->open_lsn, memory_order_acquire);           /* N1 */
    held->owner = atomic_load_explicit(&state->open_owner, memory_order_acquire);       /* N1 */
    return held->since_ns != 0 &&
           atomic_load_explicit(&state->open_since_ns, memory_order_relaxed) == held->since_ns;
}
