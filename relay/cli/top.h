/* `postern top`: what the relay does, live, on a terminal, and keys to act on it. */
#ifndef POSTERN_CLI_TOP_H
#define POSTERN_CLI_TOP_H

/* Shows the daemon at the socket PATH until a person ends it. Returns as commands_run. */
int top_run(const char *path);

#endif
