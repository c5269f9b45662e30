/* SPDX-License-Identifier: MIT
 *
 * What does a flusher cost that has nothing to do? A process has the log open, some records have
 * become durable, the seal is written; then nobody appends for a while.
 *
 * usage: idle LOG SECONDS. Prints the flusher's processor time as percent of a core. Knows the
 * public header. */
#include "log.h"

enum { SEAL_S = 7 }; /* the seal is written some seconds after the last record */

int main(int count, char **words)
{
    const char *usage = "LOG SECONDS";
    const char *path = text_argument(count, words, 1, usage);
    int64_t length_ns = (int64_t)number_argument(count, words, 2, usage) * NS_PER_S;
    shmwal *log = log_open(path, 0);
    log_append(log, "a record", 8);
    log_sync(log);
    sleep_until_ns(now_ns() + SEAL_S * NS_PER_S);

    int64_t start = now_ns(), cpu_start = log_flusher_cpu_ns(path);
    sleep_until_ns(start + length_ns);
    double spent = (double)(log_flusher_cpu_ns(path) - cpu_start);
    report("percent", 100 * spent / (double)(now_ns() - start));
    shmwal_close(log);
    return 0;
}
