/* Who tried to reach port 25 without postern: what nft lists, read for `postern firewall report`. */
#ifndef POSTERN_CLI_FIREWALL_REPORT_H
#define POSTERN_CLI_FIREWALL_REPORT_H

#include "../base/span.h"

#include <jansson.h>
#include <stdint.h>

/* Reads LISTING, the answer to `nft -j list table inet postern` at NOW_MS (clock_wall_ms). Returns a new array, who tried most first:
 *     {"address", "family": "IPv4" | "IPv6", "first": time or null, "last": time, "attempts"}
 * `first` is null where it was too long ago for the firewall to know; `attempts` counts since then. *RET_FULL: one of the sets has no room
 * left, so there may be others. NULL where LISTING is no listing, or of a table without these sets. */
json_t *firewall_report_read(struct span listing, int64_t now_ms, bool *ret_full);

#endif
