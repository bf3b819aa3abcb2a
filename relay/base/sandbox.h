/* What a process gives up before it touches anything foreign: its user, new privileges, paths, system calls.
 *
 * Order: drop to the user, no_new_privs, Landlock (where the kernel has it; a log line says so where not), seccomp. A system
 * call that is not allowed fails with ENOSYS, so that libraries fall back; those that only an intruder wants (execve, ptrace,
 * mount, bpf …) kill the process. */
#ifndef POSTERN_BASE_SANDBOX_H
#define POSTERN_BASE_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

/* What a role does beyond computing and talking over descriptors that it has. */
enum sandbox_duty {
    SANDBOX_ACCEPT = 1,       /* accept4 on listening sockets it was handed */
    SANDBOX_CONNECT = 2,      /* make sockets and connect or send: TCP and UDP */
    SANDBOX_READ_FILES = 4,   /* open and read below the paths given */
    SANDBOX_WRITE_FILES = 8,  /* create, write, rename, remove below the paths given */
    SANDBOX_THREADS = 16,     /* start threads after the sandbox closed */
    SANDBOX_LOCAL_SOCKET = 32 /* connect to, bind, listen on and accept from AF_UNIX sockets */
};

struct sandbox_path {
    const char *path; /* a folder or file; one that does not exist is left out with a log line */
    bool write;
};

struct sandbox {
    const char *user;                 /* NULL: keep the caller's (not root, or -u) */
    unsigned duties;                  /* enum sandbox_duty */
    const struct sandbox_path *paths; /* all that stays reachable */
    size_t npaths;
};

/* Closes the sandbox around this process. False, with a log line, where any part fails but for a kernel without Landlock:
 * the role must not start then. */
bool sandbox_enter(const struct sandbox *sandbox);

#endif
