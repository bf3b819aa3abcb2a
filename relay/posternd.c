/* posternd(8): which role am I? Called by a person or systemd this is the parent; the parent calls it again once for each role, with
 * --role=NAME, and the channel to the parent at descriptor 3. */
#include "base/span.h"
#include "parent/parent.h"
#include "role/mains.h"

#include <stdio.h>
#include <unistd.h>

#define PARENT_CHANNEL_FD 3

static const struct {
    const char *argument;
    int (*run)(int fd);
} roles[] = {
    { "--role=submission", submission_main }, { "--role=auth", auth_main },   { "--role=dns", dns_main },
    { "--role=policy", policy_main },         { "--role=queue", queue_main }, { "--role=delivery", delivery_main },
    { "--role=control", control_main },       { "--role=sts", sts_main },
};

static int usage(void)
{
    fputs("usage: posternd [-f FILE] [-n] [-d] [-u]\n"
          "  -f FILE  configuration (default /etc/postern/postern.conf)\n"
          "  -n       check the configuration and exit\n"
          "  -d       log what happens in detail\n"
          "  -u       every process keeps the caller's user\n",
          stderr);
    return 2;
}

int main(int argc, char **argv)
{
    struct parent_options options = { .file = "/etc/postern/postern.conf", .keep_user = geteuid() != 0 };
    for (size_t i = 0; argc == 2 && i < sizeof roles / sizeof *roles; i++)
        if (span_equal(span_of(argv[1]), span_of(roles[i].argument)))
            return roles[i].run(PARENT_CHANNEL_FD);
    for (int option; (option = getopt(argc, argv, "f:ndu")) != -1;) {
        if (option == 'f')
            options.file = optarg;
        else if (option == 'n')
            options.check = true;
        else if (option == 'd')
            options.debug = true;
        else if (option == 'u')
            options.keep_user = true;
        else
            return usage();
    }
    return optind == argc ? parent_main(&options) : usage();
}
