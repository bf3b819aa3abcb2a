/* From the configuration's text to struct conf, and back. */
#ifndef POSTERN_CONF_READ_H
#define POSTERN_CONF_READ_H

#include "../base/buffer.h"
#include "conf.h"

/* Where the mistakes go: one line each, "FILE:LINE: what is wrong; what would be right" without a line end. */
typedef void (*conf_complain)(void *context, const char *line);

/* Reads the file PATH with all that it includes. Every mistake is told to COMPLAIN, in the order of the file, then the result is
 * NULL. A conf without complaint can be run: needed keys are there, values in their bounds, names unique, references meet. The
 * files it names (certificates, keys, passwords) are not opened: see files.h. */
struct conf *conf_read(const char *path, conf_complain complain, void *context);

/* The same from TEXT; NAME stands for FILE in complaints. */
struct conf *conf_read_text(const char *name, struct span text, conf_complain complain, void *context);

/* Complains "FILE:LINE: WHAT" of KEY in SECTION "TITLE" ("" where there is none), which is right as such but cannot be had: a file that it
 * names cannot be read, or a running daemon cannot change it. The file is looked into again for the line. Where CONF is from a text, or the
 * file has gone, WHAT alone is told. */
void conf_complain_of(const struct conf *conf, const char *section, const char *title, const char *key, const char *what,
                      conf_complain complain, void *context);

#define CONF_WHY_SIZE 640

/* The path of the admin socket that the file PATH names, even where that file has mistakes elsewhere: postern(1) must be able to ask the
 * daemon whose configuration is just being edited. False where it cannot be told for certain; WHY then goes on behind PATH. */
bool conf_read_socket(const char *path, char *socket, size_t size, char why[CONF_WHY_SIZE]);

/* Appends CONF as configuration text with every key written out: what the parent hands to the roles; conf_read_text gives the
 * same conf again. False where OUT is full. */
bool conf_write(const struct conf *conf, struct buffer *out);

/* Frees *CONF and nulls it. NULL is fine. */
void conf_free(struct conf **conf);

#endif
