/* The table at the end of a sealed segment: where its records begin. Layout in README.md. */
#ifndef POSTERN_SPOOL_TABLE_H
#define POSTERN_SPOOL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table {
    uint64_t *offsets; /* ascending */
    size_t count;
    uint64_t start; /* where the table begins: behind the last record */
};

/* Writes the table of the COUNT OFFSETS of records, and its footer, at START of FD, whose segment has TAG. Not synced. False with
 * errno. */
bool table_write(int fd, uint64_t start, uint64_t tag, const uint64_t *offsets, size_t count);

/* Reads the table at the end of FD, FILE_SIZE bytes long, whose segment has TAG. False where there is none that is whole. */
bool table_read(int fd, uint64_t file_size, uint64_t tag, struct table *ret_table);

/* Frees what table_read made. */
void table_fini(struct table *table);

#endif
