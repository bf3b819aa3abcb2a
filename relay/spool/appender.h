/* The thread that writes and syncs. The loop posts parcels to it and takes back what it is done with; see parcel.h. */
#ifndef POSTERN_SPOOL_APPENDER_H
#define POSTERN_SPOOL_APPENDER_H

#include "parcel.h"

struct appender;

/* Starts the thread. Ends the process where the kernel gives none. */
struct appender *appender_new(void);

/* Frees *APPENDER and nulls it; appender_join and appender_take came before. */
void appender_free(struct appender **appender);

/* Readable when parcels have come back: see appender_take. */
int appender_fd(const struct appender *appender);

/* Hands PARCEL to the thread; after those that were posted before. */
void appender_post(struct appender *appender, struct parcel *parcel);

/* Moves the parcels that have come back to the end of PARCELS. */
void appender_take(struct appender *appender, struct list *parcels);

/* Waits for the thread to end; a PARCEL_STOP was posted. */
void appender_join(struct appender *appender);

#endif
