/* SPDX-License-Identifier: MIT
 *
 * Which way of syncing is the faster one here: measured, since either can be twice the other.
 *
 * Knows segment, format, sys, base. Changes when there is a third way. */
#ifndef STORE_PROBE_H
#define STORE_PROBE_H

#include "segment/segment.h"

/* Times a handful of synced writes of one block, each way in turn, in a scratch file of the
 * directory. Takes some tens of milliseconds at most, or two writes each way where the device is
 * slower. A way that is refused loses; if the scratch file cannot even be made, the way that works
 * everywhere wins. */
enum segment_sync probe_sync(int segments_fd);

/* For people: "O_DIRECT + RWF_DSYNC" or "write + fdatasync". */
const char *probe_sync_name(enum segment_sync sync);

#endif
