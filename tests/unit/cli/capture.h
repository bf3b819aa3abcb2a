/* What a function prints on standard output and standard error. */
#ifndef POSTERN_TESTS_UNIT_CLI_CAPTURE_H
#define POSTERN_TESTS_UNIT_CLI_CAPTURE_H

#include "../unit.h"

#include <unistd.h>

#define CAPTURE_SIZE 65536

struct capture {
    int before[2];
    FILE *files[2];
    char out[CAPTURE_SIZE];
    char err[CAPTURE_SIZE];
};

static inline void capture_begin(struct capture *capture)
{
    fflush(stdout);
    fflush(stderr);
    for (int i = 0; i < 2; i++) {
        capture->before[i] = dup(i + 1);
        capture->files[i] = tmpfile();
        dup2(fileno(capture->files[i]), i + 1);
    }
}

static inline void capture_end(struct capture *capture)
{
    fflush(stdout);
    fflush(stderr);
    for (int i = 0; i < 2; i++) {
        char *text = i ? capture->err : capture->out;
        dup2(capture->before[i], i + 1);
        close(capture->before[i]);
        rewind(capture->files[i]);
        text[fread(text, 1, CAPTURE_SIZE - 1, capture->files[i])] = '\0';
        fclose(capture->files[i]);
    }
}

#endif
