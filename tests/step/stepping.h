/* SPDX-License-Identifier: MIT
 *
 * Lets a traced child take so many steps and kills it there. x86-64 only.
 *
 * Three sizes of a step:
 *
 *     EVERY_INSTRUCTION   of the program, the C library and the dynamic loader
 *     OWN_INSTRUCTIONS    of the program, into which the library is linked; what it calls of the C
 *                         library runs at full speed to its return and counts as one step
 *     SYSTEM_CALLS        from one entry into or return from the kernel to the next
 *
 * A step costs microseconds, and the n-th of a call is reached n times over. So the steps of a call
 * are recorded once; a child then runs at full speed to the last instruction before the n-th that
 * the record has only once, and takes steps from there.
 *
 * Knows ptrace. Header-only, as tests/c/support.h. */
#ifndef STEP_STEPPING_H
#define STEP_STEPPING_H

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STEPS_MAX = 500000 }; /* no call takes so many */
#define STEP_PC offsetof(struct user_regs_struct, rip)

enum step_size { EVERY_INSTRUCTION, OWN_INSTRUCTIONS, SYSTEM_CALLS };

/* Where the program's own code begins and ends; the linker's. */
extern const char __executable_start, etext;

static inline void step_broken(const char *what)
{
    fprintf(stderr, "step: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* The child calls it where the steps begin. The trap leaves it at the next instruction. */
static inline void step_begin_here(void)
{
    __asm__ volatile("int3" ::: "memory");
}

static inline void step_trace_me(void)
{
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
        _exit(99);
}

/* Until the child stops by a trap; other stops (a signal that it sent to itself) are passed on. */
static inline void step_await(pid_t child)
{
    int status;
    if (waitpid(child, &status, 0) != child)
        step_broken("waitpid");
    if (WIFSTOPPED(status) && (WSTOPSIG(status) & ~0x80) == SIGTRAP)
        return;
    fprintf(stderr, "step: the child did not stop but has status %x\n", (unsigned)status);
    exit(1);
}

static inline void step_go(pid_t child, enum __ptrace_request how)
{
    if (ptrace(how, child, NULL, NULL) < 0)
        step_broken("ptrace");
    step_await(child);
}

static inline void step_await_beginning(pid_t child)
{
    step_await(child);
    if (ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD) < 0)
        step_broken("PTRACE_SETOPTIONS");
}

static inline unsigned long step_peek(pid_t child, unsigned long address)
{
    errno = 0;
    unsigned long word =
        (unsigned long)ptrace(PTRACE_PEEKDATA, child, (void *)address, NULL); /* NOLINT */
    if (errno != 0)
        step_broken("PTRACE_PEEKDATA");
    return word;
}

static inline unsigned long step_register(pid_t child, size_t offset)
{
    errno = 0;
    unsigned long value = (unsigned long)ptrace(PTRACE_PEEKUSER, child, offset, NULL);
    if (errno != 0)
        step_broken("PTRACE_PEEKUSER");
    return value;
}

static inline bool step_is_own(unsigned long address)
{
    return address >= (unsigned long)&__executable_start && address < (unsigned long)&etext;
}

/* At full speed to `address`, where a trap is put for the time. The child may trap elsewhere before
 * it comes there. */
static inline void step_run_to(pid_t child, unsigned long address)
{
    unsigned long code = step_peek(child, address), trap = (code & ~0xffUL) | 0xcc;
    if (ptrace(PTRACE_POKEDATA, child, (void *)address, (void *)trap) < 0) /* NOLINT */
        step_broken("PTRACE_POKEDATA");
    step_go(child, PTRACE_CONT);
    if (ptrace(PTRACE_POKEDATA, child, (void *)address, (void *)code) < 0) /* NOLINT */
        step_broken("PTRACE_POKEDATA");
    if (step_register(child, STEP_PC) == address + 1 &&
        ptrace(PTRACE_POKEUSER, child, STEP_PC, address) < 0)
        step_broken("PTRACE_POKEUSER");
}

/* Just called into a library: runs to the return. */
static inline void step_out(pid_t child)
{
    unsigned long stack = step_register(child, offsetof(struct user_regs_struct, rsp));
    unsigned long back = step_peek(child, stack);
    if (!step_is_own(back))
        step_broken("a call into a library whose return is not known");
    step_run_to(child, back);
}

static inline void step_once(pid_t child, enum step_size size)
{
    step_go(child, size == SYSTEM_CALLS ? PTRACE_SYSCALL : PTRACE_SINGLESTEP);
    if (size == OWN_INSTRUCTIONS && !step_is_own(step_register(child, STEP_PC)))
        step_out(child);
}

/* The instructions of a call, in order. */
struct step_record {
    unsigned count;
    struct step_place {
        unsigned long address;
        unsigned round; /* how often it came before */
        unsigned
            landmark; /* the last place up to here whose instruction comes only once; 0: none */
    } places[STEPS_MAX];
};

/* Until `*done` becomes true, which the child shares. */
static inline void step_record(pid_t child, enum step_size size, struct step_record *record,
                               const volatile bool *done)
{
    record->count = 0;
    while (!*done) {
        if (record->count == STEPS_MAX)
            step_broken("the call does not end");
        unsigned long at = step_register(child, STEP_PC);
        record->places[record->count++] = (struct step_place){.address = at};
        step_once(child, size);
    }
}

static inline int step_compare(const void *left, const void *right)
{
    const struct step_place *const *a = left, *const *b = right;
    if ((*a)->address != (*b)->address)
        return (*a)->address < (*b)->address ? -1 : 1;
    return *a < *b ? -1 : *a > *b;
}

/* Fills in rounds and landmarks. */
static inline void step_survey(struct step_record *record)
{
    static struct step_place *sorted[STEPS_MAX];
    for (unsigned i = 0; i < record->count; i++)
        sorted[i] = &record->places[i];
    qsort(sorted, record->count, sizeof *sorted, step_compare);
    for (unsigned i = 0, next; i < record->count; i = next) {
        for (next = i; next < record->count && sorted[next]->address == sorted[i]->address; next++)
            sorted[next]->round = next - i;
        sorted[i]->landmark = next == i + 1;
    }
    for (unsigned i = 0, last = 0; i < record->count; i++) {
        last = record->places[i].landmark ? i : last;
        record->places[i].landmark = last;
    }
}

/* So many steps, or fewer if `*done` becomes true; the child traps at the end of the call. */
static inline void step_many(pid_t child, enum step_size size, unsigned steps,
                             const volatile bool *done)
{
    for (unsigned taken = 0; taken < steps && !*done; taken++)
        step_once(child, size);
}

/* To the n-th place of the record. */
static inline void step_to(pid_t child, enum step_size size, const struct step_record *record,
                           unsigned place, const volatile bool *done)
{
    unsigned landmark = record->places[place].landmark;
    if (landmark > 0)
        step_run_to(child, record->places[landmark].address);
    step_many(child, size, place - landmark, done);
}

static inline void step_kill(pid_t child)
{
    int status;
    kill(child, SIGKILL);
    do {
        if (waitpid(child, &status, 0) != child)
            step_broken("waitpid");
    } while (!WIFSIGNALED(status) && !WIFEXITED(status));
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
        fprintf(stderr, "step: the child ended by itself, with status %x\n", (unsigned)status);
        exit(1);
    }
}

#endif
