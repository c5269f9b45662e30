/* SPDX-License-Identifier: MIT
 *
 * The protocol of src/ring/ring.c, for exhaustive checking with spin. `tests/model/run` checks
 * the protocol as it is, then with one thing wrong at a time (the #ifdefs below), to see that
 * each wrong is caught.
 *
 * MODELLED. Producers that reserve, store their bytes, and commit or discard; the flusher that
 * copies, writes, and announces, by frames as large as it likes. A producer may be killed before
 * any of its steps, and another process may attach in its place; the flusher may be killed before
 * any of its steps, and a successor takes over. One `atomic` holds one access to shared memory,
 * with what the process then does in private, so the checker tries each order in which such
 * accesses can happen.
 *
 * Who attaches in a dead one's place takes the next number and an entry of the table that is free
 * or a dead one's, as region/attachment.c does, and may be killed on the way. Entries come back;
 * numbers do not. Who closes its handle clears its entry before its lock goes, and may leave a
 * reservation open: to the ring that is a death. A flusher that is killed takes all that it knew
 * along; what its successor goes on from is the durable LSN, the disk and the ring.
 *
 * NOT MODELLED. Weak memory: here each access is seen by all at once, in order; the table at the
 * top of ring.c says which orderings make that so. Wake-ups: a process that waits here sees the
 * change it waits for; wake.pml is about that. A torn word: word_read() takes a first half that
 * is the same before and after as proof of a consistent snapshot, which holds since no first half
 * ever comes back (position_rises, below); so to read a word is one step. Why the
 * kernel keeps an attachment's lock for just as long as its process can store: attachment.h tells.
 * The private copy of the head, which is only ever older than the head. Several records in one
 * extent. Several frames in flight: they become durable in order. Stray stores, and so what
 * ring/mend.h makes of them. The committed watermark, ring_finished_until(). That the ring itself
 * is removed when nobody is attached.
 *
 * NOT A MUTANT. An owner that finishes with a plain store of the extent and then of the position,
 * in place of the CAS, does no harm: helpers touch only a stale header, the flusher only a dead
 * owner's. The CAS is there for its barrier, which the doorbell needs, and to refuse a finish
 * that comes twice.
 *
 * Knows src/ring/{ring,mend}.c, src/region/attachment.c, and the flusher's use of them. Changes
 * only together with them. */

/* ---- How much is tried ----------------------------------------------------------------------- */

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
#ifndef ENTRIES
#define ENTRIES PRODUCERS /* of the table */
#endif

/* ---- Shared memory --------------------------------------------------------------------------- */

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
byte durable, head; /* all below is durable, is free for new extents; the flusher's */

#define UNIT(lsn)       ((lsn) % UNITS)
#define HEADER(lsn)     header[UNIT(lsn)]
#define TAIL_START(t)   (t.position - LENGTH(t.extent))
#define HAS_ROOM(end, length) (head <= (end) && (end) + (length) - head <= UNITS)

#ifdef HEADERS_ZEROED
#define STALE(word, lsn) (word.position == 0)
#else
#define STALE(word, lsn) (LSN(word) < (lsn) || STATE(word) == FREE)
#endif
#define IS_RESERVED(word, lsn) (word.position == POSITION(lsn, RESERVED))
#define IS_FINISHED(word, lsn) (LSN(word) == (lsn) && STATE(word) >= COMMITTED)

/* ---- Around it ------------------------------------------------------------------------------- */

byte written;               /* the disk holds all below, of the present flusher's segments */
bit gone[ATTACHMENTS + 1];  /* the attachment's process is no more: it stores nothing any more */
byte attached = PRODUCERS;  /* numbers given out */
bit locked[ATTACHMENTS + 1]; /* by the kernel's book: what proves that an attachment lives */
bit begun;
bit ring_lock;              /* held by who attaches */
byte entry[ENTRIES];        /* of the table of attachments: a number, 0 if free */
byte ended;                 /* producers that will do nothing any more */

/* What the properties are judged by: what was really done at the extents between head and tail.
 * No step depends on it. */
byte true_extent[UNITS];
byte true_state[UNITS];

#define TRUE_EXTENT(lsn) true_extent[UNIT(lsn)]
#define TRUE_STATE(lsn)  true_state[UNIT(lsn)]
#define TRUE_OWNER(lsn)  OWNER(TRUE_EXTENT(lsn))

/* ---- Properties ------------------------------------------------------------------------------ */

/* One more needs no line: nobody waits for ever. The flusher ends when all producers have ended
 * and the head has come to the tail; a state in which anybody waits and nothing moves is an
 * error. */

/* Every reservation has its header, or is the one that the tail names (the guarantee in ring.h),
 * also to who looks at one after the other: what only stray stores can have made is never seen. */
inline every_reservation_is_named(sane)
{
    assert(sane)
}

/* No value of a word ever comes back. */
inline position_rises(word_, new_position)
{
    assert(word_.position < (new_position))
}

/* A producer stores only into memory that is its own. */
inline memory_is_own(lsn, extent_)
{
    assert(head <= lsn && TRUE_EXTENT(lsn) == extent_ && TRUE_STATE(lsn) == RESERVED)
}

/* A live owner can always finish what it reserved. */
inline finish_is_never_refused()
{
    assert(false)
}

/* Nobody finishes in more than two rounds. */
inline two_rounds_are_enough(rounds_)
{
    assert(rounds_ < 2)
}

/* An extent is finished once: by its owner, or for it when it is dead. Hence an append that
 * returned is never aborted, nor one that still will. */
inline its_owner_finishes(lsn)
{
    assert(TRUE_STATE(lsn) == RESERVED && (me == TRUE_OWNER(lsn) || gone[TRUE_OWNER(lsn)]))
}

/* What is consumed is exactly what was reserved there, so no hole is skipped and nothing is taken
 * twice; it ended as it was finished, and holds the bytes that its owner stored. */
inline consumed_as_reserved(word_, lsn)
{
    assert(word_.extent == TRUE_EXTENT(lsn))
}
inline consumed_as_finished(word_, lsn)
{
    assert(STATE(word_) == TRUE_STATE(lsn))
}
inline bytes_are_the_owners(lsn, length_)
{
    assert(bytes[UNIT(lsn)] == (lsn) + 1 && bytes[UNIT(lsn + length_ - 1)] == (lsn) + 1)
}

/* The disk gets each extent once and in order: a successor goes on where it ends. */
inline successor_begins_where_the_disk_ends()
{
    assert(next == written)
}

/* Nor does the disk ever hold what the ring has not reserved. */
inline ring_fits_the_disk()
{
    assert(written <= tail.position)
}

/* Who lives has an entry that is its own, and a number that is nobody else's. */
inline entry_is_own()
{
    assert(entry[place] == me)
}
inline number_is_new()
{
    assert(!locked[number] && !gone[number])
}

/* Nothing is announced that is not on the disk; no memory is given back that holds what is not
 * durable. */
inline durable_is_written()
{
    assert(durable <= written)
}
inline head_is_durable()
{
    assert(head <= durable)
}

/* ---- Steps ----------------------------------------------------------------------------------- */

/* STEP … OR_DIE is one step, or its process is killed before it. A step that waits has no such
 * branch: to be killed while waiting is to be killed just before, and so a wait without an end is
 * seen, which somebody's death would have ended. */
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

/* tail_help(). Goes on at `helped`; uses `found`, and leaves it empty. */
inline tail_help(seen_)
{
    STEP
        if
#ifdef HELP_UNLOOKED
        :: LENGTH(seen_.extent) > 0 ->
#else
        :: LENGTH(seen_.extent) > 0 && STALE(HEADER(TAIL_START(seen_)), TAIL_START(seen_)) ->
#endif
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

/* ring_finish(), which stands at the label `finish`. Goes to `refused`; uses `found` and
 * `rounds`, and leaves them empty. */
inline ring_finish(lsn, extent_, state_)
{
    STEP
        COPY(found, HEADER(lsn));
        if
        :: STALE(found, lsn) || (IS_RESERVED(found, lsn) && found.extent == extent_) -> skip
        :: else -> goto refused
        fi
    OR_DIE;
    STEP
        if
        :: IS(HEADER(lsn), found) ->
            its_owner_finishes(lsn);
            TRUE_STATE(lsn) = state_;
            change(HEADER(lsn), POSITION(lsn, state_), extent_)
        :: else -> rounds++; two_rounds_are_enough(rounds); goto finish
        fi;
        FORGET(found); rounds = 0
    OR_DIE
}

/* attachment_create(), by parts, for one that has no number yet: while that is so, its death
 * matters to nobody. Uses `number`, and leaves it empty. */
#define OR_GIVE_UP     } :: atomic { FREE_RING_LOCK; number = 0; ended++; goto done } fi
#define OR_DIE_HOLDING } :: atomic { FREE_RING_LOCK; gone[me] = 1; goto killed } fi
#ifdef RING_LOCK_IGNORED
#define HOLD_RING_LOCK skip
#define FREE_RING_LOCK skip
#else
#define HOLD_RING_LOCK ring_lock == 0 -> ring_lock = 1
#define FREE_RING_LOCK ring_lock = 0
#endif

inline take_number()
{
    STEP
        if
        :: attached < ATTACHMENTS -> attached++; number = attached
        :: else -> FREE_RING_LOCK; ended++; goto done
        fi
    OR_GIVE_UP
}

inline find_entry()
{
    STEP
#ifdef ENTRY_UNASKED
        place = number % ENTRIES
#else
        looks = 0; place = number % ENTRIES;
        do
        :: looks < ENTRIES && entry[place] != 0 && locked[entry[place]] ->
            looks++; place = (place + 1) % ENTRIES
        :: else -> break
        od;
        if
        :: looks == ENTRIES ->
            looks = 0; place = 0; number = 0; FREE_RING_LOCK; ended++; goto done
        :: else -> looks = 0
        fi
#endif
    OR_GIVE_UP
}

inline lock_number()
{
#ifdef OWNER_IS_ENTRY
    atomic { me = 1 + place; gone[me] = 0; locked[me] = 1; number = 0 }
#else
    STEP
        number_is_new();
#ifndef UNLOCKED
        locked[number] = 1;
#endif
        me = number; number = 0
    OR_GIVE_UP
#endif
}

inline enter()
{
    STEP entry[place] = me OR_DIE_HOLDING;
    STEP entry_is_own(); FREE_RING_LOCK OR_DIE_HOLDING
}

/* ---- A producer ------------------------------------------------------------------------------ */

active [PRODUCERS] proctype producer()
{
    byte me = _pid + 1; /* the attachment */
    byte number;        /* one that it does not hold the lock of yet */
    byte place, looks;  /* of its entry; at how many it has looked for it */
    word seen, found;   /* snapshots of the tail, of a header */
    byte start, length; /* of the extent */
    byte outcome;       /* COMMITTED, DISCARDED */
    byte rounds;

    atomic { /* those who begin are attached: all at once, before anybody moves */
        do
        :: place < PRODUCERS && entry[place] == 0 && !begun ->
            entry[place] = place + 1; locked[place + 1] = 1; place++
        :: else -> break
        od;
        begun = 1; place = me - 1
    }

reserve: /* ring_reserve() */
    STEP
        entry_is_own();
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

    STEP /* the record goes into ring_at(), or the caller thinks better of it */
        memory_is_own(start, EXTENT(me, length));
        bytes[UNIT(start)] = start + 1;
        bytes[UNIT(start + length - 1)] = start + 1;
        if
        :: outcome = COMMITTED
#ifndef COMMITS_ONLY
        :: outcome = DISCARDED
#endif
        fi
    OR_DIE;
finish:
    ring_finish(start, EXTENT(me, length), outcome);
    start = 0; length = 0; outcome = 0;
    goto reserve;

refused:
    finish_is_never_refused();

wait_for_room:
    atomic { HAS_ROOM(tail.position, length) -> length = 0; goto reserve }

killed: /* or it closes its handle: region_detach() */
    atomic {
        FORGET(seen); FORGET(found); start = 0; length = 0; outcome = 0; rounds = 0;
#ifdef ENTRY_CLEARED_LATE
        locked[me] = 0
    }
    atomic {
        if
        :: entry[place] = 0
        :: skip
        fi;
#else
        if
        :: entry[place] == me -> entry[place] = 0
        :: skip
        fi
    }
    atomic {
        locked[me] = 0;
#endif
        me = 0; place = 0;
        if
        :: attached < ATTACHMENTS -> skip /* another process attaches, at any time from now on */
        :: ended++; goto done
        fi
    }
    atomic { HOLD_RING_LOCK };
    take_number();
    find_entry();
    lock_number();
    enter();
    goto reserve;
done:
    skip
}

/* ---- The flusher ----------------------------------------------------------------------------- */

/* The store of the head. What was true of the memory below is not needed any more. */
inline advance_head(to)
{
    do
    :: head < to ->
        bytes[UNIT(head)] = 0; TRUE_EXTENT(head) = 0; TRUE_STATE(head) = FREE;
        head++
    :: else -> break
    od;
    head_is_durable()
}

#define MAKES_SENSE(header_, lsn, end)                                                             \
    (LSN(header_) == (lsn) && STATE(header_) != FREE && LENGTH(header_.extent) > 0 &&              \
     (lsn) + LENGTH(header_.extent) <= (end))
#define TAIL_NAMES(lsn)    (LENGTH(seen.extent) > 0 && TAIL_START(seen) == (lsn))
#define NEIGHBOUR(header_) (next + LENGTH(header_.extent))
#ifdef NEIGHBOUR_BY_HEADER
#define BEGINS_AT(lsn) MAKES_SENSE(HEADER(lsn), lsn, seen.position)
#else
#define BEGINS_AT(lsn) (TAIL_NAMES(lsn) || MAKES_SENSE(HEADER(lsn), lsn, seen.position))
#endif

/* ring_examine() of what stands at `next`. Leaves the tail in `seen` and the header in `found`. */
inline ring_examine()
{
#ifdef EXAMINED_BACKWARDS
    STEP COPY(found, HEADER(next)) OR_DIE;
    STEP COPY(seen, tail) OR_DIE;
#else
    STEP COPY(seen, tail) OR_DIE;
    STEP COPY(found, HEADER(next)) OR_DIE;
#endif
    if
    :: atomic { seen.position == next || (STALE(found, next) && TAIL_NAMES(next)) -> skip }
    :: atomic {
           MAKES_SENSE(found, next, seen.position) && NEIGHBOUR(found) == seen.position -> skip
       }
    :: else ->
        STEP
            every_reservation_is_named(MAKES_SENSE(found, next, seen.position) &&
                                       BEGINS_AT(NEIGHBOUR(found)))
        OR_DIE
    fi
}

active proctype flusher()
{
    byte me = 0;      /* owns nothing; nobody asks whether it is gone */
    word seen, found; /* snapshots of the tail, of a header */
    byte next;        /* the end of what is gathered */
    byte open;        /* the extent of a reservation there that is not finished */
    byte rounds;

killed: /* a successor: store_open() cuts off what lies beyond the durable LSN */
    atomic {
        gone[me] = 0; FORGET(seen); FORGET(found); open = 0; rounds = 0;
        durable_is_written();
        ring_fits_the_disk();
#if defined(SUCCESSOR_TRUSTS_HEAD)
        next = head;
#elif defined(SUCCESSOR_TRUSTS_TAIL)
        next = tail.position;
#elif defined(SUCCESSOR_TRUSTS_DISK)
        next = written;
#else
        next = durable;
#endif
#ifndef DISK_NOT_CUT
        written = durable;
#endif
        successor_begins_where_the_disk_ends()
    }
#ifndef HEAD_LEFT_BEHIND
    STEP advance_head(durable) OR_DIE; /* take_over() */
#endif

gather:
    STEP /* ring_read() */
        COPY(found, HEADER(next));
        if
        :: IS_FINISHED(found, next) -> skip
        :: else ->
            FORGET(found);
            if
            :: next > durable -> goto commit
            :: else -> goto resolve
            fi
        fi
    OR_DIE;
    STEP /* take_extent(): copies and validates */
        consumed_as_reserved(found, next);
        consumed_as_finished(found, next);
        if
        :: STATE(found) == COMMITTED -> bytes_are_the_owners(next, LENGTH(found.extent))
        :: else -> skip
        fi
    OR_DIE;
    if
    :: STATE(found) == DISCARDED -> ring_examine() /* has_neighbours() */
    :: else -> skip
    fi;
    STEP
#ifdef HEADERS_ZEROED
        FORGET(HEADER(next));
#endif
        next = next + LENGTH(found.extent);
        FORGET(seen); FORGET(found);
        if
        :: goto gather
        :: goto commit /* the frame is full */
        fi
    OR_DIE;

commit: /* store_write(), publish_durable() */
#if defined(DURABLE_FIRST)
    STEP durable = next; durable_is_written() OR_DIE;
    STEP written = next OR_DIE;
    STEP advance_head(next) OR_DIE;
#elif defined(HEAD_FIRST)
    STEP written = next OR_DIE;
    STEP advance_head(next) OR_DIE;
    STEP durable = next; durable_is_written() OR_DIE;
#else
    STEP written = next OR_DIE;
    STEP durable = next; durable_is_written() OR_DIE;
    STEP advance_head(next) OR_DIE;
#endif
    goto gather;

resolve: /* orphan_resolve() */
    ring_examine();
    atomic {
        FORGET(found);
        if
        :: seen.position == next -> goto wait
        :: else -> FORGET(seen)
        fi
    }
    STEP COPY(seen, tail) OR_DIE; /* ring_find_open() */
    STEP
        if
        :: STALE(HEADER(next), next) && TAIL_START(seen) == next -> open = seen.extent
        :: IS_RESERVED(HEADER(next), next) -> open = HEADER(next).extent
        :: else -> FORGET(seen); goto gather /* finished just now */
        fi;
        FORGET(seen)
    OR_DIE;

wait:
    if /* waits for what comes first: a finish, a new reservation, a death */
    :: atomic { IS_FINISHED(HEADER(next), next) -> FORGET(seen); open = 0; goto gather }
    :: atomic { !open && tail.position != next -> FORGET(seen); goto gather }
    :: atomic { ended == PRODUCERS && head == tail.position -> goto done }
#ifdef ABORT_BY_TIMEOUT
    :: open -> skip
#else
    :: open && !locked[OWNER(open)] -> skip /* attachment_alive() */
#endif
    fi;
#ifdef ABORT_BY_STORE
    STEP its_owner_finishes(next); SET(HEADER(next), POSITION(next, DISCARDED), open) OR_DIE;
#else
finish:
    ring_finish(next, open, DISCARDED);
#endif

refused: /* it was finished just before its owner died */
    atomic { FORGET(found); rounds = 0; open = 0; goto gather }

done:
    skip
}
