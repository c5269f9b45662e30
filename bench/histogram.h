/* SPDX-License-Identifier: MIT
 *
 * A histogram of durations in the manner of HdrHistogram: each power of two is cut into 128 equal
 * parts, so that any value is kept to within 0.8 %, from 1 ns to centuries, in a fixed 58 KiB.
 *
 * Debian has no package of the C library. Pure; knows nobody. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

enum {
    HISTOGRAM_PART_BITS = 7,
    HISTOGRAM_PARTS = 1 << HISTOGRAM_PART_BITS,
    HISTOGRAM_ROWS = 64 - HISTOGRAM_PART_BITS + 1,
};

/* All zeros is an empty one. */
struct histogram {
    uint64_t total;
    uint64_t counts[HISTOGRAM_ROWS * HISTOGRAM_PARTS];
};

void histogram_add(struct histogram *histogram, int64_t value);

/* The same for one of a series of operations that was to begin every `interval`: one that takes
 * longer has held up those due meanwhile, and they count with what they would have waited. */
void histogram_add_corrected(struct histogram *histogram, int64_t value, int64_t interval);

void histogram_merge(struct histogram *into, const struct histogram *from);

/* The smallest value that `percent` of all do not exceed, rounded up to the end of its part: a
 * percentile is never told better than it was. 0 if empty. */
uint64_t histogram_percentile(const struct histogram *histogram, double percent);

/* Reports p50 to p99.99, and the maximum as p100, in microseconds, as NAME.p50 and so on. */
void histogram_report(const struct histogram *histogram, const char *name);

#endif
