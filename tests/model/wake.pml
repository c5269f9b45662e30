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
 * With ANY there is also one who waits for two LSNs of two shards and for a word of its own at
 * once, by shmwal_wait_any(), and one who may wake it by shmwal_wake(). Nothing in it knows that
 * the shards are of one log. How many places the kernel lets it sleep at is ANY_MAX: all, as
 * futex_waitv does, which enters it into one queue after the other; one, where there is no such
 * call; or fewer than there are. The others it looks at a little later.
 *
 * NOT MODELLED. The ring's own protocol, which is ring.pml's: a reservation and its finish are one
 * step each. Weak memory, but for what it can do here: each pair of the tables is a store and a
 * later load that must not change places, and the mutants exchange them. The flusher's death: a
 * waiter looks for that every 50 ms. Commit intervals. Waiters for committed LSNs, which nobody
 * announces: they look every millisecond. That room is not told of for each frame.
 *
 * TIME-OUTS. Here none is over but where it is needed, so that no lost wake-up hides behind one:
 * the quick look at an open reservation, when its owner is dead; the slow look of an idle flusher,
 * when somebody was killed who should have rung, or finished what it had reserved, and nobody waits
 * who has asked for it; the look at what could not be slept on, when it has changed.
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
#ifdef ANY
#define SHARDS 2
#define PLACES 3
#endif
#ifndef SHARDS
#define SHARDS 1
#endif
#ifndef ANY_MAX
#define ANY_MAX PLACES /* how many places the kernel takes */
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
bit shard_wanted[SHARDS];    /* waiters set, the flusher clears */
byte shard_sequence[SHARDS]; /* futex of the waiters for an LSN */
#define SHARD(lsn) ((lsn) % SHARDS)
bit room_wanted;
byte room_sequence;   /* futex of the waiters for room */

/* ---- Around it ------------------------------------------------------------------------------- */

bit flusher_sleeps, room_sleeps[PRODUCERS]; /* the kernel's queues */
byte shard_sleeps[PRODUCERS];
#define AT(shard) ((shard) + 1)
bit gone[PRODUCERS + 1]; /* killed */
bit ring_owed;           /* by somebody who was killed between a finish and the end of its ring */
byte ended;              /* producers that will do nothing any more */

#ifdef ANY
byte word;            /* futex of who waits for any, beside its shards */
bit queued[PLACES];   /* it is, at the word (0) and at the shards behind it */
bit any_woken;        /* by one of them */
bit any_asks;         /* it has asked the flusher, and sleeps */
bit word_done;        /* its waker will do nothing any more */
bit word_rung;        /* shmwal_wake() has been called */
#define AT_WORD  0
#define ANY_ASKS any_asks
#else
#define ANY_ASKS false
#endif

/* ---- Properties ------------------------------------------------------------------------------ */

/* Nobody sleeps for ever. A state in which nothing moves is an error but for one: all producers
 * have ended, the flusher sleeps, and all that was reserved is durable. */
#define ALL_IS_WELL (ended == PRODUCERS && durable == tail)

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
inline wake_all_at_room(i)
{
    i = 0;
    do
    :: i < PRODUCERS -> room_sleeps[i] = 0; i++
    :: else -> break
    od;
    i = 0
}
inline wake_all_at_shard(shard, i)
{
    i = 0;
    do
    :: i < PRODUCERS && shard_sleeps[i] == AT(shard) -> shard_sleeps[i] = 0; i++
    :: i < PRODUCERS && shard_sleeps[i] != AT(shard) -> i++
    :: else -> break
    od;
    i = 0;
#ifdef ANY
    wake_any_at(AT(shard))
#endif
}
#ifdef ANY
inline wake_any_at(place)
{
    if
    :: queued[place] -> any_woken = 1
    :: else -> skip
    fi
}
#endif

/* ---- A producer ------------------------------------------------------------------------------ */

#define WAITS(i) (shard_sleeps[i] || room_sleeps[i])
#if PRODUCERS == 1
#define NOBODY_WAITS !(WAITS(0) || ANY_ASKS)
#else
#define NOBODY_WAITS !(WAITS(0) || WAITS(1) || ANY_ASKS)
#endif

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
    STEP finished[lsn] = 1 OR_DIE;
#else
    STEP finished[lsn] = 1 OR_DIE; /* D1 */
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
    STEP shard_wanted[SHARD(lsn)] = 1 OR_DIE;
    STEP if :: durable >= lsn -> goto served :: else -> skip fi OR_DIE;
    STEP seen = shard_sequence[SHARD(lsn)] OR_DIE;
#elif defined(LOOK_BEFORE_WANTED)
    STEP seen = shard_sequence[SHARD(lsn)] OR_DIE;
    STEP if :: durable >= lsn -> goto served :: else -> skip fi OR_DIE;
    STEP shard_wanted[SHARD(lsn)] = 1 OR_DIE;
#else
    STEP seen = shard_sequence[SHARD(lsn)] OR_DIE;                      /* W2 */
    STEP shard_wanted[SHARD(lsn)] = 1 OR_DIE;                           /* W1 */
    STEP if :: durable >= lsn -> goto served :: else -> skip fi OR_DIE; /* W1 */
#endif
    STEP
        if
        :: shard_sequence[SHARD(lsn)] == seen -> shard_sleeps[me] = AT(SHARD(lsn))
        :: else -> skip
        fi;
        seen = 0
    OR_DIE;
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
inline wake_shard(shard)
{
    atomic { flag = shard_wanted[shard] } /* W1 */
    if
    :: flag ->
#ifdef FLAG_CLEARED_LATE
        atomic { shard_sequence[shard]++ }
        atomic { shard_wanted[shard] = 0 }
#else
        atomic { shard_wanted[shard] = 0 }
        atomic { shard_sequence[shard]++ } /* W2 */
#endif
        atomic { wake_all_at_shard(shard, i) }
    :: else -> skip
    fi;
    flag = 0
}

/* publish_durable(): the shards of all that has become durable, and each but once. */
inline wake_shards()
{
#if defined(LAST_SHARD_ALONE)
    if
    :: told < next -> told = next; wake_shard(SHARD(told))
    :: else -> skip
    fi
#else
    do
#ifdef LAST_SHARD_LEFT_OUT
    :: told + 1 == next -> told++
#endif
    :: told < next && next - told > SHARDS -> told++
#ifdef LAST_SHARD_LEFT_OUT
    :: told + 1 < next && next - told <= SHARDS -> told++; wake_shard(SHARD(told))
#else
    :: told < next && next - told <= SHARDS -> told++; wake_shard(SHARD(told))
#endif
    :: else -> break
    od
#endif
}

/* wake_room(). */
inline wake_room()
{
    atomic { flag = room_wanted; room_wanted = 0 } /* D2 */
    if
    :: flag ->
        atomic { room_sequence++ }
        atomic { wake_all_at_room(i) }
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
    byte told;  /* the waiters for LSNs up to here */
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
    wake_shards();
    atomic { durable = next }
    atomic { head = next }
    wake_room();
#elif defined(WAKE_BEFORE_HEAD)
    atomic { durable = next }
    wake_shards();
    wake_room();
    atomic { head = next }
#else
    atomic { durable = next } /* W1 */
    atomic { head = next }    /* D2 */
    wake_shards();
    wake_room();
#endif
    goto gather;

resolve: /* orphan_resolve() */
    atomic {
        open = (next < tail && !finished[next]);
        if
        :: open && gone[owner[next]] -> finished[next] = 1; open = 0; goto gather
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
    :: atomic {
           (ring_owed || (next < tail && gone[owner[next]])) && NOBODY_WAITS ->
           flusher_sleeps = 0; ring_owed = 0
       }
#endif
    :: atomic { ALL_IS_WELL -> goto done }
    fi;
awake:
    atomic { awaited = AWAKE }
    atomic { asleep = 0; bell = 0; open = 0; goal = 0; goto gather }

done:
    skip
}

/* ---- Who waits for any ----------------------------------------------------------------------- */

#ifdef ANY

#define NOTHING_COMES (ALL_IS_WELL && durable < lsn && word_done && !word_rung)

/* Where it may sleep: at its word, and at two shards. The place that matters comes last. */
#define CHANGED(place)                                                                             \
    (((place) == AT_WORD && word != WORD_SEEN) ||                                                  \
     ((place) != AT_WORD && shard_sequence[(place) - 1] != seen[place]))
#ifdef WORD_READ_LATE
#define WORD_SEEN seen[AT_WORD]
#else
#define WORD_SEEN 0 /* by the caller, before it looked for a reason not to wait */
#endif
#ifdef FIRST_PLACE_ONLY
#define FOUND(i, place) false
#else
/* By the look at what there was no place for. */
#define FOUND(i, place) ((i) >= ANY_MAX && CHANGED(place))
#endif

inline leave_queues()
{
    queued[0] = 0; queued[1] = 0; queued[2] = 0; any_woken = 0; any_asks = 0;
    seen[0] = 0; seen[1] = 0; seen[2] = 0
}

/* arm(). */
inline arm(target)
{
    STEP seen[AT(SHARD(target))] = shard_sequence[SHARD(target)] OR_DIE; /* W2 */
#ifdef ARMED_ONCE
    STEP
        if
        :: armed[SHARD(target)] -> skip
        :: else -> armed[SHARD(target)] = 1; shard_wanted[SHARD(target)] = 1
        fi
    OR_DIE;
#else
    STEP shard_wanted[SHARD(target)] = 1 OR_DIE; /* W1 */
#endif
#ifndef ALL_LOOKED_AT_FIRST
    STEP settled = settled || durable >= target OR_DIE /* W1 */
#endif
}

/* What futex_waitv() does for the i-th place. */
inline queue(i, place)
{
    STEP
        if
        :: i < ANY_MAX && CHANGED(place) -> leave_queues(); goto wait
        :: i < ANY_MAX && !CHANGED(place) -> queued[place] = 1
        :: else -> skip
        fi
    OR_DIE
}

/* Waits for the next LSN and the one behind it, until it has seen all, or its word has changed. */
active proctype waiter()
{
    byte me = PRODUCERS;
    byte lsn;
    byte seen[PLACES]; /* of futexes' words */
    bit ring, owed;
    bit asked;         /* the flusher; who waits for what may lie ahead does not */
    bit settled;
#ifdef ARMED_ONCE
    bit armed[SHARDS];
#endif

call: /* wait_any() */
    STEP
        if
        :: lsn < LSN_LAST -> lsn++
        :: lsn < LSN_LAST - 1 -> lsn = lsn + 2
        :: lsn == LSN_LAST -> goto done
        fi;
        if
        :: asked = (tail >= lsn)
        :: asked = 0
        fi
    OR_DIE;
    if
    :: asked -> ask_flusher()
    :: else -> skip
    fi;

wait:
#ifdef ALL_LOOKED_AT_FIRST
    STEP settled = (durable >= lsn) OR_DIE;
#endif
    arm(lsn + 1);
    arm(lsn);
    if
    :: settled -> goto served
    :: else -> seen[AT_WORD] = 0
    fi;
#ifdef WORD_READ_LATE
    STEP seen[AT_WORD] = word OR_DIE;
#endif
    STEP if :: word != WORD_SEEN -> goto done :: else -> skip fi OR_DIE;
    queue(0, AT_WORD);
    queue(1, AT(SHARD(lsn + 1)));
    queue(2, AT(SHARD(lsn)));
    any_asks = asked;
    if
    :: atomic {
           any_woken || FOUND(0, AT_WORD) || FOUND(1, AT(SHARD(lsn + 1))) ||
           FOUND(2, AT(SHARD(lsn))) -> leave_queues(); goto wait
       }
    :: atomic { NOTHING_COMES -> goto done }
    fi;

served:
    atomic {
        served_is_durable(lsn);
        leave_queues(); settled = 0; asked = 0;
        goto call
    }

killed:
done:
    atomic { leave_queues(); lsn = 0; settled = 0; asked = 0; ring = 0; owed = 0 }
}

/* shmwal_wake(), or nothing. */
active proctype waker()
{
    if
    :: skip
    :: true ->
#if defined(WORD_UNCHANGED)
        atomic { word_rung = 1 }
        atomic { wake_any_at(AT_WORD) }
#elif defined(WAKE_BEFORE_WORD)
        atomic { word_rung = 1; wake_any_at(AT_WORD) }
        atomic { word = 1 }
#else
        atomic { word = 1; word_rung = 1 }
        atomic { wake_any_at(AT_WORD) }
#endif
    fi;
    word_done = 1
}

#endif
