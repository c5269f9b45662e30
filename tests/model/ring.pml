/* SPDX-License-Identifier: MIT
 *
 * The protocol of src/ring/ring.c, for exhaustive checking with spin. `tests/model/run` checks the
 * protocol as it is, then with one thing wrong at a time (the #ifdefs below), to see that each wrong is
 * caught.
 *
 * MODELLED. Producers that reserve, store their bytes, and commit or discard; the flusher that copies,
 * writes and moves the head, by batches as large as it likes. A producer may be killed before any of its
 * steps, and another process may attach in its place; the flusher may be killed before any of its
 * steps, and a successor begins at the head. One `atomic` holds one access to shared memory, with what
 * the process then does in private, so the checker tries each order in which such accesses can happen.
 *
 * NOT MODELLED. Weak memory: here each access is seen by all at once, in order; the table at the top of
 * ring.c says which orderings make that so. Wake-ups: a process that waits here sees the change it waits
 * for; wake.pml is about that. A torn word: word_read() takes a first half that is the same before and
 * after as proof of a consistent snapshot, which holds since no first half ever repeats
 * (position_rises, below); so to read a word is one step. What the proof of death is made of: here
 * `gone` is true of an attachment whose process is no more. The private copy of the head, which is only
 * ever older than the head. Several records in one extent.
 *
 * NOT A MUTANT. An owner that finishes with a plain store of the extent and then of the position, in
 * place of the CAS, does no harm: helpers touch only a stale header, the flusher only a dead owner's.
 * The CAS is there for its barrier (the doorbell needs one) and to refuse a finish that comes twice.
 *
 * Knows src/ring/ring.c, and the flusher's use of it. Changes only together with them. */

/* ---- How much is tried ------------------------------------------------------------------------ */

#ifndef UNITS
#define UNITS 3 /* of the ring */
#endif
#ifndef LSN_LAST
#define LSN_LAST 6 /* where reservations end: two laps */
#endif
#ifndef LENGTH_MAX
#define LENGTH_MAX 2 /* of an extent, in units */
#endif
#ifndef PRODUCERS
#define PRODUCERS 2 /* at a time */
#endif
#ifndef ATTACHMENTS
#define ATTACHMENTS 3 /* in all: one producer that was killed finds a successor */
#endif

/* ---- Shared memory ---------------------------------------------------------------------------- */

/* As in ring.h, with LSNs counted in units: position = LSN and state, extent = owner and length. */
typedef word {
    byte position;
    byte extent
};

#define FREE      0
#define RESERVED  1
#define COMMITTED 2
#define DISCARDED 3

#define POSITION(lsn, state)  ((lsn) * 4 + (state))
#define LSN(word)             (word.position / 4)
#define STATE(word)           (word.position % 4)
#define EXTENT(owner, length) ((owner) * 4 + (length))
#define OWNER(extent)         ((extent) / 4)
#define LENGTH(extent)        ((extent) % 4)

word tail;          /* position is the bare end LSN; extent is that of the last reservation */
word header[UNITS];
byte bytes[UNITS];  /* LSN + 1 of the extent whose owner stored here last */
byte head;          /* all below is durable; the flusher's */

#define UNIT(lsn)       ((lsn) % UNITS)
#define HEADER(lsn)     header[UNIT(lsn)]
#define TAIL_START(t)   (t.position - LENGTH(t.extent))
#define HAS_ROOM(end, length) ((end) + (length) - head <= UNITS)

#ifdef HEADERS_ZEROED
#define STALE(word, lsn) (word.position == 0)
#else
#define STALE(word, lsn) (LSN(word) < (lsn) || STATE(word) == FREE)
#endif
#define IS_RESERVED(word, lsn) (word.position == POSITION(lsn, RESERVED))
#define IS_FINISHED(word, lsn) (LSN(word) == (lsn) && STATE(word) >= COMMITTED)

/* ---- Around it -------------------------------------------------------------------------------- */

byte written;               /* the disk holds all below, of the present flusher's segments */
bit gone[ATTACHMENTS + 1];  /* the attachment's process is no more: it stores nothing any more */
byte attached = PRODUCERS;  /* attachments made: the last one's id */
byte ended;                 /* producers that will do nothing any more */

/* What the properties are judged by: what was really done at the extents between head and tail. No step
 * depends on it. */
byte true_extent[UNITS];
byte true_state[UNITS];

#define TRUE_EXTENT(lsn) true_extent[UNIT(lsn)]
#define TRUE_STATE(lsn)  true_state[UNIT(lsn)]

/* ---- Properties ------------------------------------------------------------------------------- */

/* One more needs no line: nobody waits for ever. The flusher ends when all producers have ended and the
 * head has come to the tail; the checker reports a state in which anybody waits and nothing moves. */

/* Every reservation has its header, or is the one that the tail names: see the guarantee in ring.h. */
inline every_reservation_is_named(lsn) { assert(!STALE(HEADER(lsn), lsn) || tail.position == lsn || TAIL_START(tail) == lsn) }

/* No value of a word ever comes back. */
inline position_rises(word_, new_position) { assert(word_.position < (new_position)) }

/* A producer stores only into memory that is its own. */
inline memory_is_own(lsn, extent_) { assert(head <= lsn && TRUE_EXTENT(lsn) == (extent_) && TRUE_STATE(lsn) == RESERVED) }

/* A live owner can always finish what it reserved, in two rounds at most. */
inline finish_is_not_refused(word_, lsn, extent_) { assert(STALE(word_, lsn) || (IS_RESERVED(word_, lsn) && word_.extent == (extent_))) }
inline two_rounds_are_enough(rounds) { assert(rounds < 2) }

/* Only what a dead process left open is aborted: never an append that returned, or one that will. */
inline only_the_dead_are_aborted(lsn) { assert(TRUE_STATE(lsn) == RESERVED && gone[OWNER(TRUE_EXTENT(lsn))]) }

/* What is consumed is exactly what was reserved there (so no hole is skipped, nothing is taken twice),
 * ended as its owner ended it, with the bytes that its owner stored. */
inline consumed_as_reserved(word_, lsn) { assert(word_.extent == TRUE_EXTENT(lsn)) }
inline consumed_as_finished(word_, lsn) { assert(STATE(word_) == TRUE_STATE(lsn)) }
inline bytes_are_the_owners(lsn, unit) { assert(bytes[UNIT(unit)] == (lsn) + 1) }

/* Memory is given back only when what it held is on the disk. */
inline head_is_written() { assert(head <= written) }

/* ---- Steps ------------------------------------------------------------------------------------ */

/* STEP … OR_DIE is one step, or its process is killed before it. A step that waits has no such branch: to
 * be killed while waiting is to be killed just before, and so a wait without an end is seen, which
 * somebody's death would have ended. */
#define STEP   if :: atomic {
#define OR_DIE } :: atomic { gone[me] = 1; goto killed } fi

#define IS(word, old)                 (word.position == old.position && word.extent == old.extent)
#define COPY(to, word)                to.position = word.position; to.extent = word.extent
#define SET(word, position_, extent_) word.position = position_; word.extent = extent_
#define FORGET(word)                  SET(word, 0, 0) /* the fewer values, the fewer states */

/* word_swap(), the half of it that follows a comparison. */
inline change(word_, position_, extent_)
{
    position_rises(word_, position_);
    SET(word_, position_, extent_)
}

/* The flusher's store of the head. The memory is anybody's now, and what was true of it is not needed. */
inline advance_head(to)
{
    do
    :: head < to ->
        bytes[UNIT(head)] = 0; TRUE_EXTENT(head) = 0; TRUE_STATE(head) = FREE;
        head++
    :: else -> break
    od
}

/* tail_help(). Goes on at `helped`; uses `found`, and leaves it empty. */
inline tail_help(seen_)
{
    STEP
        if
        :: LENGTH(seen_.extent) > 0 && STALE(HEADER(TAIL_START(seen_)), TAIL_START(seen_)) ->
            COPY(found, HEADER(TAIL_START(seen_)))
        :: else -> goto helped
        fi
    OR_DIE;
    STEP
        if
#ifdef HELP_BY_STORE
        :: true ->
            SET(HEADER(TAIL_START(seen_)), POSITION(TAIL_START(seen_), RESERVED), seen_.extent)
#else
        :: IS(HEADER(TAIL_START(seen_)), found) ->
            change(HEADER(TAIL_START(seen_)), POSITION(TAIL_START(seen_), RESERVED), seen_.extent)
        :: else -> skip
#endif
        fi;
        FORGET(found)
    OR_DIE
}

/* ---- A producer ------------------------------------------------------------------------------- */

active [PRODUCERS] proctype producer()
{
    byte me = _pid + 1; /* the attachment */
    word seen, found;   /* snapshots of the tail, of a header */
    byte start, length; /* of the extent */
    byte rounds;

reserve: /* ring_reserve() */
    STEP
        COPY(seen, tail);
        if
        :: seen.position < LSN_LAST -> length = 1
        :: seen.position + LENGTH_MAX <= LSN_LAST -> length = LENGTH_MAX
        :: seen.position == LSN_LAST -> ended++; goto done
        fi
    OR_DIE;
#ifndef ROOM_UNCHECKED
    STEP
        if
        :: HAS_ROOM(seen.position, length) -> skip
        :: else -> FORGET(seen); goto wait_for_room
        fi
    OR_DIE;
#endif
#if !defined(UNHELPED) && !defined(HEADER_FIRST)
    tail_help(seen);
#endif
#ifdef HEADER_FIRST
    STEP
        if
        :: STALE(HEADER(seen.position), seen.position) ->
            SET(HEADER(seen.position), POSITION(seen.position, RESERVED), EXTENT(me, length))
        :: else -> skip
        fi
    OR_DIE;
#endif
helped:
    STEP
        if
        :: IS(tail, seen) ->
            start = seen.position;
            change(tail, start + length, EXTENT(me, length));
            TRUE_EXTENT(start) = EXTENT(me, length);
            TRUE_STATE(start) = RESERVED;
            FORGET(seen)
        :: else -> FORGET(seen); length = 0; goto reserve
        fi
    OR_DIE;

    STEP /* the caller stores the record into ring_at() */
        memory_is_own(start, EXTENT(me, length));
        bytes[UNIT(start)] = start + 1;
        bytes[UNIT(start + length - 1)] = start + 1
    OR_DIE;

finish: /* ring_finish() */
    STEP
        COPY(found, HEADER(start));
        finish_is_not_refused(found, start, EXTENT(me, length))
    OR_DIE;
    STEP
        if
        :: IS(HEADER(start), found) ->
            if
            :: TRUE_STATE(start) = COMMITTED
            :: TRUE_STATE(start) = DISCARDED
            fi;
            change(HEADER(start), POSITION(start, TRUE_STATE(start)), EXTENT(me, length));
            FORGET(found); start = 0; length = 0; rounds = 0
        :: else -> rounds++; two_rounds_are_enough(rounds); goto finish
        fi
    OR_DIE;
    goto reserve;

wait_for_room:
    atomic { HAS_ROOM(tail.position, length) -> length = 0; goto reserve }

killed: /* perhaps another process attaches, at any time from now on */
    atomic {
        FORGET(seen); FORGET(found); start = 0; length = 0; rounds = 0;
        if
        :: attached < ATTACHMENTS ->
            attached++;
#ifdef IDS_REUSED
            gone[me] = 0;
#else
            me = attached;
#endif
            goto reserve
        :: ended++
        fi
    }
done:
    skip
}

/* ---- The flusher ------------------------------------------------------------------------------ */

active proctype flusher()
{
    byte me = 0;      /* owns nothing; gone[0] is of no use to anybody */
    word seen, found; /* snapshots of the tail, of a header */
    byte next;        /* the end of what is gathered */

killed: /* a successor: all that the files hold above the head is cut off, and comes again from the ring */
    atomic {
        gone[me] = 0; FORGET(seen); FORGET(found);
        next = head;
        head_is_written();
        written = head
    }

gather:
    if
    :: atomic { next > head -> goto write } /* now, or when there is more */
    :: atomic {
        COPY(found, HEADER(next)); /* ring_read() */
        if
        :: IS_FINISHED(found, next) -> skip
        :: else -> FORGET(found); goto hole
        fi
    OR_DIE;
    STEP /* copies and validates the record */
        consumed_as_reserved(found, next);
        consumed_as_finished(found, next);
        if
        :: STATE(found) == COMMITTED ->
            bytes_are_the_owners(next, next);
            bytes_are_the_owners(next, next + LENGTH(found.extent) - 1)
        :: else -> skip
        fi;
#ifdef HEADERS_ZEROED
        FORGET(HEADER(next));
#endif
        next = next + LENGTH(found.extent);
        FORGET(found);
        goto gather
    OR_DIE;

write:
#ifdef HEAD_FIRST
    STEP advance_head(next) OR_DIE;
    STEP written = next OR_DIE;
#else
    STEP written = next OR_DIE;     /* store_write() */
    STEP advance_head(next) OR_DIE; /* one store */
#endif
    goto gather;

hole: /* ring_find_open() */
    STEP
        COPY(seen, tail);
        every_reservation_is_named(next);
        if
        :: TAIL_START(seen) == next -> skip
        :: else -> goto helped
        fi
    OR_DIE;
    tail_help(seen);
helped:
    STEP
        COPY(found, HEADER(next));
        if
        :: IS_FINISHED(found, next) -> FORGET(seen); FORGET(found); goto gather
        :: IS_RESERVED(found, next) -> FORGET(seen)
        :: else -> skip
        fi
    OR_DIE;

    if /* waits for what comes first */
    :: atomic { next > head -> FORGET(seen); FORGET(found); goto write }
    :: atomic { !IS(HEADER(next), found) -> FORGET(seen); FORGET(found); goto gather }
    :: atomic { STALE(found, next) && tail.position != seen.position ->
                FORGET(seen); FORGET(found); goto gather }
    :: atomic { ended == PRODUCERS && head == tail.position -> goto done }
#ifdef ABORT_BY_TIMEOUT
    :: atomic { IS_RESERVED(found, next) -> FORGET(seen) }
#else
    :: atomic { IS_RESERVED(found, next) && gone[OWNER(found.extent)] -> FORGET(seen) } /* proven */
#endif
    fi;
    STEP /* ring_abort() */
        if
#ifdef ABORT_BY_STORE
        :: true ->
#else
        :: IS(HEADER(next), found) ->
#endif
            only_the_dead_are_aborted(next);
            TRUE_STATE(next) = DISCARDED;
            change(HEADER(next), POSITION(next, DISCARDED), found.extent)
        :: else -> skip
        fi;
        FORGET(found);
        goto gather
    OR_DIE;

done:
    skip
}
