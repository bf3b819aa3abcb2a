/* The lexer knows what libconfuse's knows: comments (#, //, and the C kind), strings in double or single quotes with backslashes, the
 * punctuation { } = , ( ) +=, and words. */
#include "scan.h"

#include "../base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SCAN_DEPTH_MAX    8           /* of include() */
#define SCAN_FILE_MAX     (16u << 20) /* bytes of one file */
#define SCAN_MARKS_MAX    1000000
#define SCAN_MISTAKES_MAX 100 /* complaints; then the rest is left out */
#define SCAN_TITLE_SIZE   512

enum token_kind { TOKEN_END, TOKEN_WORD, TOKEN_STRING, TOKEN_OPEN, TOKEN_CLOSE, TOKEN_EQUALS, TOKEN_OTHER };

struct lexer {
    struct span rest;
    unsigned line;
    struct span text; /* of the token, without quotes */
    bool unclosed;    /* a string or comment that does not end */
};

void scan_complain(struct scan *scan, const char *file, unsigned line, const char *format, ...)
{
    char text[1024], whole[1200], shown[1100];
    va_list arguments;
    if (++scan->mistakes > SCAN_MISTAKES_MAX)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    text_escape(shown, sizeof shown, span_of(text));
    text_format(whole, sizeof whole, "%s:%u: %s", file, line, shown);
    scan->complain(scan->context, whole);
}

/* Are A and B the same title of SECTION? */
static bool same_title(const struct section *section, const char *a, const char *b)
{
    return section->any_case ? span_equal_nocase(span_of(a), span_of(b)) : strcmp(a, b) == 0;
}

static struct mark *find(const struct scan *scan, const char *section, const char *title, const char *key)
{
    for (size_t i = 0; i < scan->nmarks; i++) {
        struct mark *mark = &scan->marks[i];
        if (span_equal(span_of(mark->section->name), span_of(section)) && same_title(mark->section, mark->title, title) &&
            (key ? mark->key && span_equal(span_of(mark->key->name), span_of(key)) : !mark->key))
            return mark;
    }
    return NULL;
}

void scan_complain_at(struct scan *scan, const char *section, const char *title, const char *key, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    struct mark *mark = find(scan, section, title ? title : "", key);
    if (!mark)
        mark = find(scan, section, title ? title : "", NULL);
    if (mark && mark->key && mark->complained)
        return;
    if (mark)
        mark->complained = true;
    scan_complain(scan, mark ? mark->file : scan->files[0], mark ? mark->line : 1, "%s", text);
}

bool scan_is_sure(const struct scan *scan, const char *section, const char *key)
{
    const struct mark *whole = find(scan, section, "", NULL), *mark = find(scan, section, "", key);
    return whole && mark && !whole->complained && !mark->complained;
}

static void skip(struct lexer *lexer, size_t n)
{
    struct span passed = span_head(lexer->rest, n);
    for (size_t i = 0; i < passed.n; i++)
        lexer->line += passed.p[i] == '\n';
    lexer->rest = span_skip(lexer->rest, n);
}

/* Passes white space and comments. */
static void skip_blank(struct lexer *lexer)
{
    while (lexer->rest.n) {
        const char *p = lexer->rest.p;
        if (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n') {
            skip(lexer, 1);
        } else if (*p == '#' || span_starts_nocase(lexer->rest, SPAN("//"))) {
            skip(lexer, span_find(lexer->rest, '\n'));
        } else if (span_starts_nocase(lexer->rest, SPAN("/*"))) {
            size_t n = 2;
            while (n < lexer->rest.n && !(p[n - 1] == '*' && p[n] == '/' && n > 2))
                n++;
            lexer->unclosed = n >= lexer->rest.n;
            skip(lexer, n + 1);
        } else {
            return;
        }
    }
}

static enum token_kind string(struct lexer *lexer)
{
    char quote = lexer->rest.p[0];
    size_t n = 1;
    while (n < lexer->rest.n && lexer->rest.p[n] != quote)
        n += lexer->rest.p[n] == '\\' ? 2 : 1;
    lexer->unclosed = n >= lexer->rest.n;
    lexer->text = span_skip(span_head(lexer->rest, n), 1);
    skip(lexer, n + 1);
    return TOKEN_STRING;
}

static bool is_word(char c)
{
    return c > ' ' && !strchr("{}=,()\"'#", c);
}

static enum token_kind next(struct lexer *lexer)
{
    static const struct {
        char byte;
        enum token_kind kind;
    } marks[] = { { '{', TOKEN_OPEN },  { '}', TOKEN_CLOSE }, { '=', TOKEN_EQUALS },
                  { ',', TOKEN_OTHER }, { '(', TOKEN_OTHER }, { ')', TOKEN_OTHER } };
    skip_blank(lexer);
    if (!lexer->rest.n)
        return TOKEN_END;
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
        if (lexer->rest.p[0] == marks[i].byte) {
            lexer->text = span_head(lexer->rest, 1);
            skip(lexer, 1);
            return marks[i].kind;
        }
    }
    if (lexer->rest.p[0] == '"' || lexer->rest.p[0] == '\'')
        return string(lexer);
    size_t n = 0;
    while (n < lexer->rest.n && is_word(lexer->rest.p[n]))
        n++;
    lexer->text = span_head(lexer->rest, n ? n : 1);
    skip(lexer, n ? n : 1);
    return TOKEN_WORD;
}

/* --- the structure --- */

struct place {
    struct scan *scan;
    const char *file;
    struct lexer lexer;
    unsigned depth; /* of include() */
};

static void note(struct place *place, const struct section *section, const char *title, const struct key *key, unsigned line)
{
    struct scan *scan = place->scan;
    if (scan->nmarks == SCAN_MARKS_MAX)
        return;
    if ((scan->nmarks & (scan->nmarks - 1)) == 0)
        scan->marks = text_realloc(scan->marks, (scan->nmarks ? scan->nmarks * 2 : 1) * sizeof *scan->marks);
    scan->marks[scan->nmarks++] = (struct mark){ section, text_dup(span_of(title)), key, place->file, line, false };
}

/* For a complaint of structure. */
static struct scan *broken(struct place *place)
{
    place->scan->broken = true;
    return place->scan;
}

/* Does a value come next: a text that no = follows, or a list? */
static bool value_follows(struct lexer lexer)
{
    enum token_kind kind = next(&lexer);
    if (kind == TOKEN_WORD)
        return next(&lexer) != TOKEN_EQUALS;
    return kind == TOKEN_STRING || kind == TOKEN_OPEN;
}

/* Complains that WHAT is missing behind NAME, with an example where NAME is that of KEY. */
static void missing(struct place *place, struct span name, const struct key *key, const char *what, unsigned line)
{
    scan_complain(broken(place), place->file, line, "behind %.*s %s missing%s%s%s%s", SPAN_ARGS(span_head(name, 64)), what,
                  key ? "; such as " : "", key ? key->name : "", key ? " = " : "", key ? key->example : "");
}

/* Passes the value of the key NAME (KEY: NULL where nobody knows it): one token, or a list. */
static void pass_value(struct place *place, struct span name, const struct key *key, unsigned line)
{
    enum token_kind kind = TOKEN_OPEN;
    if (!value_follows(place->lexer)) {
        missing(place, name, key, "= a value is", line);
        return;
    }
    if (next(&place->lexer) != TOKEN_OPEN)
        return;
    while (kind != TOKEN_CLOSE && kind != TOKEN_END)
        kind = next(&place->lexer);
    if (kind == TOKEN_END)
        scan_complain(broken(place), place->file, line, "the list of %.*s is never closed; a } is missing",
                      SPAN_ARGS(span_head(name, 64)));
}

/* Passes a section whose name nobody knows. */
static void pass_section(struct place *place)
{
    unsigned open = 1;
    for (enum token_kind kind; open && (kind = next(&place->lexer)) != TOKEN_END;)
        open = kind == TOKEN_OPEN ? open + 1 : kind == TOKEN_CLOSE ? open - 1 : open;
}

static void unknown(struct place *place, const struct section *section, struct span name, unsigned line)
{
    const char *nearest = keys_nearest(section, name);
    scan_complain(place->scan, place->file, line, "there is no %.*s %s%s%s%s%s%s", SPAN_ARGS(span_head(name, 64)),
                  *section->name ? "in section " : "at the top level", section->name, nearest ? "; did you mean " : "",
                  nearest ? nearest : "", nearest ? "?" : "; see postern.conf(5)", "");
}

static void scan_file(struct scan *scan, const char *name, struct span text, unsigned depth);
static void include_file(struct place *place, struct span path, unsigned line);

/* Passes = and the value behind the key NAME in a section. Where a value stands without its =, there is one mistake and not three; of a
 * name that nobody knows that was told. */
static void pass_rest(struct place *place, struct span name, const struct key *key, unsigned line)
{
    struct lexer behind = place->lexer;
    bool equals = next(&behind) == TOKEN_EQUALS, value = value_follows(place->lexer);
    if (equals)
        place->lexer = behind;
    else if (key || !value)
        missing(place, name, key, value ? "a = is" : "= and a value are", line);
    if (equals || value)
        pass_value(place, name, key, line);
    place->scan->broken |= !equals;
}

/* The keys of SECTION up to its "}". */
static void body(struct place *place, const struct section *section, const char *title, unsigned opened)
{
    for (;;) {
        enum token_kind kind = next(&place->lexer);
        unsigned line = place->lexer.line;
        struct span name = place->lexer.text;
        if (kind == TOKEN_CLOSE)
            return;
        if (kind == TOKEN_END) {
            scan_complain(broken(place), place->file, opened, "section %s is never closed; a } is missing", section->name);
            return;
        }
        if (kind != TOKEN_WORD) {
            scan_complain(broken(place), place->file, line, "%.*s is out of place; KEY = VALUE is expected in section %s",
                          SPAN_ARGS(span_head(name, 64)), section->name);
            continue;
        }
        const struct key *key = keys_find(section, name);
        struct mark *first = key ? find(place->scan, section->name, title, key->name) : NULL;
        if (!key) {
            unknown(place, section, name, line);
        } else if (first) {
            first->complained = true;
            scan_complain(place->scan, place->file, line, "%s is set twice in section %s; leave one", key->name, section->name);
        } else {
            note(place, section, title, key, line);
        }
        pass_rest(place, name, key, line);
    }
}

static void open_section(struct place *place, const struct section *section, struct span name, const char *title, unsigned line)
{
    if (!section) {
        unknown(place, keys_section(SPAN("")), name, line);
        pass_section(place);
        place->scan->broken = true;
        return;
    }
    struct mark *first = find(place->scan, section->name, title, NULL);
    if (first) {
        bool spelled = strcmp(first->title, title) != 0;
        first->complained = true;
        scan_complain(place->scan, place->file, line, "%s%s%s is there twice%s%s; put everything into one", section->name,
                      *title ? " " : "", title, spelled ? ", before as " : "", spelled ? first->title : "");
        pass_section(place);
        return;
    }
    note(place, section, title, NULL, line);
    if (section->titled && !*title)
        scan_complain(place->scan, place->file, line, "section %s needs a name before its {, such as %s \"%s\" { … }",
                      section->name, section->name, section->example);
    if (!section->titled && *title)
        scan_complain(place->scan, place->file, line, "section %s has no name; write %s { … }", section->name, section->name);
    body(place, section, title, line);
}

/* One statement at the top level, which began with the word NAME. */
static void statement(struct place *place, struct span name, unsigned line)
{
    const struct section *top = keys_section(SPAN(""));
    char title[SCAN_TITLE_SIZE] = "";
    struct lexer before = place->lexer; /* behind NAME, later behind the title */
    enum token_kind kind = next(&place->lexer);
    if (kind == TOKEN_EQUALS) {
        const struct key *key = keys_find(top, name);
        if (!key)
            unknown(place, top, name, line);
        else if (find(place->scan, "", "", key->name))
            scan_complain(place->scan, place->file, line, "%s is set twice; leave one", key->name);
        else
            note(place, top, "", key, line);
        pass_value(place, name, key, line);
        return;
    }
    if (span_equal(name, SPAN("include")) && span_equal(place->lexer.text, SPAN("("))) {
        next(&place->lexer);
        include_file(place, place->lexer.text, line);
        next(&place->lexer);
        return;
    }
    if (kind == TOKEN_STRING || kind == TOKEN_WORD) {
        text_copy(title, sizeof title, place->lexer.text);
        before = place->lexer;
        kind = next(&place->lexer);
    }
    if (kind == TOKEN_OPEN) {
        open_section(place, *name.p ? keys_section(name) : NULL, name, title, line);
        return;
    }
    place->lexer = before;
    if (keys_find(top, name))
        missing(place, name, keys_find(top, name), *title ? "a = is" : "= and a value are", line);
    else if (span_equal(name, SPAN("include")))
        scan_complain(broken(place), place->file, line, "include is written include(\"/etc/postern/conf.d/sites.conf\")");
    else
        scan_complain(broken(place), place->file, line, "behind %.*s neither = nor { follows", SPAN_ARGS(span_head(name, 64)));
}

/* The whole of PATH into BUFFER; false with errno. */
static bool load(const char *path, struct buffer *buffer)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = -1;
    if (fd < 0)
        return false;
    for (char *to; (to = buffer_reserve(buffer, 65536)) && (n = read(fd, to, 65536)) > 0;)
        buffer_commit(buffer, (size_t)n);
    int problem = n < 0 ? errno : buffer->overflow ? EFBIG : 0;
    close(fd);
    errno = problem;
    return problem == 0;
}

static void include_file(struct place *place, struct span path, unsigned line)
{
    char name[4096];
    struct buffer text;
    buffer_init(&text, SCAN_FILE_MAX);
    if (!path.n || path.p[0] != '/')
        scan_complain(broken(place), place->file, line,
                      "%.*s is no absolute path; such as include(\"/etc/postern/conf.d/sites.conf\")", SPAN_ARGS(path));
    else if (place->depth >= SCAN_DEPTH_MAX)
        scan_complain(broken(place), place->file, line, "files include each other more than %d deep", SCAN_DEPTH_MAX);
    else if (!text_copy(name, sizeof name, path) || !load(name, &text))
        scan_complain(broken(place), place->file, line, "%s cannot be read: %s", name, strerror(errno));
    else
        scan_file(place->scan, name, buffer_span(&text), place->depth + 1);
    buffer_fini(&text);
}

static void scan_file(struct scan *scan, const char *name, struct span text, unsigned depth)
{
    scan->files = text_realloc(scan->files, (scan->nfiles + 1) * sizeof *scan->files);
    struct place place = { scan, scan->files[scan->nfiles++] = text_dup(span_of(name)), { text, 1, { NULL, 0 }, false }, depth };
    if (span_find(text, '\0') < text.n) {
        scan_complain(scan, place.file, 1, "this is no text: it holds a NUL byte");
        return;
    }
    if (span_starts_nocase(text, SPAN(SCAN_BYTE_ORDER_MARK))) {
        scan_complain(broken(&place), place.file, 1, "the file begins with a byte order mark; save it as UTF-8 without one");
        skip(&place.lexer, strlen(SCAN_BYTE_ORDER_MARK));
    }
    for (enum token_kind kind; (kind = next(&place.lexer)) != TOKEN_END;) {
        struct span name_here = place.lexer.text;
        unsigned line = place.lexer.line;
        if (kind == TOKEN_WORD)
            statement(&place, name_here, line);
        else
            scan_complain(broken(&place), place.file, line, "%.*s is out of place; KEY = VALUE or SECTION { … } is expected",
                          SPAN_ARGS(span_head(name_here, 64)));
    }
    if (place.lexer.unclosed)
        scan_complain(broken(&place), place.file, place.lexer.line, "a string or comment is never closed");
}

void scan_text(struct scan *scan, const char *name, struct span text)
{
    scan_file(scan, name, text, 0);
}

void scan_fini(struct scan *scan)
{
    for (size_t i = 0; i < scan->nmarks; i++)
        free(scan->marks[i].title);
    for (size_t i = 0; i < scan->nfiles; i++)
        free(scan->files[i]);
    free(scan->marks);
    free(scan->files);
}
