/* SPDX-License-Identifier: MIT
 * See histogram.h. Row 0 holds 0 to 127, one value a part; row r > 0 holds the values whose top
 * bit is number r + 6, in parts of 2^(r - 1). */
#include "histogram.h"

#include "support.h"

#include <math.h>
#include <stdio.h>

static unsigned part_of(uint64_t value)
{
    if (value < HISTOGRAM_PARTS)
        return (unsigned)value;
    unsigned shift = 63 - (unsigned)__builtin_clzll(value) - HISTOGRAM_PART_BITS;
    unsigned part = (unsigned)(value >> shift) & (HISTOGRAM_PARTS - 1);
    return (shift + 1) * HISTOGRAM_PARTS + part;
}

static uint64_t last_of(unsigned index)
{
    unsigned row = index / HISTOGRAM_PARTS, part = index % HISTOGRAM_PARTS;
    if (row == 0)
        return part;
    uint64_t next = (uint64_t)(HISTOGRAM_PARTS + part + 1) << (row - 1);
    return next - 1;
}

void histogram_add(struct histogram *histogram, int64_t value)
{
    histogram->total++;
    histogram->counts[part_of(value > 0 ? (uint64_t)value : 0)]++;
}

void histogram_add_corrected(struct histogram *histogram, int64_t value, int64_t interval)
{
    histogram_add(histogram, value);
    for (int64_t missed = value - interval; interval > 0 && missed >= interval; missed -= interval)
        histogram_add(histogram, missed);
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    into->total += from->total;
    for (unsigned i = 0; i < HISTOGRAM_ROWS * HISTOGRAM_PARTS; i++)
        into->counts[i] += from->counts[i];
}

uint64_t histogram_percentile(const struct histogram *histogram, double percent)
{
    uint64_t needed = (uint64_t)ceil((double)histogram->total * percent / 100), seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_ROWS * HISTOGRAM_PARTS; i++) {
        seen += histogram->counts[i];
        if (seen >= needed && seen > 0)
            return last_of(i);
    }
    return 0;
}

void histogram_report(const struct histogram *histogram, const char *name)
{
    static const double percents[] = {50, 75, 90, 95, 99, 99.5, 99.9, 99.99, 100};
    for (unsigned i = 0; i < sizeof percents / sizeof percents[0]; i++) {
        char full[64];
        snprintf(full, sizeof full, "%s.p%g", name, percents[i]);
        report(full, (double)histogram_percentile(histogram, percents[i]) / 1e3);
    }
}
