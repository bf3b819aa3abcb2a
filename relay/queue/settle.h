/* What becomes of recipients: written to the pair's log, to the log of events, and done. */
#ifndef POSTERN_QUEUE_SETTLE_H
#define POSTERN_QUEUE_SETTLE_H

#include "../spool/outcome.h"
#include "cause.h"
#include "unit.h"

/* What was said of one recipient of a unit. */
enum verdict_kind { VERDICT_NONE, VERDICT_DELIVERED, VERDICT_TEMPORARY, VERDICT_PERMANENT };
struct verdict {
    enum verdict_kind is;
    struct cause
        *cause; /* kept; of the temporary and permanent ones, and of a delivered one that its sender is to hear of, else NULL */
};

/* Recipient INDEX of UNIT was delivered: noted and logged at once. settle_unit does the rest. */
void settle_delivered(struct queue *queue, struct unit *unit, uint32_t index, const struct cause *cause);

/* An attempt with UNIT, which counts in unit->attempts already, has ended: VERDICTS, one a recipient, none VERDICT_NONE. The delivered
 * leave, the permanent ones bounce, the temporary ones are put off, or bounce where the message is too old. UNIT and its entry
 * may be freed. The causes stay the caller's. */
void settle_unit(struct queue *queue, struct unit *unit, const struct verdict *verdicts);

/* The same for a unit that is not being sent: an attempt failed for now for all recipients, because of CAUSE (kept). */
void settle_defer(struct queue *queue, struct unit *unit, struct cause *cause);

/* The same for good: all recipients of UNIT bounce. */
void settle_bounce(struct queue *queue, struct unit *unit, struct cause *cause);

/* UNIT waits at a site that has just failed with CAUSE (kept) and is tried again at DUE_MS (monotonic). It goes on waiting unless its
 * message is too old; TELL: the deferral is noted and logged. */
void settle_waiting(struct queue *queue, struct unit *unit, struct cause *cause, int64_t due_ms, bool tell);

/* UNIT comes back from a connection that has sent nothing of it. True: it is the caller's, to wait again. Else a person holds or has removed
 * its message, and that is done to it; its entry may be gone. */
bool settle_returned(struct queue *queue, struct unit *unit);

/* The bounce of RECIPIENT is settled: its report is durable, or none is due. Noted and logged; entry_settle is the caller's. */
void settle_bounced(struct queue *queue, struct entry *entry, uint32_t recipient, unsigned attempt, const struct cause *cause);

/* Notes an event of the whole message in its pair's log and logs it. WHY may be NULL. */
void settle_event(struct queue *queue, struct entry *entry, enum outcome_kind kind, const char *why);

#endif
