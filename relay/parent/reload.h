/* A new configuration under a running daemon: checked in full first; if anything is wrong the old one goes on. */
#ifndef POSTERN_PARENT_RELOAD_H
#define POSTERN_PARENT_RELOAD_H

#include "parent.h"

/* Reads the configuration with keys and ports into *FILES. Every mistake is told to COMPLAIN; then false. */
bool reload_read(struct parent *parent, struct parent_settings_files *files, conf_complain complain, void *context);

/* Reads anew and, where all is well, starts a new generation. The complaints are collected in TEXT of SIZE bytes, one a line. */
bool reload_run(struct parent *parent, char *text, size_t size);

/* Logs what CONF may say and hardly means (conf/warn.h). */
void reload_warn(const struct conf *conf);

/* Reads the passwords of routes anew, at most once a second; where one cannot be read, those before stay. */
void reload_passwords(struct parent *parent);

/* Ends the old generation once the new one is ready; called on every change. */
void reload_progress(struct parent *parent);

/* Frees what FILES holds. */
void reload_free(struct parent_settings_files *files);

#endif
