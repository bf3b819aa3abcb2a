/* The overview as Prometheus reads it (text format 0.0.4). */
#ifndef POSTERN_CONTROL_METRICS_H
#define POSTERN_CONTROL_METRICS_H

#include "../base/buffer.h"

#include <jansson.h>

/* Appends the metrics of OVERVIEW (see overview.h) to OUT. False where OUT is full. */
bool metrics_print(const json_t *overview, struct buffer *out);

#endif
