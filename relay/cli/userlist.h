/* The text of a user file, being edited: the lines that are not changed stay as they are, byte for byte. */
#ifndef POSTERN_CLI_USERLIST_H
#define POSTERN_CLI_USERLIST_H

#include "../base/buffer.h"
#include "../base/scram.h"

#include <sys/stat.h>

#define USERLIST_SIZE_MAX  (64 * 1024 * 1024)
#define USERLIST_ERROR_MAX 512

/* A user file that is open for editing. */
struct userlist {
    char *path;  /* the file itself, symbolic links followed */
    int folder;  /* descriptor of the folder that it is in; holds the lock */
    bool exists; /* the file is there; `status` is its */
    struct stat status;
    struct buffer text;
    char error[USERLIST_ERROR_MAX]; /* after a call that returned false: what went wrong, for people */
};

/* Reads the file at PATH; one that does not exist is empty. With LOCK nobody else edits until userlist_close (waits a few seconds for
 * another who does). LIST is to be closed whatever comes back. */
bool userlist_open(struct userlist *list, const char *path, bool lock);

/* Wipes and frees what LIST holds, gives the lock back. */
void userlist_close(struct userlist *list);

/* Is there an account NAME (in normal form)? */
bool userlist_has(const struct userlist *list, const char *name);

/* Gives NAME the verifier VERIFIER: in place of the line that it has, or at the end. Further lines of the same name go. */
bool userlist_set(struct userlist *list, const char *name, const struct scram_verifier *verifier);

/* Takes the lines of NAME out. */
bool userlist_remove(struct userlist *list, const char *name);

/* Calls EACH with the name of every account, in the order of the file. One whose verifier makes no sense has a name all the same. */
void userlist_each(const struct userlist *list, void (*each)(void *context, const char *name), void *context);

/* Puts the text in the file's place, all or nothing: a new file with the old one's owner, group and mode, synced, renamed. A file
 * that was not there becomes root:postern-auth 0640 where root makes it, else the caller's own, 0600. */
bool userlist_save(struct userlist *list);

#endif
