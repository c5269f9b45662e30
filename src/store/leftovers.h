/* SPDX-License-Identifier: MIT
 *
 * What the making of a log leaves in its directory when it is cut short.
 *
 *   1  meta.tmp is written and synced, its name too
 *   2  segments/, cursors/ and the first segment are made and synced, the log's own name as well
 *   3  meta.tmp becomes meta
 *
 * So meta means a whole log; meta.tmp without meta means one that was begun, in which nothing was
 * ever written; and segments without either mean that meta was lost.
 *
 * creation.c goes these steps; directory.c judges by them. Knows sys. Changes when a log's
 * directory gets another entry. */
#ifndef STORE_LEFTOVERS_H
#define STORE_LEFTOVERS_H

#include <stdbool.h>

struct leftovers {
    bool begun;        /* meta.tmp is there */
    bool segments;     /* there is a segment */
    char foreign[256]; /* the name of something that no log has; "" if there is none */
};

/* Looks at a directory that has no meta. */
int leftovers_find(int directory, struct leftovers *found);

#endif
