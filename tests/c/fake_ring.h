/* SPDX-License-Identifier: MIT
 *
 * A ring as a reader sees it, under a test's control: there or not, its durable LSN, gone or not.
 * And a hook that runs just after bytes of a segment were read, when what was known may have
 * become old.
 *
 * A test that includes this is linked with -Wl,--wrap= for each function below. */
#ifndef TESTS_FAKE_RING_H
#define TESTS_FAKE_RING_H

#include "base/error.h"
#include "region/view.h"
#include "sys/clock.h"
#include "sys/file.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>

struct fake_state {
    _Atomic uint64_t durable_lsn;
    atomic_bool gone;
};

static struct {
    struct fake_state states[8];
    atomic_int made;    /* states used; the last is the ring's */
    atomic_bool exists; /* under its name */
    int open_error;     /* given instead, if not 0 */
    atomic_int waits;
} fake_ring;

static inline void fake_ring_make(uint64_t durable_lsn)
{
    fake_ring.states[fake_ring.made].durable_lsn = durable_lsn;
    fake_ring.made++;
    fake_ring.exists = true;
}

static inline void fake_ring_raise(uint64_t durable_lsn)
{
    fake_ring.states[fake_ring.made - 1].durable_lsn = durable_lsn;
}

static inline void fake_ring_remove(void)
{
    fake_ring.exists = false;
    fake_ring.states[fake_ring.made - 1].gone = true;
}

static inline const struct fake_state *fake_state_of(const struct region_view *view)
{
    return (const struct fake_state *)view->state;
}

int __wrap_region_view_open(const struct directory *directory, struct region_view *view);
int __wrap_region_view_open(const struct directory *directory, struct region_view *view)
{
    (void)directory;
    if (fake_ring.open_error != 0)
        return (fail)(fake_ring.open_error, "the ring cannot be opened"); /* not check's macro */
    if (!fake_ring.exists)
        return -ENOENT;
    view->state = (void *)&fake_ring.states[fake_ring.made - 1];
    return 0;
}

void __wrap_region_view_close(struct region_view *view);
void __wrap_region_view_close(struct region_view *view)
{
    view->state = NULL;
}

uint64_t __wrap_region_view_durable(const struct region_view *view);
uint64_t __wrap_region_view_durable(const struct region_view *view)
{
    return fake_state_of(view)->durable_lsn;
}

bool __wrap_region_view_gone(const struct region_view *view);
bool __wrap_region_view_gone(const struct region_view *view)
{
    return fake_state_of(view)->gone;
}

int __wrap_region_view_wait(struct region_view *view, uint64_t lsn, int64_t deadline_ns);
int __wrap_region_view_wait(struct region_view *view, uint64_t lsn, int64_t deadline_ns)
{
    fake_ring.waits++;
    while (fake_state_of(view)->durable_lsn <= lsn && !fake_state_of(view)->gone) {
        if (clock_monotonic_ns() >= deadline_ns)
            return -ETIMEDOUT;
        sched_yield();
    }
    return 0;
}

static void (*after_read)(void); /* runs once */

ssize_t __real_sys_pread_full(int fd, void *data, size_t length, uint64_t offset);
ssize_t __wrap_sys_pread_full(int fd, void *data, size_t length, uint64_t offset);
ssize_t __wrap_sys_pread_full(int fd, void *data, size_t length, uint64_t offset)
{
    ssize_t got = __real_sys_pread_full(fd, data, length, offset);
    void (*hook)(void) = after_read;
    if (hook != NULL && offset > 0) {
        after_read = NULL;
        hook();
    }
    return got;
}

#endif
