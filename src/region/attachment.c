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
        uint64_t owner = atomic_load(&control->attachments[candidate].id);
        if (owner == 0 || attachment_alive(ring_fd, owner) == 0) {
            *entry = candidate;
            return 0;
        }
    }
    return fail(EUSERS, "%d handles are attached to this log, and it takes no more",
                ATTACHMENTS_MAX);
}

int attachment_create(struct ring_control *control, int ring_fd, uint64_t commit_interval_ns,
                      uint64_t *id, uint32_t *entry)
{
    uint64_t number = atomic_fetch_add(&control->next_attachment, 1);
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
    struct attachment *mine = &control->attachments[place];
    atomic_store(&mine->commit_interval_ns, commit_interval_ns);
    atomic_store(&mine->pid, (int32_t)getpid());
    atomic_store(&mine->pid_namespace, sys_pid_namespace());
    atomic_store(&mine->address, (uint64_t)(uintptr_t)control);
    atomic_store(&mine->id, number);
    atomic_fetch_add(&control->attachments_changed, 1);
    *id = number;
    *entry = place;
    return 0;
}

uint32_t attachment_count(const struct ring_control *control, int ring_fd)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < ATTACHMENTS_MAX; i++) {
        uint64_t id = atomic_load(&control->attachments[i].id);
        if (id != 0 && attachment_alive(ring_fd, id) == 1)
            count++;
    }
    return count;
}

static struct attachment_claim read_claim(const struct attachment *entry)
{
    return (struct attachment_claim){.pid = atomic_load(&entry->pid),
                                     .pid_namespace = atomic_load(&entry->pid_namespace),
                                     .address = atomic_load(&entry->address)};
}

bool attachment_claims(const struct ring_control *control, uint64_t id,
                       struct attachment_claim *claim)
{
    for (uint32_t i = 0; i < ATTACHMENTS_MAX; i++) {
        const struct attachment *entry = &control->attachments[(id + i) % ATTACHMENTS_MAX];
        if (atomic_load(&entry->id) == id) {
            *claim = read_claim(entry);
            /* Else its handle has just been closed, and what was read may be its successor's. */
            return atomic_load(&entry->id) == id && claim->pid > 0;
        }
    }
    return false;
}

bool attachment_claim_equal(struct attachment_claim one, struct attachment_claim other)
{
    return one.pid == other.pid && one.pid_namespace == other.pid_namespace &&
           one.address == other.address;
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

uint32_t attachment_count_claims(const struct ring_control *control, int ring_fd,
                                 struct attachment_claim claim)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < ATTACHMENTS_MAX; i++) {
        const struct attachment *entry = &control->attachments[i];
        uint64_t id = atomic_load(&entry->id);
        if (id != 0 && attachment_claim_equal(read_claim(entry), claim) &&
            attachment_alive(ring_fd, id) != 0)
            count++;
    }
    return count;
}

uint64_t attachment_commit_interval_ns(const struct ring_control *control, int ring_fd)
{
    uint64_t smallest = UINT64_MAX;
    for (uint32_t i = 0; i < ATTACHMENTS_MAX; i++) {
        const struct attachment *entry = &control->attachments[i];
        uint64_t id = atomic_load(&entry->id);
        if (id == 0 || atomic_load(&entry->commit_interval_ns) >= smallest)
            continue;
        if (attachment_alive(ring_fd, id) == 1)
            smallest = atomic_load(&entry->commit_interval_ns);
    }
    return smallest == UINT64_MAX ? 0 : smallest;
}
