/* SPDX-License-Identifier: MIT
 *
 * What is noted of the reservation that holds the flusher up is read as one, however often the
 * flusher notes another meanwhile. A process may be ended for it. */
#include "region/held.h"

#include <check.h>
#include <pthread.h>

enum { NOTES = 2000000 };

static struct flusher_state state;
static _Atomic int noting;

/* The three of each note are told apart from those of any other. */
static void *note(void *unused)
{
    for (uint64_t i = 1; i <= NOTES; i++)
        held_note(&state, &(struct held){i, i + NOTES, (int64_t)i});
    atomic_store(&noting, 0);
    return unused;
}

START_TEST(held_is_one_note_while_others_are_made)
{
    pthread_t thread;
    struct held held;
    int64_t last = 0;
    atomic_store(&noting, 1);
    ck_assert_int_eq(pthread_create(&thread, NULL, note, NULL), 0);
    while (atomic_load(&noting)) {
        if (!held_read(&state, &held))
            continue;
        ck_assert_int_eq((int64_t)held.lsn, held.since_ns);
        ck_assert_uint_eq(held.owner, held.lsn + NOTES);
        ck_assert_int_ge(held.since_ns, last);
        last = held.since_ns;
    }
    pthread_join(thread, NULL);
    ck_assert(held_read(&state, &held));
    ck_assert_int_eq(held.since_ns, NOTES);
}
END_TEST

START_TEST(held_is_nothing_before_a_note_and_after_it_is_forgotten)
{
    struct held held;
    ck_assert(!held_read(&state, &held));
    held_note(&state, &(struct held){64, 1, 5});
    ck_assert(held_read(&state, &held));
    held_forget(&state);
    ck_assert(!held_read(&state, &held));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("held");
    TCase *notes = tcase_create("notes");
    tcase_add_test(notes, held_is_one_note_while_others_are_made);
    tcase_add_test(notes, held_is_nothing_before_a_note_and_after_it_is_forgotten);
    suite_add_tcase(suite, notes);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
