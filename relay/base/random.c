/* getrandom() and nothing in between: no state that a fork would copy, no file that a sandbox would have to leave open, no seed.
 * It blocks only before the kernel's pool is ready, early at boot, where keys must not be made yet. A call costs some hundred
 * nanoseconds; nothing here is called more than a few times a message.
 *
 * random_below throws away what lies above the last multiple of BOUND, so that no number comes up more often than another: at
 * worst every second draw. */
#include "random.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

void random_bytes(void *bytes, size_t size)
{
    unsigned char *at = bytes;
    while (size) {
        ssize_t n = getrandom(at, size, 0);
        if (n < 0 && errno != EINTR)
            abort();
        if (n > 0) {
            at += n;
            size -= (size_t)n;
        }
    }
}

uint32_t random_below(uint32_t bound)
{
    uint32_t limit = UINT32_MAX - UINT32_MAX % bound;
    uint32_t value;
    do
        random_bytes(&value, sizeof value);
    while (value >= limit);
    return value % bound;
}
