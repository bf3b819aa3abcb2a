#include "wire.h"

#include <stdlib.h>

static int gather(BIO *bio, const char *bytes, size_t size, size_t *ret_n)
{
    if (!buffer_add(BIO_get_data(bio), span_make(bytes, size)))
        return 0;
    *ret_n = size;
    return 1;
}

/* Of all that may be asked of a BIO, a flush is what TLS insists on: it is done when asked, since the owner sends. */
static long answer(BIO *bio, int what, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return what == BIO_CTRL_FLUSH;
}

/* One method for all, made at the first use; processes here have one thread that does this. */
static const BIO_METHOD *method(void)
{
    static BIO_METHOD *made;
    if (!made) {
        made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "wire");
        if (!made || !BIO_meth_set_write_ex(made, gather) || !BIO_meth_set_ctrl(made, answer))
            abort();
    }
    return made;
}

BIO *wire_new(struct buffer *buffer)
{
    BIO *bio = BIO_new(method());
    if (!bio)
        abort();
    BIO_set_data(bio, buffer);
    BIO_set_init(bio, 1);
    return bio;
}
