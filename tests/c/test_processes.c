/* SPDX-License-Identifier: MIT
 *
 * What processes and threads do to themselves and to each other in the middle of things: die,
 * fork, exec, jump, cancel, and be mistaken for one another. include/shmwal.h says what holds. */
#include "support.h"

#include "region/shm.h"
#include "region/view.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>

static shmwal *log_;
static struct directory directory;
static struct region_view view;

static void setup(void)
{
    support_setup();
    log_ = support_open(0);
    SUPPORT_OK(directory_open(support_log, false, &directory));
    SUPPORT_OK(region_view_open(&directory, &view));
}

static void teardown(void)
{
    region_view_close(&view);
    directory_close(&directory);
    shmwal_close(log_);
    support_teardown();
}

static uint64_t append(const char *text)
{
    uint64_t lsn = 0;
    SUPPORT_OK(shmwal_append(log_, text, strlen(text), &lsn));
    return lsn;
}

static void wait_durable(uint64_t lsn)
{
    SUPPORT_OK(shmwal_wait(log_, lsn, SHMWAL_DURABLE, 60 * SECONDS));
}

/* Until the flusher sleeps and waits for whatever comes. */
static void await_idle(void)
{
    while (atomic_load(&view.control->awaited) != AWAITED_NEXT)
        sched_yield();
}

/* What is left when a producer is killed between its commit's two steps to wake the flusher: nobody
 * is called for any more. Whoever waits must ring. The flusher also looks up by itself now and
 * then, which may come first once, but not always. */
START_TEST(waiter_rings_for_a_process_that_died_before_it_rang)
{
    bool rung = false;
    for (int i = 0; i < 100 && !rung; i++) {
        wait_durable(append("before"));
        await_idle();
        atomic_store(&view.control->awaited, 0);
        uint32_t bell = atomic_load(&view.control->doorbell);
        wait_durable(append("behind"));
        rung = atomic_load(&view.control->doorbell) != bell;
    }
    ck_assert(rung);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("processes");
    TCase *cases = tcase_create("processes");
    tcase_set_timeout(cases, 600);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, waiter_rings_for_a_process_that_died_before_it_rang);
    suite_add_tcase(suite, cases);
    return support_main(suite);
}
