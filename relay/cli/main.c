/* postern(1): the options before the command; the commands are a table in commands.c. */
#include "commands.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    struct commands_options options = { NULL, false };
    int at = 1;
    signal(SIGPIPE, SIG_DFL);
    for (; at < argc && argv[at][0] == '-'; at++) {
        if (strcmp(argv[at], "--json") == 0)
            options.json = true;
        else if (strcmp(argv[at], "-f") == 0 && at + 1 < argc)
            options.file = argv[++at];
        else
            break;
    }
    if (at < argc && strcmp(argv[at], "--version") == 0)
        argv[at] += 2;
    if (at < argc && argv[at][0] != '-')
        return commands_run(&options, argc - at, argv + at);
    bool asked = at < argc && (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0);
    if (at < argc && !asked) {
        bool lacks_file = strcmp(argv[at], "-f") == 0;
        fprintf(stderr, "postern: %s; type postern [-f FILE] [--json] COMMAND\n",
                lacks_file ? "-f needs the name of a file behind it"
                           : "before the command there is only -f FILE, --json, --help and --version");
        return COMMANDS_USAGE;
    }
    commands_help();
    return asked ? COMMANDS_DONE : COMMANDS_USAGE;
}
