#include "wire.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static int gather(BIO *bio, const char *bytes, size_t size, size_t *ret_n)
{
    struct wire *wire = BIO_get_data(bio);
    if (!buffer_add(&wire->output, span_make(bytes, size)))
        return 0;
    *ret_n = size;
    return 1;
}

/* Returns what read(2) returns. */
static int take(BIO *bio, char *bytes, int size)
{
    struct wire *wire = BIO_get_data(bio);
    ssize_t n = -1;
    BIO_clear_retry_flags(bio);
    errno = EAGAIN;
    if (wire->reads)
        n = read(wire->fd, bytes, (size_t)size);
    wire->reads = false;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        BIO_set_retry_read(bio);
    wire->ended = n == 0;
    return (int)n;
}

/* Of all that may be asked of a BIO, a flush is what TLS insists on: it is done when asked, since the owner sends. Whether the socket has
 * ended is asked to tell that from a failure. */
static long answer(BIO *bio, int what, long number, void *pointer)
{
    const struct wire *wire = BIO_get_data(bio);
    (void)number;
    (void)pointer;
    return what == BIO_CTRL_EOF ? wire->ended : what == BIO_CTRL_FLUSH;
}

/* One method for all, made at the first use; processes here have one thread that does this. */
static const BIO_METHOD *method(void)
{
    static BIO_METHOD *made;
    if (!made) {
        made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "wire");
        if (!made || !BIO_meth_set_write_ex(made, gather) || !BIO_meth_set_read(made, take) || !BIO_meth_set_ctrl(made, answer))
            abort();
    }
    return made;
}

BIO *wire_new(struct wire *wire)
{
    BIO *bio = BIO_new(method());
    if (!bio)
        abort();
    BIO_set_data(bio, wire);
    BIO_set_init(bio, 1);
    return bio;
}
