/* SPDX-License-Identifier: MIT
 *
 * Who sleeps is woken: the doorbell (D1), the waiters for an LSN (W1, W2) and those for room (D2),
 * as the heads of src/producer/room.c and src/producer/wait.c tell them. `tests/model/run` checks
 * the protocols as they are, and with one thing wrong at a time (the #ifdefs), to see that each is
 * caught.
 *
 * MODELLED. Producers that reserve one unit each, waiting for room, finish it, ring where that
 * matters, and perhaps wait until it is durable, or all that is reserved is; they may be killed
 * before any of their steps. The flusher that gathers, publishes, wakes, sees to orphans, and
 * sleeps. One `atomic` holds one access to shared memory or one system call. A sleeper wakes when
 * it is woken and not just because the word that it sleeps on has changed.
 *
 * NOT MODELLED. The ring's own protocol, which is ring.pml's: a reservation and its finish are one
 * step each. Weak memory, but for what it can do here: each pair of the tables is a store and a
 * later load that must not change places, and the mutants exchange them. The flusher's death: a
 * waiter looks for that every 50 ms. Commit intervals. More than one shard: two could only wake
 * fewer.
 *
 * TIME-OUTS. Here none is over but where a kill has made it needed, so that no lost wake-up hides
 * behind one: the quick look at an open reservation, when its owner is dead; the slow look of an
 * idle flusher, when somebody was killed who should have rung, and nobody waits.
 *
 * Knows src/producer/{room,wait}.c, src/flusher/{flusher,publish}.c. Changes only together with
 * them. */

#ifndef LSN_LAST
#define LSN_LAST 2 /* where reservations end */
#endif
#ifndef UNITS
#define UNITS 1 /* of the ring */
#endif
#ifndef PRODUCERS
#define PRODUCERS 2
#endif

/* ---- Shared memory --------------------------------------------------------------------------- */

byte tail, durable, head;
bit finished[LSN_LAST + 1];
byte owner[LSN_LAST + 1];

byte awaited; /* what the flusher sleeps for */
#define AWAKE       0
#define NEXT        1
#define RECORD(lsn) ((lsn) + 2)

bit asleep;           /* the flusher's own word for it */
byte doorbell;        /* futex of the flusher */
bit shard_wanted;     /* waiters set, the flusher clears */
byte shard_sequence;  /* futex of the waiters for an LSN */
bit room_wanted;
byte room_sequence;   /* futex of the waiters for room */

/* ---- Around it ------------------------------------------------------------------------------- */

bit flusher_sleeps, shard_sleeps[PRODUCERS], room_sleeps[PRODUCERS]; /* the kernel's queues */
bit gone[PRODUCERS + 1]; /* killed */
bit ring_owed;           /* by somebody who was killed between a finish and the end of its ring */
byte ended;              /* producers that will do nothing any more */
byte finishes;           /* how many extents are finished */

/* ---- Properties ------------------------------------------------------------------------------ */

/* Nobody sleeps for ever. A state in which nothing moves is an error but for one: all producers
 * have ended, the flusher sleeps, and all that was finished is durable. */
#define ALL_IS_WELL (ended == PRODUCERS && finishes == durable)

/* Who was told that its LSN is durable was told the truth. */
inline served_is_durable(lsn)
{
    assert(durable >= lsn)
}

/* ---- Steps ----------------------------------------------------------------------------------- */

/* As in ring.pml. A kill between a finish and the end of its ring leaves the ring owed. */
#define STEP        if :: atomic {
#define OR_DIE      } :: atomic { gone[me] = 1; goto killed } fi
#define OR_DIE_OWING } :: atomic { gone[me] = 1; ring_owed = 1; goto killed } fi

/* The kernel wakes all that sleep on a word; whom nobody woke does not wake. */
inline futex_wake_all(i, sleeps_at_i)
{
    i = 0;
    do
    :: i < PRODUCERS -> sleeps_at_i = 0; i++
    :: else -> break
    od;
    i = 0
}

/* ---- A producer ------------------------------------------------------------------------------ */

#define NOBODY_WAITS !(shard_sleeps[0] || room_sleeps[0] || shard_sleeps[1] || room_sleeps[1])

/* region_wake_flusher(). */
inline wake_flusher()
{
    STEP ring = (awaited != AWAKE); awaited = AWAKE OR_DIE_OWING;
    if
    :: ring ->
        STEP doorbell++ OR_DIE_OWING;
        STEP flusher_sleeps = 0 OR_DIE_OWING
    :: else -> skip
    fi;
    ring = 0
}

/* region_ask_flusher(). It leaves `awaited` alone: whoever clears it owes a ring. */
inline ask_flusher()
{
    STEP ring = (awaited == NEXT); owed = (awaited == AWAKE) OR_DIE;
#ifdef ASKS_AWAITED_ONLY
    owed = 0;
#endif
    if
    :: owed -> STEP ring = asleep OR_DIE /* D3 */
    :: else -> skip
    fi;
    if
    :: ring ->
        STEP doorbell++ OR_DIE;
        STEP flusher_sleeps = 0 OR_DIE
    :: else -> skip
    fi;
    ring = 0; owed = 0
}

active [PRODUCERS] proctype producer()
{
    byte me = _pid;
    byte lsn;    /* where its extent begins; then, where the one ends that it waits for */
    byte seen;   /* of a futex's word */
    bit ring, owed;

reserve:
    STEP
        if
        :: tail < LSN_LAST && tail - head < UNITS ->
            lsn = tail; owner[lsn] = me; tail++
        :: tail < LSN_LAST && tail - head == UNITS -> goto wait_for_room
        :: ended++; goto done
        fi
    OR_DIE;

#ifdef RING_BEFORE_FINISH
    STEP ring = (awaited == NEXT || awaited == RECORD(lsn)) OR_DIE;
    STEP finished[lsn] = 1; finishes++ OR_DIE;
#else
    STEP finished[lsn] = 1; finishes++ OR_DIE; /* D1 */
#ifdef RECORD_ONLY
    STEP ring = (awaited == RECORD(lsn)) OR_DIE_OWING;
#else
    STEP ring = (awaited == NEXT || awaited == RECORD(lsn)) OR_DIE_OWING; /* D1 */
#endif
#endif
    if
    :: ring -> wake_flusher()
    :: else -> skip
    fi;
    STEP
        if
        :: lsn++         /* waits for its own record */
        :: lsn = tail    /* waits for all that is reserved */
        :: lsn = 0; goto reserve
        fi
    OR_DIE;

    ask_flusher(); /* want() */

wait: /* wait_reached() */
#ifdef SEQUENCE_READ_LATE
    STEP shard_wanted = 1 OR_DIE;
    STEP if :: durable >= lsn -> goto served :: else -> skip fi OR_DIE;
    STEP seen = shard_sequence OR_DIE;
#elif defined(LOOK_BEFORE_WANTED)
    STEP seen = shard_sequence OR_DIE;
    STEP if :: durable >= lsn -> goto served :: else -> skip fi OR_DIE;
    STEP shard_wanted = 1 OR_DIE;
#else
    STEP seen = shard_sequence OR_DIE;                                  /* W2 */
    STEP shard_wanted = 1 OR_DIE;                                       /* W1 */
    STEP if :: durable >= lsn -> goto served :: else -> skip fi OR_DIE; /* W1 */
#endif
    STEP shard_sleeps[me] = (shard_sequence == seen); seen = 0 OR_DIE;
    atomic { !shard_sleeps[me] -> goto wait }

served:
    atomic { served_is_durable(lsn); lsn = 0; seen = 0; goto reserve }

wait_for_room: /* reserve_waiting() */
#ifdef LOOK_BEFORE_ROOM_WANTED
    STEP seen = room_sequence OR_DIE;
    STEP if :: tail - head < UNITS -> seen = 0; goto reserve :: else -> skip fi OR_DIE;
    STEP room_wanted = 1 OR_DIE;
#else
    STEP seen = room_sequence OR_DIE;
    STEP room_wanted = 1 OR_DIE;                                                        /* D2 */
    STEP if :: tail - head < UNITS -> seen = 0; goto reserve :: else -> skip fi OR_DIE; /* D2 */
#endif
    ask_flusher();
    STEP room_sleeps[me] = (room_sequence == seen); seen = 0 OR_DIE;
    atomic { !room_sleeps[me] -> goto reserve }

killed:
    atomic {
        shard_sleeps[me] = 0; room_sleeps[me] = 0; lsn = 0; seen = 0; ring = 0; owed = 0;
        ended++
    }
done:
    skip
}

/* ---- The flusher ----------------------------------------------------------------------------- */

/* wake_shard(). */
inline wake_shard()
{
    atomic { flag = shard_wanted } /* W1 */
    if
    :: flag ->
#ifdef FLAG_CLEARED_LATE
        atomic { shard_sequence++ }
        atomic { shard_wanted = 0 }
#else
        atomic { shard_wanted = 0 }
        atomic { shard_sequence++ } /* W2 */
#endif
        atomic { futex_wake_all(i, shard_sleeps[i]) }
    :: else -> skip
    fi;
    flag = 0
}

/* wake_room(). */
inline wake_room()
{
    atomic { flag = room_wanted; room_wanted = 0 } /* D2 */
    if
    :: flag ->
        atomic { room_sequence++ }
        atomic { futex_wake_all(i, room_sleeps[i]) }
    :: else -> skip
    fi;
    flag = 0
}

inline stay_up_if_there_is_reason()
{
    atomic {
        if
        :: goal == NEXT && tail != next -> goto awake
        :: goal == RECORD(next) && finished[next] -> goto awake
        :: else -> skip
        fi
    }
}

active proctype flusher()
{
    byte next;  /* the end of what is gathered */
    byte bell;  /* the doorbell's value seen */
    bit open;   /* a reservation stands at `next` and is not finished */
    byte goal;  /* what it will sleep for */
    bit flag;
    byte i;

gather:
    atomic {
        if
        :: next < tail && finished[next] -> next++; goto gather
        :: else -> skip
        fi
    }
    if
    :: next == durable -> goto resolve
    :: else -> skip
    fi;
#ifdef WAKE_BEFORE_DURABLE
    wake_shard();
    atomic { durable = next }
    atomic { head = next }
    wake_room();
#elif defined(WAKE_BEFORE_HEAD)
    atomic { durable = next }
    wake_shard();
    wake_room();
    atomic { head = next }
#else
    atomic { durable = next } /* W1 */
    atomic { head = next }    /* D2 */
    wake_shard();
    wake_room();
#endif
    goto gather;

resolve: /* orphan_resolve() */
    atomic {
        open = (next < tail && !finished[next]);
        if
        :: open && gone[owner[next]] -> finished[next] = 1; finishes++; open = 0; goto gather
        :: open && !gone[owner[next]] -> goal = RECORD(next)
        :: else -> goal = NEXT
        fi
    }
#ifdef EMPTY_SEEN_TWICE
    atomic { if :: next < tail -> goal = RECORD(next) :: else -> goal = NEXT fi }
#endif

    /* doze() */
#ifdef LOOK_BEFORE_AWAITED
    atomic { bell = doorbell }
    stay_up_if_there_is_reason();
    atomic { awaited = goal }
#elif defined(BELL_READ_LATE)
    atomic { awaited = goal }
    stay_up_if_there_is_reason();
    atomic { bell = doorbell }
#else
    atomic { bell = doorbell }
    atomic { asleep = 1 }         /* D3 */
    atomic { awaited = goal }     /* D1 */
    stay_up_if_there_is_reason(); /* D1 */
#endif
    atomic { flusher_sleeps = (doorbell == bell) }
    if
    :: !flusher_sleeps
    :: atomic { open && gone[owner[next]] -> flusher_sleeps = 0 } /* the quick look */
#ifndef NO_SLOW_LOOK
    :: atomic { ring_owed && NOBODY_WAITS -> flusher_sleeps = 0; ring_owed = 0 }
#endif
    :: atomic { ALL_IS_WELL -> goto done }
    fi;
awake:
    atomic { awaited = AWAKE }
    atomic { asleep = 0; bell = 0; open = 0; goal = 0; goto gather }

done:
    skip
}
