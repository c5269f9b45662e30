/* SPDX-License-Identifier: MIT
 * See server.h. */
#include "region/server.h"

#include "base/error.h"
#include "sys/lock.h"

#include <errno.h>

/* Of the ring's object; the attachments' are far behind it. */
enum { LOCK_SERVER = 0 };

int server_claim(const struct directory *directory, int ring_fd)
{
    int error = sys_lock_try(ring_fd, LOCK_SERVER);
    if (error == 0)
        error = sys_lock_try(directory->lock_fd, LOCK_SERVING);
    return error < 0 ? fail_errno(-error, "the ring of %s cannot be locked", directory->path) : 0;
}

void server_release(const struct directory *directory, int ring_fd)
{
    sys_unlock(directory->lock_fd, LOCK_SERVING);
    sys_unlock(ring_fd, LOCK_SERVER);
}

bool server_holds(int ring_fd)
{
    return sys_lock_held(ring_fd, LOCK_SERVER, 1) == 1;
}

static bool serving(const struct directory *directory)
{
    return sys_lock_held(directory->lock_fd, LOCK_SERVING, 1) == 1;
}

int server_check(const struct directory *directory, int ring_fd)
{
    if (!serving(directory))
        return 0;
    if (ring_fd >= 0 && server_holds(ring_fd))
        return 0;
    if (!serving(directory)) /* it was killed in between */
        return 0;
    return fail(EBUSY,
                "%s is in use through another /dev/shm, in another container perhaps: let both use "
                "one (docker: --ipc), or stop the flusher there first",
                directory->path);
}
