/* The terminal as a screen: keys one by one, a page of its own, and everything as it was when that ends, by a signal too. */
#ifndef POSTERN_CLI_TERMINAL_H
#define POSTERN_CLI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

/* Takes the terminal over. False where standard input and output are none. */
bool terminal_begin(void);

/* Gives it back. */
void terminal_end(void);

/* ENDS: something takes long that nobody but a signal can end; a signal then ends the program, the terminal given back. */
void terminal_busy(bool ends);

/* How large it is now. */
void terminal_size(size_t *ret_rows, size_t *ret_columns);

enum {
    TERMINAL_NOTHING = 0, /* the time is over, or the size has changed */
    TERMINAL_ENDED = -1,  /* a signal, or nobody is there any more */
    TERMINAL_UP = 0x100,  /* beyond all bytes */
    TERMINAL_DOWN = 0x101,
};

/* Waits MS for a key: its byte, or one of the above. Keys that are not known are nothing. */
int terminal_key(int ms);

#endif
