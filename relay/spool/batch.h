/* Many messages in one write. For the appender's thread. */
#ifndef POSTERN_SPOOL_BATCH_H
#define POSTERN_SPOOL_BATCH_H

#include "intake.h"

/* Writes messages from the front of WAITING (parcels in intakes) behind TAIL's end with one call: as many as the call takes and the
 * segment is not full before. They go to WRITTEN, or, where the write fails, with their verdict to REFUSED. */
void batch_write(struct tail *tail, struct list *waiting, struct list *written, struct list *refused);

/* Writes what follows the content that was streamed to TAIL, then the record's header in front of it. WRITER_STORED: TAIL's end is
 * behind the record; it is to be synced. */
enum writer_verdict batch_finish_large(struct tail *tail, struct intake *intake);

#endif
