/* SPDX-License-Identifier: MIT
 * See fork.h. */
#include "sys/fork.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096 };

static pthread_once_t once = PTHREAD_ONCE_INIT;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

/* Guarded by the mutex. */
static sigset_t signals_before;
static int *private_fds;
static size_t private_count, private_room;

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
}

static void prepare(void)
{
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

void sys_fork_hold(void)
{
    sigset_t all, before;
    pthread_once(&once, prepare);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_mutex_lock(&mutex);
    signals_before = before;
}

void sys_fork_release(void)
{
    sigset_t before = signals_before;
    pthread_mutex_unlock(&mutex);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

int sys_fork_private(int fd)
{
    if (private_count == private_room) {
        size_t room = private_room + 64;
        int *grown = realloc(private_fds, room * sizeof *grown);
        if (grown == NULL)
            return -ENOMEM;
        private_fds = grown;
        private_room = room;
    }
    private_fds[private_count++] = fd;
    return 0;
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
