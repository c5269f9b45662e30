/* SPDX-License-Identifier: MIT
 *
 * Numbers the way people read them. See human.h.
 *
 * Knows nobody. */
#include "human.h"

#include <inttypes.h>
#include <stdio.h>

const char *human_bytes(uint64_t bytes, char text[HUMAN_BYTES])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    size_t unit = 0;
    double value = (double)bytes;
    for (; value >= 1024; value /= 1024)
        unit++;
    int decimals = value < 10 && value != (double)(uint64_t)value;
    snprintf(text, HUMAN_BYTES, "%.*f %s", decimals, value, units[unit]);
    return text;
}

const char *human_age(uint64_t milliseconds, char text[HUMAN_BYTES])
{
    if (milliseconds < 1000)
        snprintf(text, HUMAN_BYTES, "%" PRIu64 " ms", milliseconds);
    else if (milliseconds < 300 * 1000)
        snprintf(text, HUMAN_BYTES, "%.1f s", (double)milliseconds / 1000);
    else
        snprintf(text, HUMAN_BYTES, "%" PRIu64 " min", milliseconds / (60 * 1000));
    return text;
}
