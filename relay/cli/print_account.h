/* Answers about accounts, for people. */
#ifndef POSTERN_CLI_PRINT_ACCOUNT_H
#define POSTERN_CLI_PRINT_ACCOUNT_H

#include <jansson.h>

/* One line of `postern account list`, and what `suspend` and `resume` answer. */
void print_account_row(const json_t *account);

/* `postern account show`. */
void print_account(const json_t *account);

#endif
