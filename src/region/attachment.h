/* SPDX-License-Identifier: MIT
 *
 * Attachments: who may write the ring, and the proof that one no longer can.
 *
 * Each attachment has a number that is never used again while the ring exists, and holds a lock of
 * the open-file kind on the byte LOCK_ATTACHMENTS + number of the ring's object. The lock was taken
 * through the very descriptor that the ring is mapped by, and that descriptor is closed at once:
 * the mapping alone keeps the lock. Since the mapping is not inherited by fork, the lock is free if
 * and only if the address space that could store to the ring under this number is gone. That holds
 *
 *   - across PID reuse and PID namespaces: no PID is looked at;
 *   - for a zombie, whose memory is gone, and for a process whose main thread ended while others
 *   run;
 *   - for a daemon that closes every descriptor it finds;
 *   - for a forked child that outlives its parent, and for exec.
 *
 * The table of attachments says who is who, and how long each would have the flusher gather. An
 * entry changes hands when its attachment is gone, whether it was withdrawn (id 0) or not; whoever
 * takes it withdraws it first. `tests/weak` checks:
 *
 *   A1  pid, pid_namespace, address (release)  →  the same (acquire)   with them it is seen that
 *                                                 the claim before was withdrawn, as N1 of held.h
 *   A2  id (release)  →  id (acquire)             with it its claim is seen
 *   A3  an entry, then attachments_changed one more (seq_cst), then awaited (load)
 *         ↔  awaited (seq_cst store), then attachments_changed (load): a flusher that gathers by
 *            the intervals of others is woken; one that sees the count sees the entry
 *   A4  the lock let go, then status (load)
 *         ↔  status (seq_cst store), then the lock asked: of the last who closes its handle and a
 *            flusher that ends, one finds that it must remove the ring
 *
 * REJECTED. PID and start time: wrong across namespaces. flock or record locks on a descriptor that
 * is kept: released when somebody closes it, kept by a forked child. Robust mutexes: die with a
 * thread. A pidfd handed over a socket: a successor of the flusher does not have it.
 *
 * Knows layout, sys/lock.h, sys/process.h. */
#ifndef REGION_ATTACHMENT_H
#define REGION_ATTACHMENT_H

#include "region/layout.h"

#include <stdbool.h>
#include <stdint.h>

/* Where in the object the locks lie; nothing of it need exist there. */
#define LOCK_ATTACHMENTS (UINT64_C(1) << 48)

/* Takes a number and its lock through `ring_fd`, and an entry of the table. -EUSERS if it is
 * full. */
int attachment_create(struct ring_control *control, int ring_fd, uint64_t commit_interval_ns,
                      uint64_t *id, uint32_t *entry);

/* Whether the attachment lives: 1, 0, or a negative errno. `ring_fd` is not the one it was taken
 * by. */
int attachment_alive(int ring_fd, uint64_t id);

/* Whether any does. */
int attachment_any(int ring_fd);

/* How many do: looks at each entry of the table. */
uint32_t attachment_count(const struct ring_control *control, int ring_fd);

/* Which process an attachment says it belongs to. Any process that writes the ring could have
 * written that: see region/owner.h. */
struct attachment_claim {
    int32_t pid;            /* in its own PID namespace */
    uint32_t pid_namespace; /* 0: not known */
    uint64_t address;       /* where it has the ring mapped */
};

/* False if the attachment has left no claim. */
bool attachment_claims(const struct ring_control *control, uint64_t id,
                       struct attachment_claim *claim);

/* "process 7", "process 7 of another PID namespace", "a process that is not known": in `text`;
 * returns it. For people only. */
enum { ATTACHMENT_WORDS = 64 };
const char *attachment_words(const struct ring_control *control, uint64_t id,
                             char text[ATTACHMENT_WORDS]);

/* How many attachments that live make this claim. */
uint32_t attachment_count_claims(const struct ring_control *control, int ring_fd,
                                 const struct attachment_claim *claim);

/* The smallest commit interval of all that live, 0 if none does. */
uint64_t attachment_commit_interval_ns(const struct ring_control *control, int ring_fd);

#endif
