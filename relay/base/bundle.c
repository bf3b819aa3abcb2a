/* The saved form is a run of {u32 name size, u32 bytes size, name, bytes}. */
#include "bundle.h"

#include "buffer.h"
#include "list.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUNDLE_FILE_MAX (1024 * 1024)

struct item {
    struct list node;
    char name[BUNDLE_NAME_MAX];
    size_t size;
    char *bytes; /* with a NUL behind them */
};

struct bundle {
    struct list items;
    size_t size;
};

struct item_header {
    uint32_t name_size;
    uint32_t size;
};

struct bundle *bundle_new(void)
{
    struct bundle *bundle = text_zalloc(sizeof *bundle);
    list_init(&bundle->items);
    return bundle;
}

static void free_item(struct bundle *bundle, struct item *item)
{
    bundle->size -= item->size + sizeof *item;
    list_remove(&item->node);
    OPENSSL_cleanse(item->bytes, item->size);
    free(item->bytes);
    free(item);
}

void bundle_free(struct bundle **bundle)
{
    if (!*bundle)
        return;
    LIST_EACH(node, &(*bundle)->items)
        free_item(*bundle, LIST_ENTRY(node, struct item, node));
    free(*bundle);
    *bundle = NULL;
}

static struct item *find(const struct bundle *bundle, const char *name)
{
    LIST_EACH(node, &bundle->items) {
        struct item *item = LIST_ENTRY(node, struct item, node);
        if (strcmp(item->name, name) == 0)
            return item;
    }
    return NULL;
}

bool bundle_add(struct bundle *bundle, const char *name, struct span bytes)
{
    struct item *item = find(bundle, name);
    if (item)
        free_item(bundle, item);
    if (bytes.n > BUNDLE_SIZE_MAX || bundle->size + bytes.n + sizeof *item > BUNDLE_SIZE_MAX)
        return false;
    item = text_zalloc(sizeof *item);
    if (!text_copy(item->name, sizeof item->name, span_of(name))) {
        free(item);
        return false;
    }
    item->size = bytes.n;
    item->bytes = text_dup(bytes);
    bundle->size += item->size + sizeof *item;
    list_append(&bundle->items, &item->node);
    return true;
}

/* Reads FD to its end into BUFFER; false with errno. */
static bool read_all(int fd, struct buffer *buffer)
{
    for (;;) {
        char *to = buffer_reserve(buffer, 65536);
        if (!to) {
            errno = EFBIG;
            return false;
        }
        ssize_t n = read(fd, to, 65536);
        if (n == 0)
            return true;
        if (n < 0 && errno != EINTR)
            return false;
        buffer_commit(buffer, n > 0 ? (size_t)n : 0);
    }
}

bool bundle_add_file(struct bundle *bundle, const char *name, const char *path)
{
    struct buffer bytes;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    buffer_init(&bytes, BUNDLE_FILE_MAX + 65536);
    bool done = read_all(fd, &bytes);
    int problem = errno;
    close(fd);
    if (done && !bundle_add(bundle, name, buffer_span(&bytes))) {
        problem = EFBIG;
        done = false;
    }
    buffer_wipe(&bytes);
    errno = problem;
    return done;
}

struct span bundle_get(const struct bundle *bundle, const char *name)
{
    const struct item *item = bundle ? find(bundle, name) : NULL;
    return item ? span_make(item->bytes, item->size) : span_make(NULL, 0);
}

struct span bundle_line(const struct bundle *bundle, const char *name)
{
    struct span bytes = bundle_get(bundle, name);
    if (!bytes.p)
        return bytes;
    struct span line = span_cut(&bytes, '\n');
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    return line;
}

int bundle_save(const struct bundle *bundle)
{
    struct buffer out;
    buffer_init(&out, 2 * (size_t)BUNDLE_SIZE_MAX);
    LIST_EACH(node, &bundle->items) {
        const struct item *item = LIST_ENTRY(node, struct item, node);
        struct item_header header = { (uint32_t)strlen(item->name), (uint32_t)item->size };
        buffer_add(&out, span_make((const char *)&header, sizeof header));
        buffer_add_text(&out, item->name);
        buffer_add(&out, span_make(item->bytes, item->size));
    }
    int fd = memfd_create("postern-secrets", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct span left = buffer_span(&out);
    while (fd >= 0 && left.n) {
        ssize_t n = write(fd, left.p, left.n);
        if (n < 0 && errno != EINTR) {
            close(fd);
            fd = -1;
        }
        left = span_skip(left, n > 0 ? (size_t)n : 0);
    }
    if (fd >= 0)
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
    buffer_wipe(&out);
    return fd;
}

/* Adds the items in BYTES to BUNDLE; false where they make no sense. */
static bool parse(struct bundle *bundle, struct span bytes)
{
    while (bytes.n) {
        struct item_header header;
        char name[BUNDLE_NAME_MAX];
        if (bytes.n < sizeof header)
            return false;
        memcpy(&header, bytes.p, sizeof header);
        bytes = span_skip(bytes, sizeof header);
        if (header.name_size > bytes.n || header.size > bytes.n - header.name_size ||
            !text_copy(name, sizeof name, span_head(bytes, header.name_size)))
            return false;
        bytes = span_skip(bytes, header.name_size);
        if (!bundle_add(bundle, name, span_head(bytes, header.size)))
            return false;
        bytes = span_skip(bytes, header.size);
    }
    return true;
}

struct bundle *bundle_load(int fd)
{
    struct stat status;
    if (fstat(fd, &status) != 0 || status.st_size < 0 || status.st_size > 2 * (off_t)BUNDLE_SIZE_MAX)
        return NULL;
    size_t size = (size_t)status.st_size;
    struct bundle *bundle = bundle_new();
    if (size == 0)
        return bundle;
    void *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED || !parse(bundle, span_make(bytes, size)))
        bundle_free(&bundle);
    if (bytes != MAP_FAILED)
        munmap(bytes, size);
    return bundle;
}
