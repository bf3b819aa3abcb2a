/* A disk that fails at the n-th call, n = 1, 2, … until the fault is not reached any more. After each run the promise is checked:
 * what was told as stored is there whole, once; what was refused is not there; and the order of calls: nothing is told before
 * fdatasync has returned for it and the folder is synced, and a file is never touched again (but cut) once fdatasync failed. */
#include "writers.h"

#include <pthread.h>

enum call { CALL_NONE, CALL_OPEN, CALL_WRITE, CALL_SYNC, CALL_FSYNC, CALL_FLOCK, CALL_STAT, CALL_READ, CALL_CUT };

struct fault {
    const char *name;
    enum call call;
    int why;                     /* 0: a short write, no error */
    bool forever;                /* from the n-th call on */
    bool torn;                   /* write: half of it gets there before the error */
    enum call also;              /* and this call always fails */
    enum writer_verdict allowed; /* WRITER_FULL or WRITER_FAILED: what the refused are told; WRITER_STORED: either */
};

static const struct fault faults[] = {
    { "nothing", CALL_NONE, 0, false, false, CALL_NONE, WRITER_STORED },
    { "short write", CALL_WRITE, 0, false, false, CALL_NONE, WRITER_STORED },
    { "every write short", CALL_WRITE, 0, true, false, CALL_NONE, WRITER_STORED },
    { "write ENOSPC", CALL_WRITE, ENOSPC, false, false, CALL_NONE, WRITER_FULL },
    { "write ENOSPC half-way", CALL_WRITE, ENOSPC, false, true, CALL_NONE, WRITER_FULL },
    { "disk full from here on", CALL_WRITE, ENOSPC, true, true, CALL_NONE, WRITER_FULL },
    { "quota", CALL_WRITE, EDQUOT, false, true, CALL_NONE, WRITER_STORED },
    { "ENOSPC and no cutting", CALL_WRITE, ENOSPC, false, true, CALL_CUT, WRITER_FULL },
    { "write EIO", CALL_WRITE, EIO, false, false, CALL_NONE, WRITER_FAILED },
    { "write EIO half-way", CALL_WRITE, EIO, false, true, CALL_NONE, WRITER_FAILED },
    { "write EIO and no cutting", CALL_WRITE, EIO, false, true, CALL_CUT, WRITER_FAILED },
    { "interrupted write", CALL_WRITE, EINTR, false, false, CALL_NONE, WRITER_STORED },
    { "fdatasync EIO", CALL_SYNC, EIO, false, false, CALL_NONE, WRITER_FAILED },
    { "fdatasync EIO for ever", CALL_SYNC, EIO, true, false, CALL_NONE, WRITER_FAILED },
    { "fdatasync ENOSPC", CALL_SYNC, ENOSPC, false, false, CALL_NONE, WRITER_FULL },
    { "fdatasync and no cutting", CALL_SYNC, EIO, false, false, CALL_CUT, WRITER_FAILED },
    { "fsync EIO", CALL_FSYNC, EIO, false, false, CALL_NONE, WRITER_FAILED },
    { "fsync EIO for ever", CALL_FSYNC, EIO, true, false, CALL_NONE, WRITER_FAILED },
    { "no descriptor", CALL_OPEN, EMFILE, false, false, CALL_NONE, WRITER_FAILED },
    { "read-only", CALL_OPEN, EROFS, true, false, CALL_NONE, WRITER_FAILED },
    { "no file can be made", CALL_OPEN, ENOSPC, false, false, CALL_NONE, WRITER_FULL },
    { "no lock", CALL_FLOCK, ENOLCK, false, false, CALL_NONE, WRITER_FAILED },
    { "the header cannot be read", CALL_READ, EIO, false, false, CALL_NONE, WRITER_STORED },
    { "no header can be read", CALL_READ, EIO, true, false, CALL_NONE, WRITER_FAILED },
    { "no stat", CALL_STAT, EIO, true, false, CALL_NONE, WRITER_STORED },
    { "no cutting", CALL_CUT, EIO, true, false, CALL_NONE, WRITER_STORED },
};

/* The books: what was written and not synced, which files are new, which must not be touched. */
#define BOOK_MAX 4096
static struct {
    pthread_mutex_t mutex;
    const struct fault *fault;
    unsigned n;     /* the call that fails */
    unsigned calls; /* of fault->call so far */
    bool hit;
    bool tear; /* the next write fails */
    struct range {
        ino_t file;
        off_t from, until;
    } dirty[BOOK_MAX];
    unsigned ndirty;
    ino_t fresh[BOOK_MAX]; /* names that are not durable */
    unsigned nfresh;
    ino_t burnt[BOOK_MAX]; /* fdatasync failed */
    unsigned nburnt;
    const char *broken; /* a rule that was broken */
    ino_t folder;
} book = { .mutex = PTHREAD_MUTEX_INITIALIZER };

static ino_t file_of(int fd)
{
    struct stat stat;
    return fstat(fd, &stat) == 0 ? stat.st_ino : 0;
}

static bool is_in(const ino_t *files, unsigned count, ino_t file)
{
    for (unsigned i = 0; i < count; i++)
        if (files[i] == file)
            return true;
    return false;
}

/* Does this call fail? The mutex is held. */
static bool fails(enum call call)
{
    if (!book.fault || (book.fault->also == call && call != CALL_NONE && book.hit)) {
        errno = EIO;
        return book.fault != NULL;
    }
    if (book.fault->call != call)
        return false;
    book.calls++;
    bool fail = book.calls == book.n || (book.fault->forever && book.calls > book.n);
    book.hit = book.hit || fail;
    errno = book.fault->why;
    return fail;
}

static int bad_openat(int folder, const char *name, int flags, mode_t mode)
{
    pthread_mutex_lock(&book.mutex);
    bool make = flags & O_CREAT;
    int fd = make && fails(CALL_OPEN) ? -1 : openat(folder, name, flags, mode);
    if (make && fd >= 0) {
        ino_t file = file_of(fd);
        for (unsigned i = 0; i < book.nburnt; i++) /* the number of a file that was removed is used again */
            book.burnt[i] = book.burnt[i] == file ? 0 : book.burnt[i];
        assert_true(book.nfresh < BOOK_MAX);
        book.fresh[book.nfresh++] = file;
    }
    pthread_mutex_unlock(&book.mutex);
    return fd;
}

static ssize_t bad_pread(int fd, void *bytes, size_t size, off_t offset)
{
    pthread_mutex_lock(&book.mutex);
    bool fail = fails(CALL_READ);
    pthread_mutex_unlock(&book.mutex);
    return fail ? -1 : pread(fd, bytes, size, offset);
}

static ssize_t half_write(int fd, const struct iovec *parts, off_t offset)
{
    return pwrite(fd, parts[0].iov_base, (parts[0].iov_len + 1) / 2, offset);
}

static ssize_t do_pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    if (book.tear) {
        book.tear = false;
        errno = book.fault->why;
        return -1;
    }
    if (!fails(CALL_WRITE))
        return pwritev(fd, parts, count, offset);
    if (book.fault->torn || !book.fault->why) {
        book.tear = book.fault->torn;
        return half_write(fd, parts, offset);
    }
    return -1;
}

static ssize_t bad_pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    pthread_mutex_lock(&book.mutex);
    ino_t file = file_of(fd);
    if (is_in(book.burnt, book.nburnt, file))
        book.broken = "a file was written to after its fdatasync failed";
    ssize_t n = do_pwritev(fd, parts, count, offset);
    if (n > 0) {
        assert_true(book.ndirty < BOOK_MAX);
        book.dirty[book.ndirty++] = (struct range){ file, offset, offset + n };
    }
    pthread_mutex_unlock(&book.mutex);
    return n;
}

static int bad_fdatasync(int fd)
{
    pthread_mutex_lock(&book.mutex);
    ino_t file = file_of(fd);
    if (is_in(book.burnt, book.nburnt, file))
        book.broken = "a file was synced again after its fdatasync failed";
    bool fail = fails(CALL_SYNC);
    unsigned kept = 0;
    for (unsigned i = 0; i < book.ndirty; i++)
        if (fail || book.dirty[i].file != file)
            book.dirty[kept++] = book.dirty[i];
    book.ndirty = kept;
    if (fail)
        book.burnt[book.nburnt++] = file;
    pthread_mutex_unlock(&book.mutex);
    return fail ? -1 : 0; /* the books say what the disk would have */
}

static int bad_fsync(int fd)
{
    pthread_mutex_lock(&book.mutex);
    bool fail = fails(CALL_FSYNC);
    if (!fail && file_of(fd) == book.folder)
        book.nfresh = 0;
    pthread_mutex_unlock(&book.mutex);
    return fail ? -1 : 0;
}

static int bad_flock(int fd, int operation)
{
    pthread_mutex_lock(&book.mutex);
    bool fail = fails(CALL_FLOCK);
    pthread_mutex_unlock(&book.mutex);
    return fail ? -1 : disk_kernel.flock(fd, operation);
}

static int bad_fstat(int fd, struct stat *stat)
{
    pthread_mutex_lock(&book.mutex);
    bool fail = fails(CALL_STAT);
    pthread_mutex_unlock(&book.mutex);
    return fail ? -1 : fstat(fd, stat);
}

static int bad_ftruncate(int fd, off_t size)
{
    pthread_mutex_lock(&book.mutex);
    bool fail = fails(CALL_CUT);
    ino_t file = file_of(fd);
    unsigned kept = 0;
    for (unsigned i = 0; i < book.ndirty; i++)
        if (fail || book.dirty[i].file != file || book.dirty[i].from < size)
            book.dirty[kept++] = book.dirty[i];
    book.ndirty = kept;
    pthread_mutex_unlock(&book.mutex);
    return fail ? -1 : ftruncate(fd, size);
}

static void use_fault(const struct fault *fault, unsigned n, const struct box *box)
{
    static struct disk table;
    table = (struct disk){ .openat = bad_openat,
                           .pread = bad_pread,
                           .pwritev = bad_pwritev,
                           .fdatasync = bad_fdatasync,
                           .fsync = bad_fsync,
                           .ftruncate = bad_ftruncate,
                           .fstat = bad_fstat,
                           .flock = bad_flock,
                           .renameat = disk_kernel.renameat,
                           .unlinkat = disk_kernel.unlinkat,
                           .close = close };
    book.fault = fault;
    book.n = n;
    book.calls = book.ndirty = book.nfresh = book.nburnt = 0;
    book.hit = book.tear = false;
    book.broken = NULL;
    book.folder = file_of(box->folder);
    disk_replace(&table);
}

/* No message is told as stored before its bytes and its segment's name are durable. */
static void check_order(struct scene *scene, struct result *result)
{
    char name[SEGMENT_NAME_SIZE];
    struct stat stat;
    if (result->verdict != WRITER_STORED)
        return;
    segment_name(result->place.segment, name);
    assert_int_equal(fstatat(scene->box.folder, name, &stat, 0), 0);
    off_t from = (off_t)result->place.record.offset, until = (off_t)record_next_offset(&result->place.record);
    pthread_mutex_lock(&book.mutex);
    for (unsigned i = 0; i < book.ndirty; i++)
        if (book.dirty[i].file == stat.st_ino && book.dirty[i].from < until && book.dirty[i].until > from)
            book.broken = "a message was told before fdatasync returned";
    if (is_in(book.fresh, book.nfresh, stat.st_ino))
        book.broken = "a message was told before the folder was synced";
    pthread_mutex_unlock(&book.mutex);
}

/* Waves of messages, a large one among them. Then the fault goes, and another wave must be stored. */
static bool run(const struct fault *fault, unsigned n)
{
    struct scene *scene = scene_new();
    uint32_t number = 1;
    scene->on_told = check_order;
    use_fault(fault, n, &scene->box);
    for (unsigned wave = 0; wave < 3; wave++) {
        for (unsigned i = 0; i < 3; i++, number++)
            scene_submit(scene, number, 300 + number * 700);
        if (wave == 1)
            scene_submit(scene, number++, SEGMENT_LARGE_MESSAGE + 100000);
        scene_wait(scene);
    }
    unsigned before = scene->committed;
    pthread_mutex_lock(&book.mutex);
    bool hit = book.hit, cut = fault->call != CALL_CUT && fault->also != CALL_CUT && fault->call != CALL_STAT;
    static const struct fault none = { "none", CALL_NONE, 0, false, false, CALL_NONE, WRITER_STORED };
    book.fault = &none;
    book.tear = false;
    pthread_mutex_unlock(&book.mutex);
    scene_submit(scene, number++, 100); /* may still meet the segment that the fault has spoilt */
    scene_wait(scene);
    unsigned settled = scene->committed;
    scene_submit(scene, number++, 100);
    if (n % 4 == 1)
        scene_submit(scene, number++, SEGMENT_LARGE_MESSAGE + 1);
    scene_wait(scene);
    scene_end_writer(scene);
    disk_replace(NULL);
    for (unsigned i = 0; i < before; i++)
        if (scene->results[i].verdict != WRITER_STORED && fault->allowed != WRITER_STORED)
            assert_int_equal(scene->results[i].verdict, fault->allowed);
    for (unsigned i = settled; i < scene->committed; i++)
        assert_int_equal(scene->results[i].verdict, WRITER_STORED);
    if (book.broken)
        fail_msg("%s (%s, call %u)", book.broken, fault->name, n);
    scene_check(scene, cut);
    scene_free(scene);
    return hit;
}

static void test_each_fault_at_each_call(void **state)
{
    (void)state;
    unsigned tried = 0;
    alarm(240);
    for (size_t i = 0; i < COUNT(faults); i++) {
        unsigned n = 0;
        while (run(&faults[i], ++n))
            assert_true(n < 200);
        tried += n - 1;
    }
    print_message("%u faults tried, 0 lost, 0 altered\n", tried);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_each_fault_at_each_call) };
    return cmocka_run_group_tests_name("spool/faults", tests, NULL, NULL);
}
