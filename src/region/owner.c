/* SPDX-License-Identifier: MIT
 * See owner.h. */
#include "region/owner.h"

#include "base/error.h"
#include "region/attachment.h"
#include "sys/file.h"
#include "sys/proc.h"
#include "sys/process.h"

#include <errno.h>
#include <unistd.h>

/* What is sought in /proc, and what was found. */
struct search {
    struct attachment_claim claim;
    struct stat ring;
    uint32_t flusher_namespace;
    pid_t flusher_pid; /* in that namespace */
    unsigned found;    /* processes that are all that is claimed */
    unsigned hidden;   /* that may be, and may not be looked at */
    bool is_flusher;
    pid_t pid;
    int process; /* a pidfd, -1 if none was found */
};

/* 1 if the process is all that is claimed; 0; -EACCES. */
static int matches(const struct search *search, const struct proc_process *process,
                   int64_t *pid_namespace)
{
    pid_t inner = proc_inner_pid(process);
    if (inner != search->claim.pid)
        return inner < 0 ? inner : 0;
    *pid_namespace = proc_pid_namespace(process);
    if (*pid_namespace <= 0)
        return (int)*pid_namespace;
    if (search->claim.pid_namespace != 0 && *pid_namespace != search->claim.pid_namespace)
        return 0;
    return proc_maps(process, search->claim.address, search->ring.st_dev, search->ring.st_ino);
}

/* The pidfd comes first: if the directory then still shows a mapping, its process has not been
 * reaped, and has had this pid all the time. */
static int visit(void *context, const struct proc_process *process)
{
    struct search *search = context;
    int64_t pid_namespace = 0;
    int fd = sys_process_open(process->pid);
    if (fd < 0)
        return fd == -ESRCH ? 0 : fd;
    int match = matches(search, process, &pid_namespace);
    search->hidden += match < 0;
    search->found += match > 0;
    if (match > 0 && search->process < 0) {
        search->pid = process->pid;
        search->process = fd;
        search->is_flusher = search->claim.pid == search->flusher_pid &&
                             (search->flusher_namespace == 0 ||
                              search->flusher_namespace == (uint32_t)pid_namespace);
        return 0;
    }
    sys_close(fd);
    return 0;
}

static int fail_unseen(const struct search *search, const char *words, int error)
{
    if (error == -ENOENT)
        return fail(ENOENT,
                    "%s cannot be looked for: /proc is missing, or shows another PID namespace "
                    "than this process's; mount the one that belongs to it",
                    words);
    if (error < 0)
        return fail_errno(-error, "%s cannot be looked for in /proc", words);
    if (search->hidden > 0)
        return fail(EACCES,
                    "%s cannot be told from %u processes that this user may not look at; run this "
                    "as the user that it belongs to, or as root",
                    words, search->hidden);
    return fail(ESRCH,
                "%s has this log open, and cannot be seen from here: it is in another container "
                "perhaps, or hidden by /proc; run this where it can be seen",
                words);
}

/* Of what was found, whether it may be killed. */
static int judge(const struct search *search, const char *words, int error)
{
    if (search->found == 0)
        return fail_unseen(search, words, error);
    if (search->found > 1)
        return fail(ESRCH, "%s cannot be told from another process that looks just like it", words);
    if (search->is_flusher)
        return fail(EBADMSG,
                    "the ring was overwritten: the process that it names, %d, is the "
                    "log's flusher",
                    (int)search->pid);
    if (search->pid == getpid())
        return fail(EDEADLK, "it is this very process, %d, that has it open", (int)search->pid);
    return 0;
}

static int search_begin(const struct region *region, int ring_fd, uint64_t id,
                        struct search *search)
{
    *search = (struct search){.process = -1};
    search->flusher_pid = atomic_load(&region->state->pid);
    search->flusher_namespace = atomic_load(&region->state->pid_namespace);
    int error = sys_fstat(ring_fd, &search->ring);
    if (error < 0)
        return fail_errno(-error, "the ring cannot be looked at");
    if (!attachment_claims(region->control, id, &search->claim))
        return fail(EBADMSG, "the ring was overwritten, and does not name the process");
    if (attachment_count_claims(region->control, ring_fd, &search->claim) != 1)
        return fail(EBADMSG, "the ring names the same process for several attachments");
    return 0;
}

int owner_find(const struct region *region, int ring_fd, uint64_t id, pid_t *pid, int *process)
{
    struct search search;
    char words[ATTACHMENT_WORDS];
    int error = search_begin(region, ring_fd, id, &search);
    if (error < 0)
        return error;
    error = proc_each(visit, &search);
    error = judge(&search, attachment_words(region->control, id, words), error);
    if (error < 0 && search.process >= 0)
        sys_close(search.process);
    if (error < 0)
        return error;
    *pid = search.pid;
    *process = search.process;
    return 0;
}

pid_t owner_pid(const struct region *region, int ring_fd, uint64_t id)
{
    struct search search;
    uint32_t here = sys_pid_namespace();
    if (!attachment_claims(region->control, id, &search.claim))
        return -1;
    if (here != 0 && search.claim.pid_namespace == here)
        return search.claim.pid;
    if (search_begin(region, ring_fd, id, &search) < 0)
        return -1;
    proc_each(visit, &search);
    if (search.process >= 0)
        sys_close(search.process);
    return search.found == 1 ? search.pid : -1;
}
