/* SPDX-License-Identifier: MIT
 * LINKED: src/region/region.c src/region/attachment.c src/ring/ring.c
 *
 * A handle is closed, or with DIES its process is killed, and another process attaches, which takes
 * its entry. Somebody who asks meanwhile who either of them is gets its claim, or none (A1, A2).
 *
 * Knows src/region. Changes with the protocol. */
#include "processes.h"

/* Their numbers have the same place in the table, and the other place is taken. */
enum { LEAVES = 1, COMES = 3, LEFT_AT = 77 };

static struct region region[2];
static _Atomic int left;

static void *leave(void *unused)
{
    number = LEAVES;
#ifdef DIES
    unmap();
#else
    region_detach(&region[0]);
#endif
    atomic_store(&left, 1);
    return unused;
}

static void *come(void *unused)
{
    __VERIFIER_assume(atomic_load(&left) == 1);
    process = COMES;
    int error = region_attach(&log_directory, 0, &region[1]);
    assert(error == 0 && region[1].attachment == COMES && region[1].entry == region[0].entry);
    return unused;
}

#ifdef COUNTS
/* Who lives and makes the claim of the one that has left: nobody. */
static void *look(void *unused)
{
    __VERIFIER_assume(atomic_load(&left) == 1);
    static const struct attachment_claim claim = {LEAVES, LEAVES, LEFT_AT};
    assert(attachment_count_claims(&control, 0, &claim) == 0);
    return unused;
}
#else
static void *look(void *unused)
{
    struct attachment_claim claim;
    if (attachment_claims(&control, LEAVES, &claim))
        assert(claim.pid == LEAVES && claim.pid_namespace == LEAVES && claim.address == LEFT_AT);
    if (attachment_claims(&control, COMES, &claim))
        assert(claim.pid == COMES && claim.pid_namespace == COMES &&
               claim.address == (uintptr_t)&control);
    return unused;
}
#endif

int main(void)
{
    attach_first(&region[0], LEAVES, 0);
    atomic_store(&control.attachments[region[0].entry].address, LEFT_AT);
    atomic_store(&control.next_attachment, COMES);
    RUN(leave, come, look);
    return 0;
}
