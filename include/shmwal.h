/* SPDX-License-Identifier: MIT
 *
 * shmwal.h - one write-ahead log, shared by the processes of one machine.
 *
 * Every process that opens a log appends to the same ring in shared memory; one flusher process
 * writes what was appended to segment files and syncs them. An append makes no system call and
 * waits for no disk.
 *
 * WHAT IS GUARANTEED
 *
 *   A position in the log is an LSN, a 64-bit byte position. Appending returns the LSN just past
 *   the record; there is one order for all processes, the order in which room was reserved. A
 *   record stands at one of three levels:
 *
 *     SHMWAL_COMMITTED   its append has returned. It survives the death, by SIGKILL too, of any
 *                        process or of all of them, the flusher included. It does not survive a
 *                        power loss or a crash of the kernel.
 *     SHMWAL_DURABLE     the device has confirmed it. It survives those as well.
 *     SHMWAL_REPLICATED  other machines hold it. Nothing raises this level yet; its watermark is 0.
 *
 *   - A record is durable if and only if shmwal_lsn(log, SHMWAL_DURABLE) >= its LSN. Any process
 *     may wait for any LSN, whoever appended it, with a deadline.
 *   - Nothing acknowledged is lost, altered or reordered, and nothing that was not appended is
 *     invented. After a power loss the log is a prefix of what was committed and holds all that
 *     was durable.
 *   - Nothing is dropped silently. A full ring makes an append wait until its deadline, or fail,
 *     as the caller chose.
 *   - Damage is never skipped silently. What a crash tore off behind the durable point is cut and
 *     reported; damage before it is refused, with file and offset.
 *
 * WHAT IS NOT
 *
 *   - Processes that append to one log trust each other: they share writable memory, as threads
 *     do. The flusher trusts none of them: it validates every record and writes an invalid one as
 *     a filler that carries no data. Where a process has overwritten the ring, an append or commit
 *     of another may return -EBADMSG: whether its record is in the log is then not known.
 *   - A reservation that is neither committed nor discarded holds back the durability of
 *     everything behind it while its process lives. It is given up only when that process is
 *     proven dead, never on a time-out.
 *
 * RULES FOR ALL FUNCTIONS
 *
 *   Results    0 or a positive result, or a negative errno. After a failure shmwal_error() has the
 *              sentence for a person; outputs are untouched.
 *   Threads    A handle may be used by any number of threads at once; shmwal_close must be the
 *              last use. A reader is for one thread at a time.
 *   Fork       A handle works on in a forked child: its first use there attaches anew by itself. A
 *              slot reserved before a fork belongs to the parent alone. Another thread may be in
 *              the middle of anything: a child inherits no lock, and keeps nobody alive. A raw
 *              clone is noticed too, but what other threads were opening just then the child
 *              holds until it ends. A vfork child counts as a thread of its parent. A reader works
 *              on in a child, each process from its own place. exec ends an attachment, as any end
 *              of the process does: open reservations become fillers. The library starts no
 *              thread, and a handle keeps no file descriptor open: a program may close all those
 *              that it does not know.
 *   Signals    shmwal_append and its variants, commit and discard may be called from a signal
 *              handler, on a handle that this process has used before, whatever it interrupted.
 *              Give a time-out of 0: a handler that waits for room may wait for the append that it
 *              has interrupted. One that jumps out of an append or wait (siglongjmp) may leave a
 *              reservation open, which holds everything back until the handle is closed; none may
 *              jump out of another function.
 *   SIGBUS     The first open of a log, or of a reader of one in use, installs a handler of this
 *              signal, the only one. Where somebody has truncated the ring in /dev/shm under this
 *              process, calls on its handles return -EIO from then on, close excepted, and nothing
 *              durable is lost: close the handle and open the log again. The durable LSN stands
 *              where it was, or is 0 if it cannot be known. Every other SIGBUS goes to the handler
 *              that was there before, as if the kernel had called it; where there was none, it ends
 *              the process. A handler that is set later takes this one's place, and then, as in a
 *              thread that blocks SIGBUS, a truncated ring ends the process too.
 *   Threads'   A slot is its handle's: after pthread_exit another thread may commit it. Waits of
 *   ends       shmwal_wait, and for room, act on pthread_cancel within some 50 ms, with nothing
 *              held; no other function is a cancellation point. Asynchronous cancellation of an
 *              append is as a jump out of it.
 *   Time       Time-outs are nanoseconds of CLOCK_MONOTONIC: -1 no limit, 0 do not wait.
 *   Errors     that callers branch on:
 *                -ETIMEDOUT  the deadline passed
 *                -EAGAIN     no room in the ring now (only with a time-out of 0)
 *                -EMSGSIZE   larger than this log can ever take
 *                -EIO        the device failed; the durable LSN is frozen. Or, about the ring
 *                            (shmwal_error_subject), that was removed or truncated in /dev/shm
 *                -EBADMSG    the log is damaged; the sentence names file and offset
 *                -ENOENT     no log there
 *                -EACCES     the log belongs to somebody else
 *                -EPROTO     made by an incompatible version
 *                -ESHUTDOWN  the flusher was told to stop; works again once one runs
 */
#ifndef SHMWAL_H
#define SHMWAL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SHMWAL_API __attribute__((visibility("default")))
#else
#define SHMWAL_API
#endif

typedef struct shmwal shmwal;
typedef struct shmwal_reader shmwal_reader;

typedef enum shmwal_level {
    SHMWAL_COMMITTED = 0,
    SHMWAL_DURABLE = 1,
    SHMWAL_REPLICATED = 2,
} shmwal_level;

/* What a record's payload claims to be. The library stores the claim and does not check it. 1 to
 * 255 may be used; values from 16 on are the application's own and are shown as bytes by the
 * tools. */
enum {
    SHMWAL_BYTES = 1,
    SHMWAL_TEXT = 2, /* UTF-8 */
    SHMWAL_JSON = 3, /* one JSON value, UTF-8 */
};

/* ---- Opening ------------------------------------------------------------------------------- */

enum {
    SHMWAL_NO_CREATE = 1u << 0,  /* fail with -ENOENT where there is no log */
    SHMWAL_NO_FLUSHER = 1u << 1, /* never start a flusher; somebody else does */
    /* A signal that comes while the flusher is being started, and is not blocked, ends the open
     * with -EINTR after its handler has run. The flusher goes on starting: open again. */
    SHMWAL_INTERRUPTIBLE = 1u << 2,
};

typedef struct shmwal_options {
    /* Of this struct, set by SHMWAL_OPTIONS_INIT: how the library knows its version. */
    size_t size;
    uint32_t flags; /* SHMWAL_NO_CREATE, SHMWAL_NO_FLUSHER, SHMWAL_INTERRUPTIBLE */
    uint32_t reserved;
    /* At creation. 0: 32 MiB. Rounded up to a power of two; 64 KiB to 64 GiB. A record may take
     * half of it, but less than a segment and than 1 GiB. */
    uint64_t ring_bytes;
    /* At creation. 0: 64 MiB. Rounded up to 4 KiB; 64 KiB to 64 GiB. */
    uint64_t segment_bytes;
    /* How long an append waits for room: -1, the default, for ever; 0 -EAGAIN at once; else
     * -ETIMEDOUT when it is over. */
    int64_t full_timeout_ns;
    /* How long the flusher may gather before it syncs while nobody waits. Of all attached handles
     * the smallest holds. 0, the default: as soon as the device is free. */
    uint64_t commit_interval_ns;
    /* At creation. The flusher keeps files of so many bytes, rounded up to whole segments and
     * written full of zeros, ahead of need: on journaling file systems what goes to such a file is
     * durable in half the time, and a full disk holds up the log only when they are used up. They
     * take their space from the start, are made in the background while a flusher runs (hardly
     * noticed by who waits, so that takes long on a busy log), and stay when it ends. At most 1024
     * files. 0, the default: one, when the log's use shows that it pays, as long as a flusher
     * runs. */
    uint64_t spare_bytes;
} shmwal_options;

/* clang-format off */
#define SHMWAL_OPTIONS_INIT {sizeof(shmwal_options), 0, 0, 0, 0, -1, 0, 0}
/* clang-format on */

/* Opens the log at `path`, a directory, and stores a handle in *log.
 *
 * With `options` NULL or all default: creates the log, and missing parent directories, if nothing
 * is there; attaches to its ring, creating that too if need be; starts a flusher if none runs, and
 * waits until it does. The sizes of an existing log stand; those in `options` are then ignored.
 *
 * The flusher is found, in this order: the environment's DURALOG_FLUSHER, a file duralog-flusher
 * beside the library, the directory it was installed in, PATH. It runs detached from the caller,
 * writes to flusher.log in the log's directory, and ends some seconds after the last handle is
 * gone and all is durable.
 *
 * Blocks: while a ring or a flusher is started, until the log's last segment is read (tens of
 * milliseconds). Errors: -ENOENT, -EACCES, -EPROTO, -EBADMSG, -ENOTDIR (a file is there),
 * -ENOTEMPTY (a directory that is no log), -EINVAL (sizes), -ENOSPC (/dev/shm or the disk is
 * full), -ENOEXEC (no flusher could be started), -EUSERS (too many handles: 4096 a log), and those
 * of the file system. */
SHMWAL_API int shmwal_open(const char *path, const shmwal_options *options, shmwal **log);

/* Makes a log at `path`, and missing parent directories, and syncs it; leaves neither a ring nor a
 * flusher behind. Of `options` (NULL: the defaults) only the sizes count. A log that is there is
 * left as it is. Errors: -EACCES, -EPROTO, -EBADMSG, -ENOTDIR, -ENOTEMPTY, -EINVAL (sizes),
 * -ENOSPC, and those of the file system. */
SHMWAL_API int shmwal_create(const char *path, const shmwal_options *options);

/* Detaches and frees the handle. Never blocks for a disk: what is committed stays so, and becomes
 * durable later. The caller's open reservations become fillers. In a forked child it frees the
 * child's copy only. NULL does nothing. */
SHMWAL_API int shmwal_close(shmwal *log);

/* The log's absolute path, valid as long as the handle. */
SHMWAL_API const char *shmwal_path(const shmwal *log);

/* Writes the log's UUID, 36 characters and a NUL, to `text`. */
SHMWAL_API void shmwal_uuid(const shmwal *log, char text[37]);

/* ---- Appending ----------------------------------------------------------------------------- */

/* Appends a copy of `length` bytes (0 is allowed) as a record of type SHMWAL_BYTES; it is
 * committed on return. Stores the LSN just past it in *lsn, unless that is NULL.
 *
 * Makes no system call, but the one that wakes an idle flusher and, while the ring is full, those
 * that wait for room: then it blocks as long as the handle's full_timeout_ns says. Errors:
 * -EAGAIN, -ETIMEDOUT, -EMSGSIZE, -EIO, -ESHUTDOWN; -EINVAL for a NULL handle or data. */
SHMWAL_API int shmwal_append(shmwal *log, const void *data, size_t length, uint64_t *lsn);

/* The same, with a type. */
SHMWAL_API int shmwal_append_typed(shmwal *log, const void *data, size_t length, uint32_t type,
                                   uint64_t *lsn);

/* The same, with a type and a time-out of its own in place of the handle's. */
SHMWAL_API int shmwal_append_for(shmwal *log, const void *data, size_t length, uint32_t type,
                                 int64_t timeout_ns, uint64_t *lsn);

/* Appends `count` records whose payloads lie end to end in `data`; lengths[i] is the i-th's
 * length, types[i] its type (`types` NULL: all SHMWAL_BYTES). Cheaper than as many appends:
 * records share a reservation, up to 64 KiB of them, and those that share one stand in the log
 * together or not at all. Other processes' records may come between two reservations.
 *
 * Stores the LSN just past the last record in *lsn and returns 0; or a negative errno with
 * *appended telling how many of the first records are in the log (both may be NULL). The time-out
 * is for all of them together. */
SHMWAL_API int shmwal_append_batch(shmwal *log, const void *data, const uint32_t *lengths,
                                   const uint8_t *types, size_t count, int64_t timeout_ns,
                                   uint64_t *lsn, size_t *appended);

typedef struct shmwal_slot {
    void *data;    /* `length` bytes to fill, in the ring itself, 16-byte aligned */
    size_t length; /* as reserved */
    uint32_t type; /* SHMWAL_BYTES; may be set until the commit */
    uint32_t reserved;
    uint64_t private_start, private_extent;
} shmwal_slot;

/* Reserves room for a record of `length` bytes that the caller builds in place. Waits for room as
 * shmwal_append does. Must be followed by shmwal_commit or shmwal_discard, soon: nothing behind it
 * becomes durable before. If the process dies first, the flusher puts a filler in its place. Same
 * errors as shmwal_append. */
SHMWAL_API int shmwal_reserve(shmwal *log, size_t length, shmwal_slot *slot);

/* Commits what was reserved; the LSN just past it goes to *lsn, unless NULL. -EINVAL if the slot
 * is not reserved (any more), or by another process (a parent) or handle. */
SHMWAL_API int shmwal_commit(shmwal *log, shmwal_slot *slot, uint64_t *lsn);

/* Gives the reservation up: readers will see nothing. Same errors as shmwal_commit. */
SHMWAL_API int shmwal_discard(shmwal *log, shmwal_slot *slot);

/* ---- Waiting ------------------------------------------------------------------------------- */

/* The level's watermark: all records that end at or before it have reached the level.
 * SHMWAL_COMMITTED has no holes: a reservation still open holds it back. No system call. 0 for
 * SHMWAL_REPLICATED and for a NULL handle. */
SHMWAL_API uint64_t shmwal_lsn(const shmwal *log, shmwal_level level);

/* The end of the last reservation of any process. All that any process has appended before this
 * call ends at or before it, so to wait for it is to wait for everything. No system call. */
SHMWAL_API uint64_t shmwal_reserved_lsn(const shmwal *log);

/* Waits until the level's watermark is at least `lsn`, or the time-out is over (-ETIMEDOUT; with 0
 * at once). If the flusher died, a waiter starts another, unless its handle says
 * SHMWAL_NO_FLUSHER. Errors: -ETIMEDOUT, -EIO, -ESHUTDOWN, -EINVAL (an LSN that no append has
 * returned yet), -ENOTSUP (SHMWAL_REPLICATED), and those of starting a flusher. Signals do not end
 * the wait. */
SHMWAL_API int shmwal_wait(shmwal *log, uint64_t lsn, shmwal_level level, int64_t timeout_ns);

/* ---- Waiting for any of several ---- */

enum {
    /* The LSN may lie beyond the log's end: it is waited for whoever appends it one day, by
     * whatever flusher. No flusher is started or hurried for it, and neither -EIO nor -ESHUTDOWN
     * ends it. SHMWAL_DURABLE alone. */
    SHMWAL_AHEAD = 1u << 0,
    /* A flusher that died is not replaced but told: -EOWNERDEAD. */
    SHMWAL_NO_START = 1u << 1,
};

typedef struct shmwal_target {
    shmwal *log;
    uint64_t lsn;
    shmwal_level level;
    uint32_t flags; /* SHMWAL_AHEAD, SHMWAL_NO_START */
    int result;     /* set by the call */
    uint32_t reserved;
    int64_t private_check_ns; /* 0 in a new target; left alone when it is waited for again */
} shmwal_target;

/* Waits, in one thread, until at least one of `count` targets is settled; logs, levels and LSNs may
 * be mixed. Returns how many are, each target's result telling: 0 reached, -EINPROGRESS not yet, or
 * what shmwal_wait returns for it, or -EOWNERDEAD. Where several fail, shmwal_error() has the last
 * one's sentence; shmwal_wait with a time-out of 0 has each one's.
 *
 * Another thread ends the wait at once: it calls shmwal_wake(word), and the wait returns 0, also if
 * that came before the wait began, since `seen` is what the caller has read in *word before it
 * chose the targets. `word` NULL: nobody does. -ETIMEDOUT as shmwal_wait; -EINVAL with neither
 * targets nor a word. Signals do not end it.
 *
 * A flusher that hangs in its device, or whose log is full, holds up its own targets alone. One
 * that died is noticed within 50 ms and replaced by this call, in which case the other targets are
 * looked at again when the new one serves or has failed: some tens of milliseconds, but up to a
 * minute where the log's device hangs. With SHMWAL_NO_START no target waits for another: let
 * shmwal_wait start the flusher, in another thread.
 *
 * The kernel takes 128 words in a call (one is `word`, each target has one, and all need Linux
 * 5.16). Targets beyond that, or all if a seccomp filter refuses the call, are looked at every
 * millisecond; `word` is noticed at once in any case. */
SHMWAL_API int shmwal_wait_any(shmwal_target *targets, size_t count, int64_t timeout_ns,
                               const uint32_t *word, uint32_t seen);

/* Adds one to *word and wakes who waits with it. One system call; may be called in a signal
 * handler. The word must be one of this process. */
SHMWAL_API void shmwal_wake(uint32_t *word);

/* ---- Reading ------------------------------------------------------------------------------- */

typedef struct shmwal_record {
    const void *data;
    size_t length;
    uint64_t lsn; /* just past the record: what its append returned */
    uint32_t type;
    uint32_t reserved;
} shmwal_record;

/* Where a log is torn or damaged. Strings are valid as long as what they were asked of. */
typedef struct shmwal_damage {
    const char *segment; /* its file name */
    const char *reason;
    uint64_t offset; /* in that file, bytes */
    uint64_t lsn;    /* all before it is intact */
} shmwal_damage;

/* Opens a reader of the log at `path` that yields the records that end after `from_lsn`: exactly
 * those appended after the one whose append returned `from_lsn`. 0 reads all; a position within a
 * record begins with the next one. The log needs no ring and no flusher and may be a copy;
 * permission to read its files is enough. Reads what is durable: bound by the ring's durable LSN
 * while there is a ring, else by what is valid on disk. What lies in front of `from_lsn` is not
 * checked for damage; shmwal_verify does that. Errors: -ENOENT, -ENOTDIR, -EACCES, -EPROTO,
 * -EBADMSG, -ERANGE (from_lsn beyond the log's end). */
SHMWAL_API int shmwal_reader_open(const char *path, uint64_t from_lsn, shmwal_reader **reader);

/* 1 and the next record, or 0 at the end for now: a later call may find more. *record is valid
 * until the next call on this reader. -EBADMSG at damage: all that precedes it has been yielded,
 * and the reader stays there. -EIO if the device fails to read. Blocks for reading files only. */
SHMWAL_API int shmwal_reader_next(shmwal_reader *reader, shmwal_record *record);

/* The same for up to `capacity` records at once, which all stay valid until the next call; returns
 * how many, 0 at the end for now. */
SHMWAL_API int shmwal_reader_next_batch(shmwal_reader *reader, shmwal_record *records,
                                        size_t capacity);

/* Waits until more is durable than the reader has yielded: 0, or -ETIMEDOUT. */
SHMWAL_API int shmwal_reader_wait(shmwal_reader *reader, int64_t timeout_ns);

/* 1 if this reader has met a torn tail or damage, with *damage telling where; 0 if not. A torn
 * tail is what a crash left unfinished behind the last durable record: nothing that was
 * acknowledged. */
SHMWAL_API int shmwal_reader_damage(const shmwal_reader *reader, shmwal_damage *damage);

/* What is missing between two records that a reader has yielded. */
typedef struct shmwal_hole {
    shmwal_damage begin;     /* where the damage is; all before begin.lsn was yielded */
    const char *end_segment; /* where what is valid goes on; "" if nothing is valid from there on */
    uint64_t end_offset;
    /* Where the hole ends: begin.lsn if no record is missing, and only what stands around them is
     * damaged; UINT64_MAX if nothing is valid from there on. */
    uint64_t end_lsn;
} shmwal_hole;

/* Goes on behind damage, for whoever would rather have the rest of a damaged log than nothing. To
 * be called after a read has returned -EBADMSG: looks for the next frame (what was synced together)
 * that is valid, fills *hole and returns 1; reading goes on there, until the next damage. 0 if
 * nothing valid follows: *hole is filled too, and the reader stays at the damage. What comes behind
 * a hole is whole and in order, but nobody can tell what stood in the hole. The strings are valid
 * until the next call on this reader. Changes no file. Errors: -EINVAL (the reader does not stand
 * at damage), -EIO. Blocks for reading files only. */
SHMWAL_API int shmwal_reader_salvage(shmwal_reader *reader, shmwal_hole *hole);

/* Closes and frees; NULL does nothing. */
SHMWAL_API int shmwal_reader_close(shmwal_reader *reader);

/* ---- Looking after a log ------------------------------------------------------------------- */

typedef enum shmwal_state {
    SHMWAL_STATE_OK = 0,      /* a flusher runs */
    SHMWAL_STATE_STOPPED = 1, /* none does */
    SHMWAL_STATE_FROZEN = 2,  /* the device failed; a flusher must be started anew */
} shmwal_state;

typedef struct shmwal_status {
    size_t size; /* of this struct, set by the caller */
    shmwal_state state;
    int device_errno; /* why it is frozen, or what writing waits for (ENOSPC, EFBIG…); 0 */
    char uuid[37];
    uint64_t first_lsn, durable_lsn, committed_lsn, reserved_lsn;
    uint64_t ring_bytes, segment_bytes;
    uint64_t segments, bytes; /* segment files, and the disk space that they take */
    uint64_t fillers_dead;    /* reservations of the dead, filled since the ring was made */
    uint64_t fillers_invalid; /* records that did not validate, filled since the ring was made */
    int64_t flusher_pid;      /* in the flusher's own PID namespace; 0 if none runs */
    /* Whose reservation is the oldest open one, in the caller's PID namespace: 0 there is none, -1
     * it cannot be seen from here, and oldest_inner_pid is all that is known. */
    int64_t oldest_pid;
    uint64_t oldest_lsn;    /* where it begins */
    uint64_t oldest_age_ms; /* for how long the flusher has seen it open */
    int oldest_alive;
    uint32_t attached; /* handles */
    /* How the process knows itself: its pid in its own PID namespace, and that one's number, as
     * /proc/PID/ns/pid has it. 0 not known. */
    int64_t oldest_inner_pid;
    uint32_t oldest_pid_namespace;
    uint64_t spare_bytes;         /* as given at creation */
    uint64_t spares, spares_kept; /* files that are ready now, and how many are to be */
} shmwal_status;

/* Fills *status for the log at `path`. Changes nothing and starts nothing; needs permission to
 * read. A damaged log gives -EBADMSG. */
SHMWAL_API int shmwal_get_status(const char *path, shmwal_status *status);

typedef struct shmwal_verification {
    size_t size; /* of this struct, set by the caller */
    int torn, damaged;
    uint64_t records, first_lsn, last_lsn;
    shmwal_damage damage; /* if torn or damaged; valid until this thread's next shmwal_verify */
} shmwal_verification;

/* Reads the whole log at `path` and checks every byte of it. `progress`, unless NULL, is called
 * now and then with the bytes done and their total. Returns 0 with *result set, also for a damaged
 * log; an error if it could not be read. */
SHMWAL_API int shmwal_verify(const char *path, shmwal_verification *result,
                             void (*progress)(void *context, uint64_t done, uint64_t total),
                             void *context);

/* Tells the log's flusher to write and sync all that is committed and to end; waits until it has,
 * or the time-out is over. 0 too if none runs. What a flusher that was killed has left in /dev/shm
 * is removed if nobody is attached and all in it is durable; else it stays, for the next one. */
SHMWAL_API int shmwal_stop(const char *path, int64_t timeout_ns);

/* What shmwal_fence did. */
typedef enum shmwal_fenced {
    SHMWAL_FENCED_NOTHING = 0, /* no reservation has been open for so long */
    SHMWAL_FENCED_DEAD = 1,    /* one is, and its process was dead already */
    SHMWAL_FENCED_ALIVE = 2,   /* one is, its process was found and left alive, as asked */
    SHMWAL_FENCED_KILLED = 3,
} shmwal_fenced;

enum {
    SHMWAL_FENCE_LOOK = 1u << 0, /* kill nobody: only find out who would be killed */
};

typedef struct shmwal_fencing {
    size_t size; /* of this struct, set by the caller */
    shmwal_fenced done;
    int filled;      /* the reservation is finished: what is behind it can become durable */
    int64_t pid;     /* in the caller's PID namespace; 0 for NOTHING and DEAD */
    uint64_t lsn;    /* where the reservation begins; 0 for NOTHING */
    uint64_t age_ms; /* for how long it has been seen open */
} shmwal_fencing;

/* Kills (SIGKILL) the process whose reservation is the oldest open one of the log at `path` and
 * holds back all that is behind it: one that is stopped, hangs, or is being debugged. Then waits
 * until the flusher has put a filler in its place, if one runs.
 *
 * Only a reservation that has been open for `open_for_ns` counts. If the flusher has not seen it
 * for so long, this call watches it for that time; one that is finished meanwhile is let be.
 *
 * Nobody is killed who is not proven to own that reservation: the process must be seen in /proc,
 * have the pid that the ring names in the PID namespace that it names, and have this very ring
 * mapped at the address that it names, while the kernel's lock shows the owner to be alive. That
 * holds whoever gets the pid of a process that has died. What is killed is a pidfd. The flusher and
 * the caller are never killed. A process that finishes its reservation just when it is killed is
 * killed all the same; its record is in the log.
 *
 * `timeout_ns` is for the process's end and the filler, -1 no limit. Returns 0 with *fencing set.
 * Errors: -ESRCH (the process cannot be seen from here, in another container perhaps, or not be
 * told from another one), -EACCES and -EPERM (it belongs to another user), -EDEADLK (it is the
 * caller), -ENOENT (no log, or no /proc), -EBADMSG (the ring was overwritten), -ETIMEDOUT (it was
 * killed, and has not ended yet or is not filled yet), -EINVAL, and those of opening a log. */
SHMWAL_API int shmwal_fence(const char *path, uint32_t flags, int64_t open_for_ns,
                            int64_t timeout_ns, shmwal_fencing *fencing);

/* The sentence for this thread's last failure: what happened, to which file and where, and what to
 * do. Valid until its next call of this library; never NULL. */
SHMWAL_API const char *shmwal_error(void);

/* What that failure is about, where the errno alone leaves it open: -ENOSPC, -EACCES and others can
 * come from the log's files or from the ring. */
typedef enum shmwal_subject {
    SHMWAL_ABOUT_LOG = 0,     /* the log's directory and files, or the call itself */
    SHMWAL_ABOUT_RING = 1,    /* shared memory: /dev/shm, and mapping what lies there */
    SHMWAL_ABOUT_FLUSHER = 2, /* the flusher program could not be started */
} shmwal_subject;

SHMWAL_API shmwal_subject shmwal_error_subject(void);

/* "1.0.0" */
SHMWAL_API const char *shmwal_version(void);

#ifdef __cplusplus
}
#endif
#endif
