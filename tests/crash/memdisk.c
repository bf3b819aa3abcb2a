#include "memdisk.h"

#include "../../relay/base/text.h"
#include "../../relay/spool/disk.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILES_MAX 128
#define NAMES_MAX 96
#define OPEN_MAX  64
#define NAME_SIZE 32
#define FIRST_FD  1000

struct content {
    unsigned char *bytes;
    size_t size, capacity;
};

enum change_kind { CHANGE_WRITE, CHANGE_LENGTH, CHANGE_LINK, CHANGE_UNLINK, CHANGE_RENAME, CHANGE_SYNC, CHANGE_SYNC_FOLDER };

struct change {
    enum change_kind kind;
    size_t file;
    uint64_t offset; /* of a write; the length */
    size_t size;
    size_t durable; /* the index of the sync that made it durable; SIZE_MAX: none yet */
    unsigned char *bytes;
    char name[NAME_SIZE], new_name[NAME_SIZE];
};

struct name {
    char text[NAME_SIZE];
    size_t file;
    bool there;
};

struct memdisk {
    struct content files[FILES_MAX];  /* as a running program sees them */
    struct content before[FILES_MAX]; /* as they were when recording began */
    size_t nfiles, nbefore;
    struct name names[NAMES_MAX], names_before[NAMES_MAX];
    size_t nnames, nnames_before;
    struct change *changes;
    size_t nchanges, room;
    struct {
        size_t file;
        bool folder, open;
    } fds[OPEN_MAX];
};

static struct memdisk *used;
static bool forgotten[MEMDISK_CALLS];

/* --- files --- */

static void set_length(struct content *content, size_t size)
{
    if (size > content->capacity) {
        size_t capacity = content->capacity ? content->capacity : 1024;
        while (capacity < size)
            capacity *= 2;
        content->bytes = text_realloc(content->bytes, capacity);
        content->capacity = capacity;
    }
    if (size > content->size)
        memset(content->bytes + content->size, 0, size - content->size);
    content->size = size;
}

static void put(struct content *content, uint64_t offset, const unsigned char *bytes, size_t size)
{
    if (offset + size > content->size)
        set_length(content, (size_t)offset + size);
    if (size)
        memcpy(content->bytes + offset, bytes, size);
}

static void copy_content(struct content *to, const struct content *from)
{
    *to = (struct content){ 0 };
    put(to, 0, from->bytes, from->size);
}

static struct name *find(struct memdisk *disk, const char *text)
{
    for (size_t i = 0; i < disk->nnames; i++)
        if (disk->names[i].there && strcmp(disk->names[i].text, text) == 0)
            return &disk->names[i];
    return NULL;
}

static void link_name(struct memdisk *disk, const char *text, size_t file)
{
    struct name *name = find(disk, text);
    if (!name) {
        assert(disk->nnames < NAMES_MAX);
        name = &disk->names[disk->nnames++];
        text_format(name->text, sizeof name->text, "%s", text);
    }
    name->file = file;
    name->there = true;
}

/* --- recording --- */

static struct change *record(enum change_kind kind, size_t file)
{
    if (used->nchanges == used->room) {
        used->room = used->room ? 2 * used->room : 64;
        used->changes = text_realloc(used->changes, used->room * sizeof *used->changes);
    }
    struct change *change = &used->changes[used->nchanges++];
    *change = (struct change){ .kind = kind, .file = file, .durable = SIZE_MAX };
    return change;
}

/* The sync that was just recorded makes what came before durable: of a file its bytes, of the folder its names. */
static void settle(bool names, size_t file)
{
    size_t sync = used->nchanges - 1;
    for (size_t i = 0; i < sync; i++) {
        struct change *change = &used->changes[i];
        bool is_name = change->kind == CHANGE_LINK || change->kind == CHANGE_UNLINK || change->kind == CHANGE_RENAME;
        bool is_data = change->kind == CHANGE_WRITE || change->kind == CHANGE_LENGTH;
        if (change->durable == SIZE_MAX && (names ? is_name : is_data && change->file == file))
            change->durable = sync;
    }
    used->changes[sync].durable = sync;
}

/* --- the calls --- */

static size_t file_of(int fd)
{
    assert(fd >= FIRST_FD && fd < FIRST_FD + OPEN_MAX && used->fds[fd - FIRST_FD].open);
    return used->fds[fd - FIRST_FD].file;
}

static int cut_length(size_t file, off_t size)
{
    record(CHANGE_LENGTH, file)->offset = (uint64_t)size;
    set_length(&used->files[file], (size_t)size);
    return 0;
}

static int mem_openat(int folder, const char *text, int flags, mode_t mode)
{
    (void)mode;
    assert(folder == MEMDISK_FOLDER);
    const struct name *name = find(used, text);
    if (name && flags & O_EXCL) {
        errno = EEXIST;
        return -1;
    }
    if (!name && !(flags & O_CREAT)) {
        errno = ENOENT;
        return -1;
    }
    size_t file = name ? name->file : used->nfiles++;
    assert(used->nfiles <= FILES_MAX);
    if (!name) {
        link_name(used, text, file);
        text_format(record(CHANGE_LINK, file)->name, NAME_SIZE, "%s", text);
    } else if (flags & O_TRUNC && used->files[file].size) {
        cut_length(file, 0);
    }
    for (int i = 0; i < OPEN_MAX; i++)
        if (!used->fds[i].open) {
            used->fds[i].open = true;
            used->fds[i].file = file;
            return FIRST_FD + i;
        }
    errno = EMFILE;
    return -1;
}

static ssize_t mem_pread(int fd, void *bytes, size_t size, off_t offset)
{
    const struct content *content = &used->files[file_of(fd)];
    if ((size_t)offset >= content->size)
        return 0;
    size_t n = content->size - (size_t)offset < size ? content->size - (size_t)offset : size;
    memcpy(bytes, content->bytes + offset, n);
    return (ssize_t)n;
}

static ssize_t mem_pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    size_t file = file_of(fd), size = 0;
    for (int i = 0; i < count; i++)
        size += parts[i].iov_len;
    struct change *change = record(CHANGE_WRITE, file);
    change->offset = (uint64_t)offset;
    change->size = size;
    change->bytes = text_zalloc(size);
    size = 0;
    for (int i = 0; i < count; i++) {
        if (parts[i].iov_len)
            memcpy(change->bytes + size, parts[i].iov_base, parts[i].iov_len);
        size += parts[i].iov_len;
    }
    put(&used->files[file], change->offset, change->bytes, size);
    return (ssize_t)size;
}

static int sync_file(int fd, enum memdisk_call call)
{
    size_t file = file_of(fd);
    if (forgotten[call])
        return 0;
    record(CHANGE_SYNC, file);
    settle(false, file);
    return 0;
}

static int mem_fdatasync(int fd)
{
    return sync_file(fd, MEMDISK_FDATASYNC);
}

static int mem_fsync(int fd)
{
    if (fd != MEMDISK_FOLDER)
        return sync_file(fd, MEMDISK_FSYNC);
    if (forgotten[MEMDISK_FSYNC_FOLDER])
        return 0;
    record(CHANGE_SYNC_FOLDER, 0);
    settle(true, 0);
    return 0;
}

static int mem_ftruncate(int fd, off_t size)
{
    size_t file = file_of(fd);
    if (forgotten[MEMDISK_FTRUNCATE])
        return 0;
    record(CHANGE_LENGTH, file)->offset = (uint64_t)size;
    set_length(&used->files[file], (size_t)size);
    return 0;
}

static int mem_fstat(int fd, struct stat *ret_stat)
{
    size_t file = file_of(fd);
    *ret_stat = (struct stat){ .st_size = (off_t)used->files[file].size, .st_ino = file + 1, .st_mode = S_IFREG | 0600 };
    return 0;
}

/* Nobody else lives on this disk. */
static int mem_flock(int fd, int operation)
{
    (void)fd;
    (void)operation;
    return 0;
}

static void rename_name(struct memdisk *disk, const char *text, const char *new_text, size_t file)
{
    struct name *name = find(disk, text);
    if (name)
        name->there = false;
    link_name(disk, new_text, file);
}

static int mem_renameat(int folder, const char *text, int new_folder, const char *new_text)
{
    const struct name *name = find(used, text);
    assert(folder == MEMDISK_FOLDER && new_folder == MEMDISK_FOLDER && name);
    size_t file = name->file;
    struct change *change = record(CHANGE_RENAME, file);
    text_format(change->name, NAME_SIZE, "%s", text);
    text_format(change->new_name, NAME_SIZE, "%s", new_text);
    rename_name(used, text, new_text, file);
    return 0;
}

static int mem_unlinkat(int folder, const char *text)
{
    struct name *name = find(used, text);
    (void)folder;
    if (!name) {
        errno = ENOENT;
        return -1;
    }
    name->there = false;
    text_format(record(CHANGE_UNLINK, name->file)->name, NAME_SIZE, "%s", text);
    return 0;
}

static int mem_close(int fd)
{
    (void)file_of(fd);
    used->fds[fd - FIRST_FD].open = false;
    return 0;
}

static const struct disk calls = {
    mem_openat, mem_pread, mem_pwritev,  mem_fdatasync, mem_fsync, mem_ftruncate,
    mem_fstat,  mem_flock, mem_renameat, mem_unlinkat,  mem_close,
};

/* --- making, cutting --- */

struct memdisk *memdisk_new(void)
{
    return text_zalloc(sizeof(struct memdisk));
}

void memdisk_free(struct memdisk **disk)
{
    if (!*disk)
        return;
    for (size_t i = 0; i < (*disk)->nfiles; i++)
        free((*disk)->files[i].bytes);
    for (size_t i = 0; i < (*disk)->nbefore; i++)
        free((*disk)->before[i].bytes);
    for (size_t i = 0; i < (*disk)->nchanges; i++)
        free((*disk)->changes[i].bytes);
    free((*disk)->changes);
    free(*disk);
    *disk = NULL;
}

void memdisk_use(struct memdisk *disk)
{
    used = disk;
    disk_replace(&calls);
}

void memdisk_forget(enum memdisk_call call)
{
    forgotten[call] = true;
}

struct memdisk *memdisk_used(void)
{
    return used;
}

size_t memdisk_changes(const struct memdisk *disk)
{
    return disk->nchanges;
}

const char *memdisk_next(const struct memdisk *disk, size_t *cursor)
{
    while (*cursor < disk->nnames) {
        const struct name *name = &disk->names[(*cursor)++];
        if (name->there)
            return name->text;
    }
    return NULL;
}

static bool is_pending(const struct memdisk *disk, size_t i, size_t after)
{
    return disk->changes[i].durable >= after;
}

size_t memdisk_pending(const struct memdisk *disk, size_t after)
{
    size_t count = 0;
    for (size_t i = 0; i < after; i++)
        count += is_pending(disk, i, after);
    return count;
}

static size_t sectors_of(const struct change *change)
{
    if (change->kind != CHANGE_WRITE || !change->size)
        return 1;
    return (size_t)((change->offset + change->size - 1) / MEMDISK_SECTOR - change->offset / MEMDISK_SECTOR) + 1;
}

size_t memdisk_sectors(const struct memdisk *disk, size_t after, size_t one)
{
    for (size_t i = 0; i < after; i++)
        if (is_pending(disk, i, after) && one-- == 0)
            return sectors_of(&disk->changes[i]);
    return 0;
}

static uint64_t shuffle(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static bool sector_stays(enum fate fate, size_t sector, size_t where, uint64_t *state)
{
    switch (fate) {
    case FATE_KEPT:
        return true;
    case FATE_HEAD:
        return sector < where;
    case FATE_TAIL:
        return sector >= where;
    case FATE_RANDOM:
        return shuffle(state) & 1;
    default:
        return false;
    }
}

static void replay_write(struct content *content, const struct change *change, enum fate fate, size_t where, uint64_t *state)
{
    size_t done = 0;
    if (fate == FATE_ZEROS || (fate == FATE_RANDOM && shuffle(state) & 1)) {
        if (content->size < change->offset + change->size)
            set_length(content, (size_t)change->offset + change->size);
    }
    for (size_t sector = 0; done < change->size; sector++) {
        size_t at = (size_t)change->offset + done, n = MEMDISK_SECTOR - at % MEMDISK_SECTOR;
        if (n > change->size - done)
            n = change->size - done;
        if (sector_stays(fate, sector, where, state))
            put(content, at, change->bytes + done, n);
        done += n;
    }
}

static void replay(struct memdisk *disk, const struct change *change, enum fate fate, size_t where, uint64_t *state)
{
    bool stays = fate != FATE_DROPPED && fate != FATE_ZEROS && (fate != FATE_RANDOM || shuffle(state) & 1);
    struct name *name;
    switch (change->kind) {
    case CHANGE_WRITE:
        replay_write(&disk->files[change->file], change, fate, where, state);
        break;
    case CHANGE_LENGTH:
        if (stays)
            set_length(&disk->files[change->file], (size_t)change->offset);
        break;
    case CHANGE_LINK:
        if (stays)
            link_name(disk, change->name, change->file);
        break;
    case CHANGE_UNLINK:
        if (stays && (name = find(disk, change->name)))
            name->there = false;
        break;
    case CHANGE_RENAME:
        if (stays)
            rename_name(disk, change->name, change->new_name, change->file);
        break;
    default:
        break;
    }
}

void memdisk_remember(struct memdisk *disk)
{
    disk->nbefore = disk->nfiles;
    for (size_t i = 0; i < disk->nfiles; i++)
        copy_content(&disk->before[i], &disk->files[i]);
    memcpy(disk->names_before, disk->names, sizeof disk->names);
    disk->nnames_before = disk->nnames;
}

struct memdisk *memdisk_after(const struct memdisk *disk, const struct cut *cut)
{
    struct memdisk *after = memdisk_new();
    uint64_t state = cut->seed * 0x9e3779b97f4a7c15u + 0x2545f4914f6cdd1du;
    size_t pending = 0;
    after->nfiles = disk->nfiles;
    for (size_t i = 0; i < disk->nbefore; i++)
        copy_content(&after->files[i], &disk->before[i]);
    memcpy(after->names, disk->names_before, sizeof after->names);
    after->nnames = disk->nnames_before;
    for (size_t i = 0; i < cut->after; i++) {
        enum fate fate = FATE_KEPT;
        if (is_pending(disk, i, cut->after))
            fate = pending++ == cut->one ? cut->fate : cut->rest;
        replay(after, &disk->changes[i], fate, cut->where, &state);
    }
    return after;
}
