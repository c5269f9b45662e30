/* SPDX-License-Identifier: MIT
 * LDFLAGS: -Wl,--wrap=ring_read,--wrap=record_validate
 *
 * Fuzzes the flusher's view of the ring: the input is a list of steps. Producers append, reserve,
 * finish, die; the flusher gathers, issues, publishes, looks after orphans; and stray stores go
 * into tail, headers, bytes and the rest of the control block, also in the middle of a gathering.
 * A store may forge a record whose checksum is right.
 *
 * Whatever happens: what is gathered is valid, and was appended or stored there; where only bytes
 * were hit, all else comes out whole; frames are what readers accept. And when the stores end and
 * all owners are dead, the ring runs empty, and can be used again.
 *
 * Knows hostile_ring.h. Changes with what the flusher takes from a ring. */
#include "hostile_ring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *data;
    size_t size;
};

static uint64_t take(struct input *input, size_t bytes)
{
    uint64_t value = 0;
    bytes = bytes < input->size ? bytes : input->size;
    memcpy(&value, input->data, bytes);
    input->data += bytes;
    input->size -= bytes;
    return value;
}

/* ---- Producers ---- */

static bool is_alive(uint64_t owner)
{
    return attachment_alive(ring_fd, owner) == 1;
}

/* Valid records, end to end, that fill the extent. */
static void write_records(const struct extent *extent, char *to, uint64_t length)
{
    for (uint64_t done = 0; done < extent->span; done += record_span(length)) {
        if (record_span(length) > extent->span - done)
            length = extent->span - done - sizeof(struct record_header);
        struct record_header record = {
            .length = (uint32_t)length, .producer = (uint32_t)extent->owner, .type = 1};
        memset(to + done, (int)(extent->lsn / RING_UNIT + done), record_span(length));
        record.checksum = record_checksum(&record, to + done + sizeof record, extent->lsn + done);
        memcpy(to + done, &record, sizeof record);
    }
}

static void copy_into(struct extent *extent, uint64_t length)
{
    char *copy = books.copies + books.copied;
    write_records(extent, copy, length);
    memcpy(ring_at(&producer, extent->lsn), copy, extent->span);
    for (uint64_t at = extent->lsn; at < extent->lsn + extent->span; at += RING_UNIT)
        books.hit[(at & (RING_BYTES - 1)) / RING_UNIT] = false;
    extent->copy = copy;
    books.copied += extent->span;
}

static struct extent *reserve(uint64_t owner, uint64_t span)
{
    uint64_t lsn;
    if (books.count == EXTENTS_MAX || books.copied + span > sizeof books.copies ||
        !is_alive(owner) || ring_reserve(&producer, owner, span, &lsn) < 0)
        return NULL;
    books.extents[books.count] = (struct extent){lsn, span, owner, RING_RESERVED, NULL};
    return &books.extents[books.count++];
}

static bool finish(struct extent *extent, enum ring_state state)
{
    bool open = ring_finish(&producer, extent->owner, extent->lsn, extent->span, state);
    if (open)
        extent->state = state;
    return open;
}

static void append(struct input *input, bool finish_too)
{
    uint64_t owner = 1 + take(input, 1) % OWNERS;
    uint64_t length = take(input, 2) % (flusher.span_max - sizeof(struct record_header) + 1);
    uint64_t span = record_span(length) * (1 + take(input, 1) % 3);
    struct extent *extent = reserve(owner, span <= flusher.span_max ? span : record_span(length));
    if (extent == NULL)
        return;
    copy_into(extent, length);
    if (finish_too)
        finish(extent, RING_COMMITTED);
}

/* What stood open all the while, if its owner lives. */
static void finish_late(struct input *input)
{
    uint64_t which = take(input, 1), state = take(input, 1);
    for (unsigned i = 0; i < books.count; i++) {
        struct extent *extent = &books.extents[(which + i) % books.count];
        if (extent->state != RING_RESERVED || !is_alive(extent->owner))
            continue;
        finish(extent, state % 2 == 0 ? RING_COMMITTED : RING_DISCARDED);
        return;
    }
}

/* ---- Stray stores ---- */

/* A number that may mean something: near where the flusher or the producers stand, or anything. */
static uint64_t take_lsn(struct input *input)
{
    uint8_t base = (uint8_t)take(input, 1);
    uint64_t from[] = {flusher.gathered, flusher.issued, flusher.durable, ring_end(&producer), 0};
    if (base % 8 >= sizeof from / sizeof *from)
        return take(input, 8);
    return from[base % 8] + (uint64_t)((int64_t)(int16_t)take(input, 2) * RING_UNIT) + base / 64;
}

static void store_word(AO_double_t *word, struct input *input)
{
    uint64_t position = take_lsn(input), owner = take(input, 1), units = take(input, 3);
    word->AO_val1 = position;
    word->AO_val2 = ring_extent(owner, units * RING_UNIT);
    books.protocol_broken = true;
}

static void mark_hit(uint64_t offset, uint64_t bytes)
{
    for (uint64_t at = offset / RING_UNIT; at <= (offset + bytes - 1) / RING_UNIT; at++)
        books.hit[at % UNITS] = true;
}

static void store_bytes(struct input *input)
{
    uint64_t offset = take(input, 2) % RING_BYTES, value = take(input, 8);
    memcpy(producer.bytes + offset, &value, sizeof value);
    mark_hit(offset, sizeof value);
}

/* Its checksum is right, and covers what stands there, be it ever so long. */
static void forge_record(struct input *input)
{
    uint64_t lsn = take_lsn(input) / RING_UNIT * RING_UNIT;
    char *at = ring_at(&producer, lsn);
    struct record_header record = {.length = (uint32_t)take(input, 4)};
    uint64_t length = record.length < RING_BYTES - sizeof record ? record.length : 0;
    record.type = (uint8_t)take(input, 1);
    struct record_header sealed = record;
    sealed.length = (uint32_t)length;
    record.checksum = record_checksum(&sealed, at + sizeof record, lsn);
    memcpy(at, &record, sizeof record);
    mark_hit(lsn & (RING_BYTES - 1), sizeof record);
}

static void store_control(struct input *input)
{
    uint64_t first = sizeof(struct ring_tail_word);
    uint64_t room = sizeof(struct ring_control) - first - sizeof(uint64_t);
    uint64_t offset = first + take(input, 3) % room, value = take(input, 8);
    memcpy((char *)flusher.region.region.control + offset, &value, sizeof value);
}

static void store_stray(struct input *input)
{
    switch (take(input, 1) % 5) {
    case 0:
        store_word(&producer.tail->word, input);
        break;
    case 1:
        store_word(&producer.headers[(take_lsn(input) & (RING_BYTES - 1)) / RING_UNIT], input);
        break;
    case 2:
        store_bytes(input);
        break;
    case 3:
        forge_record(input);
        break;
    default:
        store_control(input);
    }
}

/* Some are held back until the flusher has read so many headers or validated so many copies. */
static struct input held_back;
static unsigned steps_to_go;

static void count_step(void)
{
    if (steps_to_go > 0 && --steps_to_go == 0)
        store_stray(&held_back);
}

struct ring_header __real_ring_read(const struct ring *ring, uint64_t lsn);
struct ring_header __wrap_ring_read(const struct ring *ring, uint64_t lsn);
struct ring_header __wrap_ring_read(const struct ring *ring, uint64_t lsn)
{
    struct ring_header header = __real_ring_read(ring, lsn);
    count_step();
    return header;
}

const struct record_header *__real_record_validate(const void *bytes, uint64_t room, uint64_t lsn);
const struct record_header *__wrap_record_validate(const void *bytes, uint64_t room, uint64_t lsn);
const struct record_header *__wrap_record_validate(const void *bytes, uint64_t room, uint64_t lsn)
{
    count_step();
    return __real_record_validate(bytes, room, lsn);
}

/* ---- The flusher ---- */

static void gather_and_check(void)
{
    uint64_t before = flusher.gathered;
    gather(&flusher);
    steps_to_go = 0;
    require(flusher.gathered >= before, "the flusher goes forward");
    check_gathered(before);
}

static void settle(void)
{
    if (fake_store.in_flight > 0) {
        fake_store.durable = fake_store.ends[0];
        memmove(fake_store.ends, fake_store.ends + 1, sizeof fake_store.ends - sizeof(uint64_t));
        fake_store.in_flight--;
    }
    if (fake_store.durable == flusher.durable)
        return;
    frames_trim(&flusher);
    publish_durable(&flusher, fake_store.durable);
}

/* In flight, or written at once if nothing else is. */
static void issue(bool fly)
{
    if (flusher.gathered == flusher.issued)
        return;
    check_frame();
    flusher.issued = flusher.gathered;
    flusher.records = 0;
    flusher.full = false;
    if (fly || fake_store.in_flight > 0) {
        fake_store.ends[fake_store.in_flight++] = flusher.gathered;
        flusher.turn = (flusher.turn + 1) % STORE_FRAMES;
    } else {
        fake_store.durable = flusher.gathered;
    }
    if (fake_store.in_flight == STORE_FRAMES)
        settle();
}

static void step(struct input *input)
{
    uint8_t kind = (uint8_t)take(input, 1);
    switch (kind % 10) {
    case 0:
    case 1:
        append(input, true);
        break;
    case 2:
        append(input, false);
        break;
    case 3:
        finish_late(input);
        break;
    case 4:
        sys_unlock(owner_fd, LOCK_ATTACHMENTS + 1 + kind / 10 % OWNERS); /* it dies */
        break;
    case 5:
        held_back = *input;
        steps_to_go = (unsigned)take(input, 1);
        gather_and_check();
        break;
    case 6:
        fake_store.room = take(input, 2) * RING_UNIT;
        issue(kind >= 128);
        break;
    case 7:
        settle();
        break;
    case 8:
        orphan_resolve(&flusher);
        break;
    default:
        store_stray(input);
    }
}

/* ---- The end ---- */

/* What flusher_run() does when nobody stores and nobody lives. */
static void run_until_empty(void)
{
    struct ring *ring = &flusher.region.region.ring;
    fake_store.room = store_room_max(NULL);
    for (int rounds = 0; flusher.durable != flusher.gathered || flusher.durable != ring_end(ring);
         rounds++) {
        require(rounds < 16 * UNITS, "the ring runs empty");
        gather_and_check();
        if (flusher.gathered > flusher.issued)
            issue(false);
        else if (fake_store.in_flight == 0)
            orphan_resolve(&flusher);
        settle();
    }
}

/* A header from a future lap, which nobody can reserve over, is put right when it is passed. */
static void append_and_see_it(void)
{
    books.count = 0;
    books.copied = 0;
    sys_lock_try(owner_fd, LOCK_ATTACHMENTS + 1);
    for (int tries = 0; tries <= UNITS; tries++) {
        uint64_t invalid = flusher.region.state->fillers_invalid;
        uint64_t before = flusher.gathered;
        struct extent *extent = reserve(1, RING_UNIT);
        require(extent != NULL, "an empty ring has room");
        copy_into(extent, 1);
        bool open = finish(extent, RING_COMMITTED);
        books.count = 1;
        run_until_empty();
        bool whole = flusher.region.state->fillers_invalid == invalid;
        require(flusher.gathered >= before + RING_UNIT, "the flusher goes forward");
        if (open && whole)
            return;
        books.count = 0;
        books.copied = 0;
    }
    require(false, "the ring can be used again");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t beginnings[] = {0, 640, RING_BYTES - 128, UINT64_C(1) << 40,
                                          UINT64_C(1) << 62};
    struct input input = {data, size};
    make_ring(beginnings[take(&input, 1) % (sizeof beginnings / sizeof *beginnings)]);
    while (input.size > 0)
        step(&input);
    for (uint64_t owner = 1; owner <= OWNERS; owner++)
        sys_unlock(owner_fd, LOCK_ATTACHMENTS + owner);
    run_until_empty();
    append_and_see_it();
    return 0;
}
