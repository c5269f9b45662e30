/* SPDX-License-Identifier: MIT
 *
 * Where a log is torn or damaged, as a sentence. See damage.h.
 *
 * Knows message, include/shmwal.h. */
#include "damage.h"

#include "message.h"

#include <inttypes.h>

int damage_report(const char *path, shmwal_reader *reader)
{
    shmwal_damage damage;
    if (shmwal_reader_damage(reader, &damage) != 1)
        return report("%s", shmwal_error());
    return report("%s is damaged in segment %s at byte %" PRIu64 ", LSN %" PRIu64
                  " (%s); all before it was printed",
                  path, damage.segment, damage.offset, damage.lsn, damage.reason);
}

void hole_report(const char *path, const shmwal_hole *hole)
{
    const shmwal_damage *begin = &hole->begin;
    if (hole->end_lsn == UINT64_MAX)
        report("%s has a hole from LSN %" PRIu64 " on: segment %s, byte %" PRIu64
               " (%s); nothing behind it is whole",
               path, begin->lsn, begin->segment, begin->offset, begin->reason);
    else
        report("%s has a hole from LSN %" PRIu64 " to %" PRIu64 ": segment %s, byte %" PRIu64
               " (%s); what follows goes on in segment %s at byte %" PRIu64,
               path, begin->lsn, hole->end_lsn, begin->segment, begin->offset, begin->reason,
               hole->end_segment, hole->end_offset);
}

void damage_notice_torn(const char *path, shmwal_reader *reader)
{
    shmwal_damage damage;
    if (shmwal_reader_damage(reader, &damage) == 1)
        report("notice: %s has a torn tail in segment %s at byte %" PRIu64 ", LSN %" PRIu64
               " (%s); a crash left it unfinished, and nothing that was acknowledged is missing",
               path, damage.segment, damage.offset, damage.lsn, damage.reason);
}
