/* SPDX-License-Identifier: MIT
 * See turn.h: the cases are there. */
#include "region/turn.h"

#include "base/error.h"
#include "region/layout.h"
#include "store/store.h"
#include "sys/file.h"

#include <errno.h>
#include <stddef.h>

static int read_state(const struct directory *directory, int state_fd, size_t offset,
                      uint64_t *word)
{
    ssize_t got = sys_pread_full(state_fd, word, sizeof *word, offset);
    if (got == sizeof *word)
        return 0;
    return fail_errno(got < 0 ? (int)-got : EIO, "the ring of %s cannot be read", directory->path);
}

/* *named is 0 if LOG/lock names no ring. */
static int compare(const struct directory *directory, int state_fd, uint64_t *id, uint64_t *named)
{
    int error = read_state(directory, state_fd, offsetof(struct flusher_state, ring_id), id);
    return error < 0 ? error : directory_named_ring(directory, named);
}

int turn_take(const struct directory *directory, int state_fd)
{
    uint64_t id, named, durable_lsn, disk_end;
    int error = compare(directory, state_fd, &id, &named);
    if (error < 0 || named == id)
        return error; /* @1 */
    error =
        read_state(directory, state_fd, offsetof(struct flusher_state, durable_lsn), &durable_lsn);
    if (error == 0)
        error = store_find_end(directory, &disk_end);
    if (error < 0)
        return error;
    return disk_end == durable_lsn ? directory_name_ring(directory, id) : -ESTALE; /* @2 */
}

bool turn_is_over(const struct directory *directory, int state_fd)
{
    uint64_t id, named;
    return directory->lock_fd >= 0 && compare(directory, state_fd, &id, &named) == 0 &&
           named != 0 && named != id;
}
