/* Memory that runs out once: preloaded (LD_PRELOAD), it lets the n-th allocation of one process fail. The file named by POSTERN_TEST_MEMORY says
 * which: the process and the countdown, which stands at 0 when it has failed (8 bytes each, little-endian). The file is mapped before the
 * sandbox closes. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);

static struct {
    _Atomic int64_t process, countdown;
} * order;
static int64_t self;

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("POSTERN_TEST_MEMORY");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *mapped = fd >= 0 ? mmap(NULL, sizeof *order, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (fd >= 0)
        close(fd);
    self = getpid();
    if (mapped != MAP_FAILED)
        order = mapped;
}

static int fails(void)
{
    if (!order || order->process != self || order->countdown <= 0 || atomic_fetch_sub(&order->countdown, 1) != 1)
        return 0;
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return fails() ? NULL : __libc_realloc(old, size);
}
