/* SPDX-License-Identifier: MIT
 * See earlier.h. A record there, little-endian:
 *
 *    0-3: length of the payload   4: type, 1 JSON (an object), 2 text   5-8: CRC-32   9-: payload
 */
#include "store/earlier.h"

#include "sys/file.h"

#include <fcntl.h>
#include <stdint.h>
#include <string.h>

enum { HEADER_BYTES = 9, JSON = 1, TEXT = 2 };

static bool is_record(const uint8_t *bytes, ssize_t got, uint64_t file_bytes)
{
    uint32_t length;
    if (got < HEADER_BYTES)
        return false;
    memcpy(&length, bytes, sizeof length);
    if (length > file_bytes - HEADER_BYTES)
        return false;
    return bytes[4] == TEXT || (bytes[4] == JSON && got > HEADER_BYTES && bytes[9] == '{');
}

enum earlier earlier_recognize(const char *path)
{
    uint8_t bytes[HEADER_BYTES + 1];
    struct stat status;
    enum earlier result = EARLIER_NO;
    int fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    if (fd < 0)
        return EARLIER_NO;
    if (sys_fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
        ssize_t got = sys_pread_full(fd, bytes, sizeof bytes, 0);
        if (got == 0)
            result = EARLIER_EMPTY;
        else if (is_record(bytes, got, (uint64_t)status.st_size))
            result = EARLIER_LOG;
    }
    sys_close(fd);
    return result;
}
