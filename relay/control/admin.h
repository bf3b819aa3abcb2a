/* The admin socket: postern(1) connects, sends one line of JSON, and gets lines of JSON.
 *
 *     {"command": "queue list", "filters": {"account": "alice"}}
 *     {"value": {…}}                                              none, one, or one an element
 *     {"done": true, "exit": 0, "reason": ""}                     always the last line
 *
 * Who may connect is said by the socket's file: root, the daemon's user, and the members of its group. */
#ifndef POSTERN_CONTROL_ADMIN_H
#define POSTERN_CONTROL_ADMIN_H

#include "control.h"

#define ADMIN_CLIENTS_MAX 64
#define ADMIN_LINE_MAX    (64 * 1024)
#define ADMIN_OUTPUT_MAX  (64 * 1024 * 1024) /* of an answer that the client does not read */

struct admin;

/* Binds the socket PATH (a stale one is replaced; one that somebody serves is not) with mode 0660 and the group of USER (NULL: the
 * caller's), and listens. Returns the descriptor, or -1 with a log line. Before the sandbox closes. */
int admin_bind(const char *path, const char *user);

/* Serves clients on FD, which it owns from here on. */
struct admin *admin_new(struct control *control, int fd);

/* Drops all clients, frees *ADMIN and nulls it. NULL is fine. */
void admin_free(struct admin **admin);

/* The parent's answer to a command that a client gave. */
void admin_answer(struct admin *admin, uint64_t ticket, bool done, const char *text);

#endif
