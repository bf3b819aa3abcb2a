/* Time: monotonic for intervals, wall clock for schedules and headers. */
#ifndef POSTERN_BASE_CLOCK_H
#define POSTERN_BASE_CLOCK_H

#include <stdint.h>

/* Room for clock_rfc5322's and clock_rfc3339's text with its NUL. */
#define CLOCK_TEXT_SIZE 80

/* Milliseconds of a clock that never jumps (CLOCK_BOOTTIME: goes on while the machine sleeps). Only differences mean
 * something. */
int64_t clock_monotonic_ms(void);

/* Milliseconds since 1970-01-01 UTC, as the machine believes. May jump. */
int64_t clock_wall_ms(void);

/* "Tue, 24 Nov 2026 22:15:03 +0000" (RFC 5322 3.3), in UTC. */
void clock_rfc5322(int64_t wall_ms, char text[CLOCK_TEXT_SIZE]);

/* "2026-11-24T22:15:03.123Z" (RFC 3339). */
void clock_rfc3339(int64_t wall_ms, char text[CLOCK_TEXT_SIZE]);

#endif
