/* SPDX-License-Identifier: MIT
 * See writer.h. */
#include "store/writer.h"

#include "base/error.h"
#include "sys/thread.h"

#include <stdio.h>

void writer_open(struct writer *writer)
{
    *writer = (struct writer){0};
    pthread_mutex_init(&writer->lock, NULL);
    pthread_cond_init(&writer->changed, NULL);
}

/* Without the lock: `work` says that nobody else looks at the result now. */
static void do_work(struct writer *writer)
{
    writer->result = writer->work(writer->argument);
    if (writer->result < 0)
        snprintf(writer->sentence, sizeof writer->sentence, "%s", fail_sentence());
}

static void *serve(void *argument)
{
    struct writer *writer = argument;
    pthread_mutex_lock(&writer->lock);
    for (;;) {
        while (writer->work == NULL && !writer->closing)
            pthread_cond_wait(&writer->changed, &writer->lock);
        if (writer->work == NULL)
            break;
        pthread_mutex_unlock(&writer->lock);
        do_work(writer);
        pthread_mutex_lock(&writer->lock);
        writer->work = NULL;
        pthread_cond_signal(&writer->changed);
    }
    pthread_mutex_unlock(&writer->lock);
    return NULL;
}

void writer_start(struct writer *writer, int (*work)(void *argument), void *argument)
{
    if (!writer->started)
        writer->started = thread_start(&writer->thread, serve, writer);
    pthread_mutex_lock(&writer->lock);
    writer->work = work;
    writer->argument = argument;
    pthread_cond_signal(&writer->changed);
    pthread_mutex_unlock(&writer->lock);
    if (!writer->started) {
        do_work(writer);
        writer->work = NULL;
    }
}

int writer_wait(struct writer *writer)
{
    pthread_mutex_lock(&writer->lock);
    while (writer->work != NULL)
        pthread_cond_wait(&writer->changed, &writer->lock);
    pthread_mutex_unlock(&writer->lock);
    return writer->result < 0 ? fail(-writer->result, "%s", writer->sentence) : 0;
}

void writer_close(struct writer *writer)
{
    if (writer->started) {
        pthread_mutex_lock(&writer->lock);
        writer->closing = true;
        pthread_cond_signal(&writer->changed);
        pthread_mutex_unlock(&writer->lock);
        pthread_join(writer->thread, NULL);
    }
    pthread_cond_destroy(&writer->changed);
    pthread_mutex_destroy(&writer->lock);
}
