/* A disk in memory for the spool, which remembers every call that changes it, in order; and what a power cut may leave of it.
 *
 * The model is harsher than file systems are. What was not synced when the power fails is there or not, each write for itself,
 * in any order, torn at sectors of 512 bytes; a file's length may be there without its bytes (they read as zeros then). fdatasync
 * and fsync of a file make what was done to its bytes before durable; names (made, renamed, removed) are durable from the next fsync
 * of the folder on, and until then each is there or not for itself. */
#ifndef POSTERN_TESTS_CRASH_MEMDISK_H
#define POSTERN_TESTS_CRASH_MEMDISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MEMDISK_FOLDER 900 /* the descriptor of the only folder */
#define MEMDISK_SECTOR 512

struct memdisk;

struct memdisk *memdisk_new(void);
void memdisk_free(struct memdisk **disk);

/* The spool's calls go to DISK from here on. */
void memdisk_use(struct memdisk *disk);
struct memdisk *memdisk_used(void);

/* From here on a call of that kind does nothing, though it says so: what a spool would be that leaves it out. */
enum memdisk_call { MEMDISK_FDATASYNC, MEMDISK_FSYNC, MEMDISK_FSYNC_FOLDER, MEMDISK_FTRUNCATE, MEMDISK_CALLS };
void memdisk_forget(enum memdisk_call call);

/* How many changes were recorded: a power cut comes after the first 0, 1, … of them. */
size_t memdisk_changes(const struct memdisk *disk);

/* The names in the folder, one after the other from *CURSOR = 0 on; NULL at the end. */
const char *memdisk_next(const struct memdisk *disk, size_t *cursor);

/* How a change that was not durable fares. */
enum fate {
    FATE_KEPT,
    FATE_DROPPED,
    FATE_HEAD,   /* only the sectors before `where` */
    FATE_TAIL,   /* only those from `where` on */
    FATE_RANDOM, /* each sector by chance */
    FATE_ZEROS   /* the length, not the bytes */
};

/* What becomes of the changes that are pending at a cut: all fare as `rest`, but the one of index `one` (in the order of time). */
struct cut {
    size_t after; /* changes that were made when the power failed */
    enum fate rest;
    size_t one; /* SIZE_MAX: none */
    enum fate fate;
    size_t where;  /* a sector of that change */
    uint64_t seed; /* for FATE_RANDOM */
};

/* How many changes are pending (made, not durable) after the first AFTER, and into how many sectors the one of index ONE reaches. */
size_t memdisk_pending(const struct memdisk *disk, size_t after);
size_t memdisk_sectors(const struct memdisk *disk, size_t after, size_t one);

/* The disk that a start finds after CUT. What is done to it is recorded; before it can be cut itself it has to remember what it began
 * with. */
struct memdisk *memdisk_after(const struct memdisk *disk, const struct cut *cut);
void memdisk_remember(struct memdisk *disk);

#endif
