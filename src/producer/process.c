/* SPDX-License-Identifier: MIT
 * See process.h. */
#include "producer/process.h"

#include "base/error.h"
#include "sys/fork.h"

#include <errno.h>
#include <pthread.h>

struct process_page {
    _Atomic uint32_t generation;
    pthread_mutex_t mutex; /* zero bytes are an unlocked mutex, in glibc and in musl */
};

_Atomic(_Atomic uint32_t *) process_generation_word;

static struct process_page *page;

/* Not wiped by fork, so a child counts on from its parent: no inherited handle has its number. */
static _Atomic uint32_t generations;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int prepare_errno;

static void prepare(void)
{
    page = sys_fork_wiped_page();
    if (page == NULL) {
        prepare_errno = errno;
        return;
    }
    atomic_store(&process_generation_word, &page->generation);
}

int process_prepare(void)
{
    pthread_once(&once, prepare);
    if (prepare_errno != 0)
        return fail_errno(prepare_errno,
                          "a page that fork wipes cannot be had (needs Linux 4.14 or later)");
    return 0;
}

void process_lock(void)
{
    pthread_mutex_lock(&page->mutex);
    if (atomic_load(&page->generation) == 0)
        atomic_store(&page->generation, atomic_fetch_add(&generations, 1) + 1);
}

void process_unlock(void)
{
    pthread_mutex_unlock(&page->mutex);
}
