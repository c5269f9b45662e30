/* SPDX-License-Identifier: MIT
 *
 * In place of src/region/layout.h, for the checker: the same memory, but whoever looks at all
 * entries of the table of attachments, or at all shards, stops early. LSNs here are so low that
 * nobody has another shard.
 *
 * Knows src/region/layout.h. Changes with the names there. */
#ifndef WEAK_REGION_LAYOUT_H
#define WEAK_REGION_LAYOUT_H

#define ATTACHMENTS_MAX ATTACHMENTS_MAX_IN_MEMORY
#define WAIT_SHARDS     WAIT_SHARDS_IN_MEMORY
#include "../../../../src/region/layout.h"
#undef ATTACHMENTS_MAX
#undef WAIT_SHARDS
#define ATTACHMENTS_MAX 2
#define WAIT_SHARDS     4

#endif
