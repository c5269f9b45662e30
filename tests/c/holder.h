/* SPDX-License-Identifier: MIT
 *
 * A process that holds a reservation open until it is told to go on: what holds a log up. Knows
 * support.h, region/layout.h. */
#ifndef TESTS_HOLDER_H
#define TESTS_HOLDER_H

#include "region/layout.h"
#include "support.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>

struct holder {
    pid_t pid;
    int said, told; /* pipes: "r" comes when it has reserved, and 'c' makes it commit and end */
};

/* Within the holder, which ends: reserves, says so, and goes on when told. */
static inline void holder_run(shmwal *log, const int said[2], const int told[2])
{
    shmwal_slot slot;
    char byte;
    if (shmwal_reserve(log, 1, &slot) < 0 || write(said[1], "r", 1) != 1)
        _exit(1);
    close(told[1]);
    if (read(told[0], &byte, 1) != 1)
        _exit(2);
    *(char *)slot.data = 'h';
    _exit(shmwal_commit(log, &slot, NULL) == 0 ? 0 : 3);
}

static inline void holder_pipes(struct holder *holder, int said[2], int told[2])
{
    ck_assert_int_eq(pipe(said), 0);
    ck_assert_int_eq(pipe(told), 0);
    holder->said = said[0];
    holder->told = told[1];
}

static inline void holder_await(const struct holder *holder, int said[2], const int told[2])
{
    char byte;
    close(said[1]);
    close(told[0]);
    ck_assert_int_eq(read(holder->said, &byte, 1), 1);
}

/* A child that uses the handle; a fork that has not used it before has an attachment of its own. */
static inline struct holder holder_start(shmwal *log)
{
    struct holder holder;
    int said[2], told[2];
    holder_pipes(&holder, said, told);
    holder.pid = fork();
    if (holder.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        holder_run(log, said, told);
    }
    holder_await(&holder, said, told);
    return holder;
}

static inline void holder_stop(const struct holder *holder)
{
    int status;
    ck_assert_int_eq(kill(holder->pid, SIGSTOP), 0);
    ck_assert_int_eq(waitpid(holder->pid, &status, WUNTRACED), holder->pid);
    ck_assert(WIFSTOPPED(status));
}

static inline bool holder_is_alive(const struct holder *holder)
{
    return waitpid(holder->pid, NULL, WNOHANG) == 0;
}

/* What it claims to be, to be overwritten. */
static inline struct attachment *holder_entry(const struct holder *holder,
                                              struct ring_control *control)
{
    for (unsigned i = 0; i < ATTACHMENTS_MAX; i++)
        if (atomic_load(&control->attachments[i].pid) == holder->pid)
            return &control->attachments[i];
    ck_abort_msg("process %d is not attached", (int)holder->pid);
}

/* Tells it to commit, and awaits its end, which is in good order. */
static inline void holder_finish(const struct holder *holder)
{
    ck_assert_int_eq(kill(holder->pid, SIGCONT), 0);
    ck_assert_int_eq(write(holder->told, "c", 1), 1);
    ck_assert_int_eq(support_wait(holder->pid), 0);
    close(holder->said);
    close(holder->told);
}

static inline void holder_kill(const struct holder *holder)
{
    ck_assert_int_eq(kill(holder->pid, SIGKILL), 0);
    ck_assert_int_eq(support_wait(holder->pid), -SIGKILL);
    close(holder->said);
    close(holder->told);
}

#endif
