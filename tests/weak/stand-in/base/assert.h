/* SPDX-License-Identifier: MIT
 *
 * In place of src/base/assert.h, for the checker, which knows no stderr: a broken invariant is an
 * assertion like the others. Knows nobody. */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

#include <assert.h>

#define INVARIANT(condition) assert(condition)

#endif
