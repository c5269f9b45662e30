/* SPDX-License-Identifier: MIT
 * See attachment.h. */
#include "region/attachment.h"

#include "base/error.h"
#include "sys/lock.h"
#include "sys/process.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int attachment_alive(int ring_fd, uint64_t id)
{
    return sys_lock_held(ring_fd, LOCK_ATTACHMENTS + id, 1);
}

int attachment_any(int ring_fd)
{
    return sys_lock_held(ring_fd, LOCK_ATTACHMENTS, 0);
}

/* An entry that is free, or whose attachment is gone. Called with LOCK_RING, so nobody else looks
 * for one. */
static int find_entry(const struct ring_control *control, int ring_fd, uint64_t id, uint32_t *entry)
{
    for (uint32_t i = 0; i < ATTACHMENTS_MAX; i++) {
        uint32_t candidate = (uint32_t)((id + i) % ATTACHMENTS_MAX);
        /* Relaxed: the lock tells, and the entry changes hands under LOCK_RING alone. */
        uint64_t owner =
            atomic_load_explicit(&control->attachments[candidate].id, memory_order_relaxed);
        if (owner == 0 || attachment_alive(ring_fd, owner) == 0) {
            *entry = candidate;
            return 0;
        }
    }
    return fail(EUSERS, "%d handles are attached to this log, and it takes no more",
                ATTACHMENTS_MAX);
}

/* Withdrawn first: whoever had it may have been killed, and its number stands there yet. */
static void enter(struct ring_control *control, struct attachment *mine, uint64_t number,
                  uint64_t commit_interval_ns)
{
    atomic_store_explicit(&mine->id, 0, memory_order_relaxed);
    /* Relaxed: the flusher that reads it has seen, or will, that something has changed (A3). */
    atomic_store_explicit(&mine->commit_interval_ns, commit_interval_ns, memory_order_relaxed);
    atomic_store_explicit(&mine->pid, (int32_t)getpid(), memory_order_release);             /* A1 */
    atomic_store_explicit(&mine->pid_namespace, sys_pid_namespace(), memory_order_release); /* A1 */
    atomic_store_explicit(&mine->address, (uint64_t)(uintptr_t)control,
                          memory_order_release);                    /* A1 */
    atomic_store_explicit(&mine->id, number, memory_order_release); /* A2 */
    atomic_fetch_add(&control->attachments_changed, 1);             /* A3 */
}

int attachment_create(struct ring_control *control, int ring_fd, uint64_t commit_interval_ns,
                      uint64_t *id, uint32_t *entry)
{
    /* Relaxed: nothing but the number is taken from it. */
    uint64_t number = atomic_fetch_add_explicit(&control->next_attachment, 1, memory_order_relaxed);
    uint32_t place = 0;
    if (number == 0 || number > RING_OWNER_MAX)
        return fail(EBADMSG, "the ring was overwritten by a process that has this log open and "
                             "stores into memory that is not its own; end all that have it open, "
                             "so that a new one is made");
    int error = find_entry(control, ring_fd, number, &place);
    if (error < 0)
        return error;
    error = sys_lock_try(ring_fd, LOCK_ATTACHMENTS + number);
    if (error < 0)
        return fail_errno(-error, "the ring cannot be locked");
    enter(control, &control->attachments[place], number, commit_interval_ns);
    *id = number;
    *entry = place;
    return 0;
}

uint32_t attachment_count(const struct ring_control *control, int ring_fd)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < ATTACHMENTS_MAX; i++) {
        /* Relaxed: the lock tells. */
        uint64_t id = atomic_load_explicit(&control->attachments[i].id, memory_order_relaxed);
        if (id != 0 && attachment_alive(ring_fd, id) == 1)
            count++;
    }
    return count;
}

static void read_claim(const struct attachment *entry, struct attachment_claim *claim)
{
    claim->pid = atomic_load_explicit(&entry->pid, memory_order_acquire); /* A1 */
    claim->pid_namespace =
        atomic_load_explicit(&entry->pid_namespace, memory_order_acquire);        /* A1 */
    claim->address = atomic_load_explicit(&entry->address, memory_order_acquire); /* A1 */
}

bool attachment_claims(const struct ring_control *control, uint64_t id,
                       struct attachment_claim *claim)
{
    for (uint32_t i = 0; i < ATTACHMENTS_MAX; i++) {
        const struct attachment *entry = &control->attachments[(id + i) % ATTACHMENTS_MAX];
        if (atomic_load_explicit(&entry->id, memory_order_acquire) == id) { /* A2 */
            read_claim(entry, claim);
            /* Else it has just been withdrawn, and what was read may be its successor's. */
            return atomic_load_explicit(&entry->id, memory_order_relaxed) == id && claim->pid > 0;
        }
    }
    return false;
}

const char *attachment_words(const struct ring_control *control, uint64_t id,
                             char text[ATTACHMENT_WORDS])
{
    struct attachment_claim claim;
    if (!attachment_claims(control, id, &claim))
        return strcpy(text, "a process that is not known");
    bool here = claim.pid_namespace == sys_pid_namespace();
    snprintf(text, ATTACHMENT_WORDS, "process %d%s", claim.pid,
             here ? "" : " of another PID namespace");
    return text;
}

static bool claims_equal(const struct attachment_claim *one, const struct attachment_claim *other)
{
    return one->pid == other->pid && one->pid_namespace == other->pid_namespace &&
           one->address == other->address;
}

uint32_t attachment_count_claims(const struct ring_control *control, int ring_fd,
                                 const struct attachment_claim *claim)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < ATTACHMENTS_MAX; i++) {
        const struct attachment *entry = &control->attachments[i];
        uint64_t id = atomic_load_explicit(&entry->id, memory_order_acquire); /* A2 */
        struct attachment_claim found;
        read_claim(entry, &found);
        if (id != 0 && claims_equal(&found, claim) && attachment_alive(ring_fd, id) != 0)
            count++;
    }
    return count;
}

uint64_t attachment_commit_interval_ns(const struct ring_control *control, int ring_fd)
{
    uint64_t smallest = UINT64_MAX;
    for (uint32_t i = 0; i < ATTACHMENTS_MAX; i++) {
        const struct attachment *entry = &control->attachments[i];
        /* Relaxed: the caller has seen what changed (A3), and comes again if more has. */
        uint64_t id = atomic_load_explicit(&entry->id, memory_order_relaxed);
        uint64_t interval = atomic_load_explicit(&entry->commit_interval_ns, memory_order_relaxed);
        if (id != 0 && interval < smallest && attachment_alive(ring_fd, id) == 1)
            smallest = interval;
    }
    return smallest == UINT64_MAX ? 0 : smallest;
}
