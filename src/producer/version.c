/* SPDX-License-Identifier: MIT
 *
 * The small public functions that need no log. Knows base. */
#include "base/error.h"
#include "shmwal.h"

SHMWAL_API const char *shmwal_error(void)
{
    return fail_sentence();
}

SHMWAL_API shmwal_subject shmwal_error_subject(void)
{
    return (shmwal_subject)fail_subject();
}

SHMWAL_API const char *shmwal_version(void)
{
    return SHMWAL_VERSION;
}
