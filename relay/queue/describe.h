/* Messages, sites and the queue as a whole in JSON, as INTERFACE names the fields. */
#ifndef POSTERN_QUEUE_DESCRIBE_H
#define POSTERN_QUEUE_DESCRIBE_H

#include <jansson.h>

#include "entry.h"

struct envelope;
struct site;

#define DESCRIBE_SITES_MAX 100 /* sites in a status */
#define DESCRIBE_FILES_MAX 100 /* damaged files in it */

/* A string of foreign bytes: escaped, so that it is valid UTF-8 without control bytes. */
json_t *describe_text(struct span text);

/* A time of the wall clock, or null for 0. */
json_t *describe_time(int64_t wall_ms);

/* An element of `queue list`. NULL where its envelope cannot be read. */
json_t *describe_entry(struct queue *queue, const struct entry *entry);

/* "headers": the header lines of ENTRY's message, each escaped, with line feeds between. */
json_t *describe_headers(struct queue *queue, const struct entry *entry);

/* {"site", "source", "alarm", "state", "waiting", "connections", "limit", "rate" (messages a second or null), "failures", "next", "row", "reply"}. */
json_t *describe_site(const struct queue *queue, const struct site *site);

/* {"queue": {…}, "sites": […], "spool": {…}, "rates": {…}, "stalled": {…} or null}: of sites those in trouble, then those with work,
 * DESCRIBE_SITES_MAX at most. */
json_t *describe_status(const struct queue *queue);

/* The name of the site where mail of ENVELOPE for ADDRESS goes, as far as is known without asking; "" where it is not. */
const char *describe_site_name(const struct queue *queue, const struct envelope *envelope, struct span address);

#endif
