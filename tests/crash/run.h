/* A run of the spool on the disk in use: what submission and queue do with it, in a random order, with its books. And a start after a
 * power cut: what queue does with what it finds. */
#ifndef POSTERN_TESTS_CRASH_RUN_H
#define POSTERN_TESTS_CRASH_RUN_H

#include "books.h"

/* STEPS steps by SEED: messages alone and many at once, with and without a sync behind, large ones, outcomes, seals, removals, compactions. The books
 * begin empty. */
void run_spool(uint64_t seed, unsigned steps, struct books *books);

/* A start: BOOKS, as books_compare found them, is what there is. Cuts torn logs, seals, removes what is finished, then takes in
 * one more message (NUMBER), records an outcome for what is still to be sent, and compacts. */
void run_start(struct books *books, uint32_t number);

#endif
