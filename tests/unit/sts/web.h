/* The web server of tests/lab/policy_host.py as a child of the test: it ends with the pipe that it is told by. */
#ifndef TESTS_UNIT_STS_WEB_H
#define TESTS_UNIT_STS_WEB_H

#include "../../../relay/base/text.h"
#include "../folder.h"

#include <signal.h>
#include <sys/wait.h>

#define WEB_FOLDER "/tmp/postern-web-XXXXXX"

struct web {
    pid_t pid;
    FILE *to, *from;
    uint16_t port;
    char folder[sizeof WEB_FOLDER];
    char authority[128]; /* the file of its certificate */
};

static inline void web_line(struct web *web, char line[256])
{
    assert_non_null(fgets(line, 256, web->from));
}

static inline void web_start(struct web *web)
{
    int to[2], from[2];
    char line[256];
    unsigned port;
    text_format(web->folder, sizeof web->folder, WEB_FOLDER);
    assert_non_null(mkdtemp(web->folder));
    assert_true(pipe2(to, O_CLOEXEC) == 0 && pipe2(from, O_CLOEXEC) == 0);
    signal(SIGPIPE, SIG_IGN);
    web->pid = fork();
    if (web->pid == 0) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        execl("/usr/bin/python3", "python3", "-W", "ignore", "tests/lab/policy_host.py", web->folder, (char *)NULL);
        _exit(71);
    }
    close(to[0]);
    close(from[1]);
    web->to = fdopen(to[1], "w");
    web->from = fdopen(from[0], "r");
    web_line(web, line);
    assert_int_equal(sscanf(line, "%u %127s", &port, web->authority), 2);
    web->port = (uint16_t)port;
}

static inline void web_stop(struct web *web)
{
    char command[256];
    int status;
    fclose(web->to);
    fclose(web->from);
    assert_int_equal(waitpid(web->pid, &status, 0), web->pid);
    text_format(command, sizeof command, "rm -rf %s", web->folder);
    assert_int_equal(system(command), 0);
}

/* Serves TEXT ("\\n" for the end of a line) for DOMAIN, as TRICK has it. */
static inline void web_serve(struct web *web, const char *domain, const char *trick, const char *text)
{
    char line[256];
    fprintf(web->to, "serve %s %s %s\n", domain, trick, text);
    fflush(web->to);
    web_line(web, line);
    assert_string_equal(line, "served\n");
}

/* How often the file of DOMAIN was asked for. */
static inline int web_count(struct web *web, const char *domain)
{
    char line[256];
    int count;
    fprintf(web->to, "count %s\n", domain);
    fflush(web->to);
    web_line(web, line);
    assert_int_equal(sscanf(line, "%d", &count), 1);
    return count;
}

#endif
