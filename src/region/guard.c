/* SPDX-License-Identifier: MIT
 * See guard.h.
 *
 * The handler may run in several threads at once, while others take and release guards: it finds
 * them without a lock, and a guard's memory is never given back. Nothing here is hot, so all is
 * seq_cst:
 *
 *   T1  ranges, then turn live  →  turn live, then ranges   who finds it live sees its ranges
 *   T2  turn busy, then ranges  →  ranges, then turn again  who saw a range of a later turn sees
 *                                                           that it is another one
 *   T3  lost, behind both mremap  →  lost                   who finds it lost only fills a piece
 *
 * The guard that a thread faults in does not change under it: what its thread uses is not closed.
 * Two threads that fault in one guard at once both replace its mappings. The later one may undo a
 * piece that the other has just filled: that is touched again, and filled again. */
#include "region/guard.h"

#include "sys/fork.h"
#include "sys/thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

enum {
    PAGE = 4096,
    PIECE_BYTES = 256 * 1024, /* the largest record's pieces are 4096 mappings */
    STATE_BYTES = (sizeof(struct flusher_state) + PAGE - 1) / PAGE * PAGE,
};

/* The lowest bits of a turn. */
enum { TURN_FREE = 0, TURN_BUSY = 1, TURN_LIVE = 2, TURN_STEP = 4 };

struct guard {
    _Atomic uint64_t turn;
    _Atomic uint64_t process; /* whose mappings they are; 0: a child inherits them */
    _Atomic uintptr_t ring, bytes, ring_end, state;
    _Atomic uint32_t lost;
};

struct block {
    struct block *next;
    struct guard guards[64];
};
static_assert(sizeof(struct block) <= PAGE, "a block is a page");

static _Atomic(struct block *) blocks; /* only ever pushed to */

/* This process's number, in a page that fork wipes: a guard that a child has inherited without its
 * mappings bears another one, since the child's is counted on from its parent's. */
static _Atomic uint64_t *here;
static _Atomic uint64_t numbers;

static struct sigaction previous;

/* ---- The process --------------------------------------------------------------------------- */

static uint64_t process_number(void)
{
    uint64_t none = 0;
    if (atomic_load(here) == 0)
        atomic_compare_exchange_strong(here, &none, atomic_fetch_add(&numbers, 1) + 1);
    return atomic_load(here);
}

static bool is_here(const struct guard *guard)
{
    uint64_t process = atomic_load(&guard->process);
    return process == 0 || process == atomic_load(here);
}

/* ---- The handler --------------------------------------------------------------------------- */

static bool is_in_ring(const struct guard *guard, uintptr_t address)
{
    return address >= atomic_load(&guard->ring) && address < atomic_load(&guard->ring_end);
}

static bool guards(const struct guard *guard, uintptr_t address)
{
    uint64_t turn = atomic_load(&guard->turn); /* T1 */
    if (turn % TURN_STEP != TURN_LIVE || !is_here(guard))
        return false;
    bool within =
        is_in_ring(guard, address) || address - atomic_load(&guard->state) < STATE_BYTES; /* T2 */
    return within && atomic_load(&guard->turn) == turn;
}

static struct guard *find(uintptr_t address)
{
    for (struct block *block = atomic_load(&blocks); block != NULL; block = block->next)
        for (size_t i = 0; i < sizeof block->guards / sizeof *block->guards; i++)
            if (guards(&block->guards[i], address))
                return &block->guards[i];
    return NULL;
}

/* To other threads, the one is there or the other. */
static bool put(void *memory, size_t bytes, uintptr_t place, size_t place_bytes)
{
    if (memory != MAP_FAILED && mremap(memory, bytes, place_bytes, MREMAP_MAYMOVE | MREMAP_FIXED,
                                       (void *)place) != MAP_FAILED)
        return true;
    if (memory != MAP_FAILED)
        munmap(memory, bytes);
    return false;
}

static void *fresh(size_t bytes, int sharing)
{
    return mmap(NULL, bytes, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS, -1, 0);
}

/* The kernel reads, so that what is no more is an error. False if not all is there. */
static bool read_memory(void *copy, uintptr_t from, size_t bytes)
{
    struct iovec local = {copy, bytes}, remote = {(void *)from, bytes};
    return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)bytes;
}

/* What can be read of it. The durable LSN is read until it is the same twice: nobody says that the
 * kernel copies it in one piece. */
static void read_state(struct flusher_state *copy, uintptr_t state)
{
    uintptr_t durable = state + offsetof(struct flusher_state, durable_lsn);
    uint64_t again;
    read_memory(copy, state, sizeof *copy);
    do
        if (!read_memory(&again, durable, sizeof again))
            again = 0;
    while (atomic_exchange(&copy->durable_lsn, again) != again);
}

static bool replace_state(const struct guard *guard)
{
    uintptr_t state = atomic_load(&guard->state);
    struct flusher_state *copy = fresh(STATE_BYTES, MAP_PRIVATE);
    if (copy == MAP_FAILED)
        return false;
    read_state(copy, state);
    atomic_store(&copy->status, FLUSHER_LOST);
    atomic_store(&copy->gone, 1);
    return put(copy, STATE_BYTES, state, STATE_BYTES);
}

static void *ones(size_t bytes, int sharing)
{
    void *memory = fresh(bytes, sharing);
    return memory == MAP_FAILED ? memory : memset(memory, 0xff, bytes);
}

/* A shared page that has grown has nothing behind it: that faults. */
static bool replace_ring(const struct guard *guard)
{
    uintptr_t ring = atomic_load(&guard->ring), end = atomic_load(&guard->ring_end);
    return end == ring || put(ones(PAGE, MAP_SHARED), PAGE, ring, end - ring);
}

/* Where the records' bytes stand, of zeros: an append reads its record's length there again. */
static bool fill_piece(const struct guard *guard, uintptr_t address)
{
    uintptr_t ring = atomic_load(&guard->ring), end = atomic_load(&guard->ring_end);
    uintptr_t bytes = atomic_load(&guard->bytes);
    bool header = address < bytes;
    uintptr_t part = header ? ring : bytes, part_end = header ? bytes : end;
    uintptr_t begin = part + (address - part) / PIECE_BYTES * PIECE_BYTES;
    size_t length = part_end - begin < PIECE_BYTES ? part_end - begin : PIECE_BYTES;
    void *piece = header ? ones(length, MAP_PRIVATE) : fresh(length, MAP_PRIVATE);
    return put(piece, length, begin, length);
}

/* The state first: who sees the ring go sees why. */
static bool give_up(struct guard *guard, uintptr_t address)
{
    if (atomic_load(&guard->lost) == 0) { /* T3 */
        if (!replace_state(guard) || !replace_ring(guard))
            return false;
        atomic_store(&guard->lost, 1); /* T3 */
    }
    return !is_in_ring(guard, address) || fill_piece(guard, address);
}

/* As the kernel would have called it. */
static void call_previous(int number, siginfo_t *info, void *context)
{
    sigset_t mask = ((ucontext_t *)context)->uc_sigmask;
    if (!(previous.sa_flags & SA_NODEFER))
        sigaddset(&mask, number);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    pthread_sigmask(SIG_BLOCK, &previous.sa_mask, NULL);
    if (previous.sa_flags & SA_SIGINFO)
        previous.sa_sigaction(number, info, context);
    else
        previous.sa_handler(number);
}

/* Without a handler the access is made again and ends the process; a signal that somebody sent is
 * sent again. A fault cannot be ignored. */
static void pass_on(int number, siginfo_t *info, void *context)
{
    bool sent = info->si_code <= 0;
    bool handled = (previous.sa_flags & SA_SIGINFO) != 0 ||
                   (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN);
    if (handled) {
        call_previous(number, info, context);
    } else if (!sent || previous.sa_handler == SIG_DFL) {
        signal(number, SIG_DFL);
        if (sent)
            raise(number);
    }
}

static void on_bus_error(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    uintptr_t address = (uintptr_t)info->si_addr;
    struct guard *guard = info->si_code == BUS_ADRERR ? find(address) : NULL;
    bool done = guard != NULL && give_up(guard, address);
    errno = saved;
    if (!done)
        pass_on(number, info, context);
}

/* No other handler runs in the middle: it may append, and SIGBUS is blocked. On the stack that the
 * program has set aside for signals, if it has: its own may be too small. */
static void install(void)
{
    struct sigaction action = {
        .sa_sigaction = on_bus_error,
        .sa_mask = thread_signals_all(),
        .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART,
    };
    here = sys_fork_wiped_page();
    if (here == NULL)
        return;
    sigaction(SIGBUS, NULL, &previous);
    sigaction(SIGBUS, &action, NULL);
}

/* ---- Taking and releasing ------------------------------------------------------------------ */

/* One that is free, or that this process has inherited without its mappings. */
static bool claim(struct guard *guard)
{
    uint64_t turn = atomic_load(&guard->turn);
    bool left = turn % TURN_STEP == TURN_LIVE && !is_here(guard);
    return (turn % TURN_STEP == TURN_FREE || left) &&
           atomic_compare_exchange_strong(&guard->turn, &turn,
                                          turn - turn % TURN_STEP + TURN_STEP + TURN_BUSY);
}

static struct guard *claim_any(void)
{
    for (struct block *block = atomic_load(&blocks); block != NULL; block = block->next)
        for (size_t i = 0; i < sizeof block->guards / sizeof *block->guards; i++)
            if (claim(&block->guards[i]))
                return &block->guards[i];
    struct block *block = fresh(PAGE, MAP_PRIVATE);
    if (block == MAP_FAILED)
        return NULL;
    atomic_store(&block->guards[0].turn, TURN_BUSY);
    block->next = atomic_load(&blocks);
    while (!atomic_compare_exchange_weak(&blocks, &block->next, block))
        continue;
    return &block->guards[0];
}

struct guard *guard_take(const struct guarded *guarded, bool inherited)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
    struct guard *guard = here == NULL ? NULL : claim_any();
    if (guard == NULL)
        return NULL;
    atomic_store(&guard->process, inherited ? 0 : process_number()); /* T2 */
    atomic_store(&guard->ring, (uintptr_t)guarded->ring);
    atomic_store(&guard->bytes, round_up((uintptr_t)guarded->bytes, PAGE));
    atomic_store(&guard->ring_end, round_up((uintptr_t)guarded->ring_end, PAGE));
    atomic_store(&guard->state, (uintptr_t)guarded->state);
    atomic_store(&guard->lost, 0);
    atomic_fetch_add(&guard->turn, TURN_LIVE - TURN_BUSY); /* T1 */
    return guard;
}

void guard_release_ring(struct guard *guard)
{
    atomic_fetch_add(&guard->turn, TURN_STEP + TURN_BUSY - TURN_LIVE); /* T2 */
    atomic_store(&guard->ring, 0);
    atomic_store(&guard->ring_end, 0);
    atomic_fetch_add(&guard->turn, TURN_LIVE - TURN_BUSY); /* T1 */
}

void guard_release(struct guard *guard)
{
    if (guard != NULL)
        atomic_fetch_add(&guard->turn, TURN_STEP - TURN_LIVE);
}
