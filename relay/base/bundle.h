/* Named secrets in one sealed memory file: how the parent hands keys and passwords to a role that may open no path. */
#ifndef POSTERN_BASE_BUNDLE_H
#define POSTERN_BASE_BUNDLE_H

#include "span.h"

#define BUNDLE_NAME_MAX 512
#define BUNDLE_SIZE_MAX (16 * 1024 * 1024)

struct bundle;

/* An empty bundle. */
struct bundle *bundle_new(void);

/* Wipes and frees *BUNDLE and nulls it. NULL is fine. */
void bundle_free(struct bundle **bundle);

/* Adds BYTES under NAME (such as "key:/etc/postern/tls/key.pem"). A name that is there already is replaced. False where
 * NAME or the whole is too large. */
bool bundle_add(struct bundle *bundle, const char *name, struct span bytes);

/* Reads the file PATH (at most 1 MiB) and adds it under NAME. False with errno. */
bool bundle_add_file(struct bundle *bundle, const char *name, const char *path);

/* The bytes under NAME, or a span with p == NULL. A NUL stands behind them. Borrowed until the bundle changes. */
struct span bundle_get(const struct bundle *bundle, const char *name);

/* As bundle_get, up to the first line's end: a password as it stands in its file. */
struct span bundle_line(const struct bundle *bundle, const char *name);

/* A sealed memfd that holds the bundle, close-on-exec, the caller's to close; -1 with errno. */
int bundle_save(const struct bundle *bundle);

/* Reads a bundle from FD (which stays the caller's); NULL where it is not one. */
struct bundle *bundle_load(int fd);

#endif
