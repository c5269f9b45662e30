/* SPDX-License-Identifier: MIT
 * LINKED: src/region/held.c
 *
 * Somebody reads what holds the flusher up while it notes one reservation after another: what is
 * read is one of them (N1, N2).
 *
 * Knows src/region. Changes with the protocol. */
#include "region/held.h"
#include "weak.h"

static struct flusher_state state;

static void *note(void *unused)
{
    held_note(&state, &(struct held){1, 2, 3});
#ifdef FORGETS
    held_forget(&state);
#endif
    held_note(&state, &(struct held){4, 5, 6});
    return unused;
}

static void *look(void *unused)
{
    struct held held;
    if (held_read(&state, &held)) {
        bool one = held.lsn == 1 && held.owner == 2 && held.since_ns == 3;
        bool other = held.lsn == 4 && held.owner == 5 && held.since_ns == 6;
        assert(one || other);
    }
    return unused;
}

int main(void)
{
    RUN(note, look);
    return 0;
}
