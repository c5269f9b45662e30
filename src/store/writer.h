/* SPDX-License-Identifier: MIT
 *
 * A thread that does one piece of work at a time for the thread that owns it: so that a write can
 * be in flight while its owner goes on.
 *
 * A thread for each write in flight, and not io_uring: at the depth that a device needs here the
 * two are equally fast (bench/README.md), a synced write blocks a worker thread of the kernel's
 * anyway, and io_uring is refused in many containers, so that the threads would have to be there
 * all the same.
 *
 * Knows sys, base. Changes when a writer should do more than one thing at a time. */
#ifndef STORE_WRITER_H
#define STORE_WRITER_H

#include <pthread.h>
#include <stdbool.h>

struct writer {
    pthread_t thread;
    pthread_mutex_t lock; /* guards all below but `started`, which is the owner's */
    pthread_cond_t changed;
    bool started;
    bool closing;
    int (*work)(void *argument); /* NULL: nothing to do */
    void *argument;
    int result;
    char sentence[1024]; /* of a failure */
};

void writer_open(struct writer *writer);

/* Begins `work`, which returns 0 or what fail() returned. The thread is started by the first call;
 * where there can be none, the work is done on return. */
void writer_start(struct writer *writer, int (*work)(void *argument), void *argument);

/* Waits until the work is done: its result, with its sentence as this thread's last failure. */
int writer_wait(struct writer *writer);

/* Waits for the work, and ends the thread. */
void writer_close(struct writer *writer);

#endif
