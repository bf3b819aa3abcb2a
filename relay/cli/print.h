/* Answers for people: 80 columns, aligned, everything from outside escaped already by the daemon. */
#ifndef POSTERN_CLI_PRINT_H
#define POSTERN_CLI_PRINT_H

#include <jansson.h>

/* One screen: `postern status`. */
void print_status(const json_t *status);

/* One message of the queue with its recipients: `postern queue list`; with its header: `postern queue show`. */
void print_entry(const json_t *entry);

/* The life of a message: `postern message`. */
void print_life(const json_t *life);

/* Where mail would go: `postern trace`. */
void print_trace(const json_t *trace);

/* One limit and what is used of it: `postern limits`. */
void print_limit(const json_t *limit);

/* Rows of a list, put together by limit: `postern limits --would`. */
void print_would(const json_t *rows);

/* One that tried to reach port 25 without postern: `postern firewall report`. */
void print_attempt(const json_t *attempt);

/* How many messages were changed: `postern queue hold` and the like. */
void print_changed(const json_t *changed);

#endif
