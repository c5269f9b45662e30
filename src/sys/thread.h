/* SPDX-License-Identifier: MIT
 *
 * Starting a thread that no signal goes to: those are for the thread that the program made itself.
 * And keeping the program's threads from leaving in the middle of what must be finished: a thread
 * that is cancelled, or jumps out of a signal handler, would leave locks and descriptors behind.
 * Knows nobody. */
#ifndef SYS_THREAD_H
#define SYS_THREAD_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

/* But for those by which the kernel answers what the thread itself does. Blocked, one of them ends
 * the process where a handler could go on. */
static inline sigset_t thread_signals_all(void)
{
    static const int answers[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    sigset_t signals;
    sigfillset(&signals);
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        sigdelset(&signals, answers[i]);
    return signals;
}

static inline bool thread_start(pthread_t *thread, void *(*serve)(void *), void *argument)
{
    sigset_t all = thread_signals_all(), before;
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool started = pthread_create(thread, NULL, serve, argument) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

/* Until the end of the block this thread is not cancelled. */
#define NOT_CANCELLED                                                                              \
    __attribute__((unused,                                                                         \
                   cleanup(thread_cancel_as_before))) struct thread_cancel cancel_before_ =        \
        thread_cancel_not()

struct thread_cancel {
    int state, type;
};

/* The type as well: the handler by which glibc (2.36) cancels asynchronously asks for the type
 * alone, and may run when the state has been disabled already. */
static inline struct thread_cancel thread_cancel_not(void)
{
    struct thread_cancel before;
    pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &before.type);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before.state);
    return before;
}

static inline void thread_cancel_as_before(const struct thread_cancel *before)
{
    pthread_setcancelstate(before->state, NULL);
    pthread_setcanceltype(before->type, NULL);
}

/* Until the end of the block a file that grows beyond RLIMIT_FSIZE is an error, EFBIG, and not also
 * a signal that ends the program. */
#define NO_FILE_SIZE_SIGNAL                                                                        \
    __attribute__((unused, cleanup(thread_take_file_size_signal))) sigset_t size_signal_before_ =  \
        thread_hold_file_size_signal()

static inline sigset_t thread_file_size_signal(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGXFSZ);
    return signals;
}

static inline sigset_t thread_hold_file_size_signal(void)
{
    sigset_t signal = thread_file_size_signal(), before;
    pthread_sigmask(SIG_BLOCK, &signal, &before);
    return before;
}

/* The kernel sends it to the thread that wrote. */
static inline void thread_take_file_size_signal(const sigset_t *before)
{
    sigset_t signal = thread_file_size_signal(), pending;
    if (!sigismember(before, SIGXFSZ) && sigpending(&pending) == 0 &&
        sigismember(&pending, SIGXFSZ))
        sigtimedwait(&signal, NULL, &(struct timespec){0});
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

/* Until the end of the block no signal handler runs in this thread, and it is not cancelled. */
#define NOT_INTERRUPTED                                                                            \
    NOT_CANCELLED;                                                                                 \
    __attribute__((unused, cleanup(thread_signals_as_before))) sigset_t signals_before_ =          \
        thread_signals_not()

static inline sigset_t thread_signals_not(void)
{
    sigset_t all = thread_signals_all(), before;
    pthread_sigmask(SIG_SETMASK, &all, &before);
    return before;
}

static inline void thread_signals_as_before(const sigset_t *before)
{
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

/* Whether a signal has come since thread_signals_not() that would have been taken before. */
static inline bool thread_signal_waits(const sigset_t *before)
{
    sigset_t pending;
    sigpending(&pending);
    for (int signal = 1; signal < NSIG; signal++)
        if (sigismember(&pending, signal) == 1 && sigismember(before, signal) == 0)
            return true;
    return false;
}

#endif
