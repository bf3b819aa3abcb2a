/* What postern(1) can do: one row a command. */
#ifndef POSTERN_CLI_COMMANDS_H
#define POSTERN_CLI_COMMANDS_H

#include <stdbool.h>

/* Exit status. */
enum { COMMANDS_DONE = 0, COMMANDS_REFUSED = 1, COMMANDS_USAGE = 2 };

/* Options before the command. */
struct commands_options {
    const char *file; /* -f, or NULL */
    bool json;
};

/* Runs the command that WORDS (COUNT of them, options behind the command included) name. Returns the exit status; a wrong word gets a
 * sentence on standard error that says what to type instead. */
int commands_run(const struct commands_options *options, int count, char **words);

/* Prints every command with its line of help. */
void commands_help(void);

#endif
