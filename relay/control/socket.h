/* The two listening sockets of the control role, made while it may still do so. */
#ifndef POSTERN_CONTROL_SOCKET_H
#define POSTERN_CONTROL_SOCKET_H

#include <stdbool.h>

/* Binds the admin socket PATH with mode 0660 and the group of USER (NULL: the caller's), and listens. A socket file that nobody
 * serves any more is replaced; one that somebody serves, and a file that is no socket, are left alone. Returns the descriptor,
 * non-blocking and close-on-exec, or -1 with a log line. */
int socket_admin(const char *path, const char *user);

/* Listens on ADDRESS ("127.0.0.1:8587") over TCP. Returns the descriptor, or -1 with a log line. */
int socket_http(const char *address);

#endif
