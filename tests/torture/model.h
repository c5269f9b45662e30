/* SPDX-License-Identifier: MIT
 *
 * What a file system may have kept of a directory of segments when the power fails: a model.
 *
 * Linked with -Wl,--wrap for the calls of sys/file.h, it notes when each begins and ends. At a time
 * t a call's effect is there for certain if it had ended, and then
 *
 *   - bytes of a file: it was a durable write, or a sync of the file began after it and ended
 *     before t;
 *   - a name: a sync of the directory began after it and ended before t.
 *
 * Every other call that had begun may have had its effect, in single sectors, or not; names change
 * in order, or any of them. A file's size is kept with its bytes.
 *
 * Knows src/sys/file.h. Changes when the store makes other calls. */
#ifndef TORTURE_MODEL_H
#define TORTURE_MODEL_H

#include <stdbool.h>
#include <stdint.h>

/* Notes what is done in this directory, and from what it begins with. */
void model_begin(int directory);
void model_end(void);
void model_forget(void);

/* All before this LSN has now been acknowledged. */
void model_acknowledge(uint64_t lsn);

/* Makes the directory hold what may have been kept at some time. Returns what was acknowledged. */
uint64_t model_lay_out(uint64_t *seed);

/* As if syncs of "data" or of the "directory" had no effect. False: no such thing. */
bool model_without(const char *what);

#endif
