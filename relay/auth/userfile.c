/* The file is replaced by rename when `postern user` changes it, so a stat tells whether it is still the one that was read: device,
 * inode, size and both times. It costs a microsecond, therefore it is done at each login: an account that was added can log in at
 * once, one that was removed cannot any more, and nothing needs to be told or restarted. A file that cannot be read makes every
 * answer USERFILE_UNREADABLE (a temporary failure for the client) and is reported once, until that changes.
 *
 * Decoys: SCRAM shows salt and iterations before the client has proved anything. For an unknown name they are derived from the name
 * with a secret, so that asking twice gives the same, as for a real account. The secret must be the same in every auth process and
 * after a restart, or two connections would tell a decoy from an account; nothing but the user file is shared and secret, so it is
 * drawn from there: from the smallest StoredKey, which seldom changes when accounts do. */
#include "userfile.h"

#include "../base/log.h"
#include "../base/map.h"
#include "../base/random.h"
#include "../base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define COMPLAINTS_MAX 20 /* malformed lines logged one by one at one reading */
#define LIBRARY_SALT   32 /* bytes: what libsasl2 takes where it has plain passwords (sasldb) and no file of ours counts */

/* What most accounts have, found by Boyer and Moore's majority vote. */
struct shape {
    uint32_t iterations;
    uint32_t salt_size;
    size_t votes;
};

struct userfile {
    char *path; /* NULL: none */
    struct stat seen;
    bool readable; /* `accounts` is what `seen` had */
    int problem;   /* errno that was reported last, 0 for none */
    struct map *accounts;
    struct shape shape;
    unsigned char secret[SCRAM_KEY_SIZE];
};

/* One reading of the text. */
struct reading {
    struct userfile *file;
    uint64_t line;
    uint64_t complaints;
};

static void free_verifier(void *value)
{
    OPENSSL_cleanse(value, sizeof(struct scram_verifier));
    free(value);
}

/* Forgets all accounts; what decoys look like starts anew too. */
static void forget(struct userfile *file)
{
    map_free(&file->accounts, free_verifier);
    file->accounts = map_new(USERFILE_ACCOUNTS_MAX);
    file->shape = (struct shape){ SCRAM_ITERATIONS_DEFAULT, file->path ? SCRAM_SALT_DEFAULT : LIBRARY_SALT, 0 };
}

struct userfile *userfile_new(const char *path)
{
    struct userfile *file = text_zalloc(sizeof *file);
    file->path = path ? text_dup(span_of(path)) : NULL;
    random_bytes(file->secret, sizeof file->secret);
    forget(file);
    return file;
}

void userfile_free(struct userfile **file)
{
    if (!*file)
        return;
    map_free(&(*file)->accounts, free_verifier);
    free((*file)->path);
    OPENSSL_cleanse(*file, sizeof **file);
    free(*file);
    *file = NULL;
}

static void complain(struct reading *reading, const char *what)
{
    const char *path = reading->file->path ? reading->file->path : "the user file";
    if (++reading->complaints <= COMPLAINTS_MAX)
        log_say(LOG_WARNING, "error", "%s:%llu: %s; the line is skipped", path, (unsigned long long)reading->line, what);
    else if (reading->complaints == COMPLAINTS_MAX + 1)
        log_say(LOG_WARNING, "error", "%s: there are more lines like these; they are skipped too", path);
}

static void vote(struct shape *shape, const struct scram_verifier *verifier)
{
    bool same = shape->iterations == verifier->iterations && shape->salt_size == verifier->salt_size;
    if (!shape->votes)
        *shape = (struct shape){ verifier->iterations, verifier->salt_size, 1 };
    else
        shape->votes = same ? shape->votes + 1 : shape->votes - 1;
}

static void add_account(struct reading *reading, const char *name, const struct scram_verifier *verifier)
{
    struct userfile *file = reading->file;
    bool full;
    if (map_get(file->accounts, span_of(name))) {
        complain(reading, "this account stands further up already");
        return;
    }
    struct scram_verifier *copy = text_zalloc(sizeof *copy);
    *copy = *verifier;
    map_put(file->accounts, span_of(name), copy, &full);
    if (full) {
        free_verifier(copy);
        complain(reading, "there are too many accounts");
        return;
    }
    vote(&file->shape, verifier);
    if (map_count(file->accounts) == 1 || memcmp(verifier->stored_key, file->secret, sizeof file->secret) < 0)
        memcpy(file->secret, verifier->stored_key, sizeof file->secret);
}

static void take_line(struct reading *reading, struct span line)
{
    static const char *const complaints[] = {
        [SCRAM_LINE_BAD_NAME] = "this is no name for an account",
        [SCRAM_LINE_BAD_VERIFIER] = "there is no SCRAM-SHA-256 verifier behind the name",
    };
    char name[SCRAM_NAME_SIZE];
    struct scram_verifier verifier = { 0 };
    reading->line++;
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    enum scram_line kind = scram_line(line, name, &verifier);
    if (kind == SCRAM_LINE_ACCOUNT)
        add_account(reading, name, &verifier);
    else if (kind != SCRAM_LINE_NOTHING)
        complain(reading, complaints[kind]);
    OPENSSL_cleanse(&verifier, sizeof verifier);
}

size_t userfile_take(struct userfile *file, struct span text)
{
    struct reading reading = { .file = file };
    forget(file);
    while (text.n)
        take_line(&reading, span_cut(&text, '\n'));
    return map_count(file->accounts);
}

/* Reads SIZE bytes from FD into TEXT; fewer where the file ends before. Returns how many, or -1 with errno. */
static ssize_t read_all(int fd, char *text, size_t size)
{
    size_t got = 0;
    while (got < size) {
        ssize_t n = read(fd, text + got, size - got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    return (ssize_t)got;
}

/* Reads the open file FD, which `seen` describes. 0, or an errno. */
static int read_file(struct userfile *file, int fd)
{
    if (fstat(fd, &file->seen) < 0)
        return errno;
    if (!S_ISREG(file->seen.st_mode))
        return EINVAL;
    if (file->seen.st_size > USERFILE_SIZE_MAX)
        return EFBIG;
    size_t size = (size_t)file->seen.st_size;
    char *text = text_zalloc(size + 1);
    ssize_t got = read_all(fd, text, size);
    int problem = got < 0 ? errno : 0;
    if (!problem) {
        size_t accounts = userfile_take(file, span_make(text, (size_t)got));
        log_say(LOG_DEBUG, "notice", "%s was read: %zu accounts", file->path, accounts);
    }
    OPENSSL_cleanse(text, size + 1);
    free(text);
    return problem;
}

/* Opens and reads the file. 0, or an errno. O_NONBLOCK: a fifo put there must not hold the process. */
static int load(struct userfile *file)
{
    int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return errno;
    int problem = read_file(file, fd);
    close(fd);
    if (!problem && file->seen.st_mode & (S_IROTH | S_IWOTH))
        log_say(
            LOG_WARNING, "error",
            "%s can be read or written by everybody (mode %03o), and passwords can be guessed from it; `chmod o= %s` mends that",
            file->path, (unsigned)file->seen.st_mode & 0777, file->path);
    return problem;
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* Is the file still the one that was read? */
static bool unchanged(const struct userfile *file, const struct stat *now)
{
    const struct stat *seen = &file->seen;
    return file->readable && now->st_dev == seen->st_dev && now->st_ino == seen->st_ino && now->st_size == seen->st_size &&
           now->st_mode == seen->st_mode && same_time(now->st_mtim, seen->st_mtim) && same_time(now->st_ctim, seen->st_ctim);
}

/* Makes `accounts` what the file has now. False where it cannot be read. */
static bool refresh(struct userfile *file)
{
    struct stat now;
    if (!file->path)
        return true;
    int problem = stat(file->path, &now) < 0 ? errno : 0;
    if (!problem && unchanged(file, &now))
        return true;
    if (!problem)
        problem = load(file);
    if (problem && problem != file->problem)
        log_say(LOG_ERROR, "error", "the user file %s cannot be read: %s; nobody can log in until it can (%s)", file->path,
                strerror(problem), problem == ENOENT ? "`postern user add` makes it" : "auth { file } names it");
    file->problem = problem;
    file->readable = !problem;
    return file->readable;
}

enum userfile_answer userfile_find(struct userfile *file, struct span account, struct scram_verifier *ret_verifier)
{
    if (!refresh(file))
        return USERFILE_UNREADABLE;
    const struct scram_verifier *verifier = map_get(file->accounts, account);
    if (!verifier)
        return USERFILE_UNKNOWN;
    *ret_verifier = *verifier;
    return USERFILE_FOUND;
}

/* HMAC-SHA-256 of PURPOSE and ACCOUNT with the file's secret: SCRAM_KEY_SIZE bytes. */
static void derive(const struct userfile *file, char purpose, struct span account, unsigned char *bytes)
{
    char text[1 + SCRAM_NAME_SIZE] = { purpose };
    size_t n = account.n < SCRAM_NAME_SIZE ? account.n : SCRAM_NAME_SIZE;
    memcpy(text + 1, account.p, n);
    if (!HMAC(EVP_sha256(), file->secret, sizeof file->secret, (const unsigned char *)text, n + 1, bytes, NULL))
        abort();
}

void userfile_decoy(const struct userfile *file, struct span account, struct scram_verifier *ret_verifier)
{
    struct scram_verifier decoy = { .iterations = file->shape.iterations, .salt_size = file->shape.salt_size };
    derive(file, 'a', account, decoy.salt);
    derive(file, 'b', account, decoy.salt + SCRAM_KEY_SIZE);
    derive(file, 'c', account, decoy.stored_key);
    derive(file, 'd', account, decoy.server_key);
    *ret_verifier = decoy;
}
