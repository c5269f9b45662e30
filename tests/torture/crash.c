/* SPDX-License-Identifier: MIT
 *
 * Power loss without a device: the store's calls to the file system are written down, and from them
 * follows what a file system may have kept. Needs no privilege and tries a thousand states a
 * second; power.c does the same to real file systems.
 *
 * The store runs in this process, over files in memory, frame by frame and with several in flight.
 * Then the power fails at all times of the record (model.h). Each state is laid out as a directory,
 * recovered, and compared with what was appended and acknowledged (history.h).
 *
 *   crash [--states N] [--seed N] [--without data|directory]
 *
 * --without: as if the store did not sync its data, or its directory; 0 means that it was caught.
 *
 * Knows model.h, history.h, src/store. Changes when the store is used in another way. */
#include "../remove_tree.h"
#include "draw.h"
#include "history.h"
#include "model.h"

#include "base/error.h"
#include "format/format.h"
#include "store/directory.h"
#include "store/store.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    STEPS_A_RUN = 60,
    STATES_A_RUN = 3000,
    FRAME_BYTES = 48 * 1024,
    WRITER = 3,
    AGAIN_EVERY = 8
};

static char base[] = "/dev/shm/crash-XXXXXX", log_path[80];
static uint64_t states, runs, wrong;

static void die(const char *what)
{
    fprintf(stderr, "crash: %s: %s\n", what, fail_sentence());
    exit(1);
}

static void clean(void)
{
    remove_tree(base);
}

/* ---- Using a store ---- */

struct use {
    struct directory directory;
    struct store *store;
    uint64_t lsn;    /* where the next record begins */
    uint32_t number; /* of the next record */
    char *frames[STORE_FRAMES];
    unsigned turn;
    uint64_t *seed;
};

/* Records into the frame whose turn it is; returns their bytes. */
static uint64_t gather(struct use *use, uint32_t *records)
{
    static char payload[RECORD_BYTES_MAX];
    char *place = use->frames[use->turn] + sizeof(struct frame_header);
    uint64_t bytes = 0, limit = draw(use->seed) % 4 == 0 ? FRAME_BYTES / 2 : 600;
    *records = 0;
    do {
        size_t length = history_fill(WRITER, use->number, payload);
        uint64_t span = record_span(length);
        struct record_header *header = (struct record_header *)(place + bytes);
        if (bytes + span > FRAME_BYTES - FORMAT_BLOCK)
            break;
        memset(header, 0, span);
        *header = (struct record_header){
            .length = (uint32_t)length, .producer = WRITER, .type = SHMWAL_BYTES};
        memcpy(header + 1, payload, length);
        header->checksum = record_checksum(header, header + 1, use->lsn + bytes);
        bytes += span;
        use->number++;
        ++*records;
    } while (bytes < limit);
    return bytes;
}

static void acknowledge(const struct use *use)
{
    model_acknowledge(store_durable(use->store));
}

static void settle(struct use *use)
{
    while (store_in_flight(use->store) > 0) {
        if (store_settle(use->store) < 0)
            die("settle");
        acknowledge(use);
    }
}

/* One frame, or up to as many as may be in flight. */
static void write_frames(struct use *use)
{
    unsigned count = 1 + (unsigned)(draw(use->seed) % STORE_FRAMES);
    for (unsigned i = 0; i < count; i++) {
        uint32_t records;
        uint64_t bytes = gather(use, &records);
        struct frame_header *frame = (struct frame_header *)use->frames[use->turn];
        int error = count == 1 ? store_write(use->store, frame, use->lsn, bytes, records)
                               : store_issue(use->store, frame, use->lsn, bytes, records);
        if (error < 0)
            die("write");
        use->lsn += bytes;
        use->turn = (use->turn + 1) % STORE_FRAMES;
    }
    acknowledge(use);
    settle(use);
}

static void open_store(struct use *use)
{
    uint64_t end_lsn;
    if (store_find_end(&use->directory, &end_lsn) < 0 ||
        store_open(&use->directory, end_lsn, &use->store) < 0)
        die("open");
    if (end_lsn != use->lsn)
        die("the log ends elsewhere");
}

static void run_store(uint64_t *seed)
{
    struct use use = {.seed = seed};
    uint64_t spare_bytes = draw(seed) % 5 * SEGMENT_BYTES_MIN; /* up to four, or none */
    if (directory_create_with_spares(log_path, SEGMENT_BYTES_MIN, SEGMENT_BYTES_MIN, spare_bytes) <
            0 ||
        directory_open(log_path, true, &use.directory) < 0)
        die("create");
    for (unsigned i = 0; i < STORE_FRAMES; i++)
        use.frames[i] = aligned_alloc(FORMAT_BLOCK, FRAME_BYTES + FORMAT_BLOCK);
    model_begin(use.directory.segments_fd);
    open_store(&use);
    for (unsigned i = 0; i < STEPS_A_RUN; i++) {
        uint64_t drawn = draw(seed) % 16;
        if (drawn == 0) {
            store_close(use.store);
            open_store(&use);
        } else if (drawn == 1 && store_idle(use.store) < 0) {
            die("seal");
        } else {
            write_frames(&use);
        }
    }
    store_close(use.store);
    model_end();
    for (unsigned i = 0; i < STORE_FRAMES; i++)
        free(use.frames[i]);
    directory_close(&use.directory);
}

/* ---- Losing power ---- */

static void fail_everywhere(const struct history *history, uint64_t wanted, uint64_t *seed)
{
    for (uint64_t i = 0; i < STATES_A_RUN && states < wanted; i++) {
        uint64_t end_lsn, durable_lsn = model_lay_out(seed);
        const char *why =
            history_check(history, log_path, durable_lsn, i % AGAIN_EVERY == 0, &end_lsn);
        states++;
        if (why != NULL && wrong++ < 20)
            fprintf(stderr, "crash: run %" PRIu64 ", state %" PRIu64 ": %s\n", runs, states, why);
    }
}

static void one_run(uint64_t wanted, uint64_t *seed)
{
    struct history history = {0};
    snprintf(log_path, sizeof log_path, "%s/%" PRIu64 "/log", base, runs);
    run_store(seed);
    const char *why = history_extend(&history, log_path);
    if (why != NULL) {
        fprintf(stderr, "crash: without a loss of power: %s\n", why);
        exit(1);
    }
    fail_everywhere(&history, wanted, seed);
    history_clear(&history);
    model_forget();
    remove_tree(log_path);
    runs++;
}

int main(int count, char **words)
{
    uint64_t wanted = 3000, seed = (uint64_t)time(NULL);
    bool expect_loss = false;
    for (int i = 1; i + 1 < count; i += 2) {
        if (strcmp(words[i], "--states") == 0)
            wanted = strtoull(words[i + 1], NULL, 0);
        else if (strcmp(words[i], "--seed") == 0)
            seed = strtoull(words[i + 1], NULL, 0);
        else if (strcmp(words[i], "--without") == 0 && model_without(words[i + 1]))
            expect_loss = true;
        else
            count = 0;
    }
    if (count % 2 == 0) {
        fprintf(stderr, "usage: crash [--states N] [--seed N] [--without data|directory]\n");
        return 2;
    }
    uint64_t first_seed = seed;
    if (mkdtemp(base) == NULL)
        die("/dev/shm cannot be written to");
    atexit(clean);
    while (states < wanted && !(expect_loss && wrong > 0))
        one_run(wanted, &seed);
    printf("crash: %" PRIu64 " states of %" PRIu64 " runs, %" PRIu64 " wrong; seed %" PRIu64 "\n",
           states, runs, wrong, first_seed);
    return expect_loss ? wrong == 0 : wrong > 0;
}
