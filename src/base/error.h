/* SPDX-License-Identifier: MIT
 *
 * The sentence that goes with a negative errno.
 *
 * Whoever detects a failure describes it at once, with the file and position it knows, and returns
 * fail(...): callers pass the number on and leave the sentence alone, unless they can add what to
 * do.
 *
 * Knows nobody. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

/* Stores the formatted sentence as this thread's last failure and returns -error (error > 0). */
__attribute__((format(printf, 2, 3), cold)) int fail(int error, const char *format, ...);

/* The same, with ": " and the system's text for the errno appended. */
__attribute__((format(printf, 2, 3), cold)) int fail_errno(int error, const char *format, ...);

/* Puts "prefix: " in front of the sentence of `error` (a negative errno) and returns it. */
__attribute__((format(printf, 2, 3), cold)) int fail_context(int error, const char *format, ...);

/* What a failure is about. An errno alone does not tell a full /dev/shm from a full disk. The
 * numbers are those of shmwal_subject. */
enum fail_subject { ABOUT_LOG = 0, ABOUT_RING = 1, ABOUT_FLUSHER = 2 };

/* Says so of this thread's last failure, `error`, and returns that; without it, it is the log. */
int fail_about(enum fail_subject subject, int error);

/* Of this thread's last failure. */
enum fail_subject fail_subject(void);

/* This thread's last sentence; "" before the first. */
const char *fail_sentence(void);

#endif
