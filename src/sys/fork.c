/* SPDX-License-Identifier: MIT
 * See fork.h.
 *
 * The handlers are registered when the library is loaded. fork calls those that were registered
 * later first, so whoever takes a lock in a handler of his own and holds it while he opens a log
 * takes the two in one order. Between hold and release nothing is allocated: an allocator may have
 * handlers as well, whenever it registered them. */
#include "sys/fork.h"

#include "sys/thread.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

/* Guarded by the mutex. */
static sigset_t signals_before;
static int *private_fds;
static size_t private_count, private_room;

/* In a wiped page: whether this process, of all that have the mutex, has begun to use it. */
enum { UNKNOWN, BEGINNING, BEGUN };
static _Atomic int *phase;
static int prepare_errno;

void *sys_fork_wiped_page(void)
{
    void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        return NULL;
    if (madvise(page, PAGE, MADV_WIPEONFORK) < 0) {
        int error = errno;
        munmap(page, PAGE);
        errno = error;
        return NULL;
    }
    return page;
}

static void before_fork(void)
{
    pthread_mutex_lock(&mutex);
}

static void after_fork_in_parent(void)
{
    pthread_mutex_unlock(&mutex);
}

static void after_fork_in_child(void)
{
    for (size_t i = 0; i < private_count; i++)
        close(private_fds[i]);
    private_count = 0;
    pthread_mutex_unlock(&mutex);
    atomic_store(phase, BEGUN);
}

__attribute__((constructor)) static void prepare(void)
{
    phase = sys_fork_wiped_page();
    if (phase == NULL) {
        prepare_errno = errno;
        return;
    }
    atomic_store(phase, BEGUN);
    prepare_errno = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

/* In a child of a raw clone the mutex may be locked by a thread that is not here. What that had
 * opened is not closed: the child may have closed all it found, and other files have these numbers
 * by now. */
__attribute__((cold)) static void begin_unannounced(void)
{
    int unknown = UNKNOWN;
    if (atomic_compare_exchange_strong(phase, &unknown, BEGINNING)) {
        mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
        private_count = 0;
        atomic_store(phase, BEGUN);
    }
    while (atomic_load(phase) != BEGUN)
        sched_yield();
}

void sys_fork_hold(void)
{
    sigset_t all = thread_signals_all(), before;
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (prepare_errno == 0 && atomic_load(phase) != BEGUN)
        begin_unannounced();
    pthread_mutex_lock(&mutex);
    signals_before = before;
}

void sys_fork_release(void)
{
    sigset_t before = signals_before;
    pthread_mutex_unlock(&mutex);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static int make_room(void)
{
    size_t bytes = private_room * sizeof *private_fds;
    void *grown = bytes == 0
                      ? mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                      : mremap(private_fds, bytes, bytes + PAGE, MREMAP_MAYMOVE);
    if (grown == MAP_FAILED)
        return -errno;
    private_fds = grown;
    private_room = (bytes + PAGE) / sizeof *private_fds;
    return 0;
}

int sys_fork_private(int fd)
{
    int error = -prepare_errno;
    if (error == 0 && private_count == private_room)
        error = make_room();
    if (error == 0)
        private_fds[private_count++] = fd;
    return error;
}

void sys_fork_close(int fd)
{
    sys_fork_hold();
    close(fd);
    for (size_t i = 0; i < private_count; i++)
        if (private_fds[i] == fd)
            private_fds[i] = private_fds[--private_count];
    sys_fork_release();
}
