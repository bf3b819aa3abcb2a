/* A command is one or two words, an argument where its row says so, and filters. Most rows are a question to the daemon, with a way to print
 * each value of its answer; the others have a function of their own. */
#include "commands.h"

#include "../base/text.h"
#include "../conf/files.h"
#include "../conf/read.h"
#include "../conf/warn.h"
#include "adopt.h"
#include "ask.h"
#include "firewall.h"
#include "print.h"
#include "print_account.h"
#include "screen.h"
#include "top.h"
#include "user.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_FILE   "/etc/postern/postern.conf"
#define DEFAULT_SOCKET "/run/postern/control.sock"
#define SOCKET_SIZE    512
#define USAGE_SIZE     256

/* What the words of one call say. */
struct call {
    const struct commands_options *options;
    const struct command *command;
    const char *argument; /* or NULL */
    json_t *filters;
    bool aimed; /* an id, a filter, or --all */
};

enum argument { NO_ARGUMENT, MAY_ARGUMENT, NEEDS_ARGUMENT };

struct command {
    const char *name;
    const char *argument_name;
    enum argument argument;
    const char *argument_filter; /* the argument goes to the daemon under this name */
    bool filters;                /* those that choose messages: --account and the like */
    bool changes;                /* needs to be aimed */
    bool list;                   /* with --json its values are an array */
    void (*print)(const json_t *value);
    int (*run)(const struct call *call);
    const char *help;
};

static int ask(const struct call *call);
static int limits(const struct call *call);
static int suspend(const struct call *call);
static int check(const struct call *call);
static int version(const struct call *call);
static int user(const struct call *call);
static int adopt(const struct call *call);
static int print_rules(const struct call *call);
static int report_attempts(const struct call *call);
static int top(const struct call *call);

static const struct command commands[] = {
    { "status", NULL, NO_ARGUMENT, NULL, false, false, false, print_status, ask,
      "one screen: the queue, sites and accounts in trouble" },
    { "queue list", NULL, NO_ARGUMENT, NULL, true, false, true, print_entry, ask,
      "every message that waits, or those that the filters fit" },
    { "queue show", "ID", NEEDS_ARGUMENT, "id", false, false, false, print_entry, ask, "one of them with its header" },
    { "queue hold", "ID", MAY_ARGUMENT, "id", true, true, false, print_changed, ask,
      "keep messages back until they are released" },
    { "queue release", "ID", MAY_ARGUMENT, "id", true, true, false, print_changed, ask, "let held messages go" },
    { "queue remove", "ID", MAY_ARGUMENT, "id", true, true, false, print_changed, ask,
      "throw messages away, without a report to anybody" },
    { "queue retry", "ID", MAY_ARGUMENT, "id", true, true, false, print_changed, ask, "try messages again now" },
    { "queue adopt", "DIR", NEEDS_ARGUMENT, NULL, false, false, false, NULL, adopt,
      "take over the spool folder of a machine that is dead" },
    { "message", "ID", NEEDS_ARGUMENT, "id", false, false, false, print_life, ask,
      "the whole life of one message, event by event" },
    { "trace", "ADDRESS", NEEDS_ARGUMENT, "recipient", false, false, false, print_trace, ask,
      "where mail for an address would go now, and where from" },
    { "limits", NULL, NO_ARGUMENT, NULL, false, false, true, print_limit, limits,
      "each limit, what is used of it and what is left" },
    { "account list", NULL, NO_ARGUMENT, NULL, false, false, true, print_account_row, ask,
      "accounts with something against them, suspended first" },
    { "account show", "NAME", NEEDS_ARGUMENT, "account", false, false, false, print_account, ask,
      "one account and what speaks against it" },
    { "account suspend", "NAME", NEEDS_ARGUMENT, "account", false, false, false, print_account_row, suspend,
      "stop an account; its mail is held" },
    { "account resume", "NAME", NEEDS_ARGUMENT, "account", false, false, false, print_account_row, ask,
      "let it send again, and its held mail go" },
    { "user add", "NAME", NEEDS_ARGUMENT, NULL, false, false, false, NULL, user, "make an account; asks for its password" },
    { "user passwd", "NAME", NEEDS_ARGUMENT, NULL, false, false, false, NULL, user, "give an account another password" },
    { "user remove", "NAME", NEEDS_ARGUMENT, NULL, false, false, false, NULL, user, "take an account away" },
    { "user list", "NAME", MAY_ARGUMENT, NULL, false, false, false, NULL, user, "the names of all accounts" },
    { "firewall print", NULL, NO_ARGUMENT, NULL, false, false, false, NULL, print_rules,
      "nftables rules that shut port 25 for everybody else" },
    { "firewall report", NULL, NO_ARGUMENT, NULL, false, false, true, print_attempt, report_attempts,
      "who tried to go around the relay" },
    { "check", NULL, NO_ARGUMENT, NULL, false, false, false, NULL, check,
      "check configuration and spool, and whether posternd runs" },
    { "reload", NULL, NO_ARGUMENT, NULL, false, false, false, NULL, ask, "read the configuration again; a wrong one is refused" },
    { "stop", NULL, NO_ARGUMENT, NULL, false, false, false, NULL, ask, "finish what is being sent, then end" },
    { "top", NULL, NO_ARGUMENT, NULL, false, false, false, print_status, top, "what happens, live" },
    { "version", NULL, NO_ARGUMENT, NULL, false, false, false, NULL, version, "the version of this program" },
};
#define NCOMMANDS (sizeof commands / sizeof *commands)

/* Options that only one command takes, some with a value behind them. They are kept among the filters. */
static const struct option {
    const char *command;
    const char *name;
    const char *value_name; /* or NULL */
} own_options[] = {
    { "trace", "account", "A" },
    { "trace", "sender", "S" },
    { "limits", "account", "A" },
    { "limits", "client", "IP" },
    { "limits", "would", NULL },
    { "account suspend", "ahead", NULL },
    { "firewall print", "redirect", "PORT" },
    { "firewall print", "world", "INTERFACE" },
};
#define NOPTIONS (sizeof own_options / sizeof *own_options)

/* A sentence on standard error; what is not printable in it is shown as text_escape does. */
__attribute__((format(printf, 1, 2))) static void complain(const char *format, ...)
{
    char text[1024], shown[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    text_escape(shown, sizeof shown, span_of(text));
    fprintf(stderr, "%s\n", shown);
}

static void print_complaint(void *context, const char *line)
{
    (void)context;
    fprintf(stderr, "%s\n", line);
}

static const char *file_of(const struct call *call)
{
    return call->options->file ? call->options->file : DEFAULT_FILE;
}

/* Where the daemon listens: as the configuration says, or as usual where the usual one does not tell. False, with a sentence, where a file
 * of the caller's own does not: another daemon than the one that is meant must not be asked. */
static bool find_socket(const struct call *call, char path[SOCKET_SIZE])
{
    char why[CONF_WHY_SIZE];
    if (conf_read_socket(file_of(call), path, SOCKET_SIZE, why))
        return true;
    if (!call->options->file)
        return text_copy(path, SOCKET_SIZE, SPAN(DEFAULT_SOCKET));
    complain("%s %s; nothing is done", call->options->file, why);
    return false;
}

/* Prints values as they come: for people, or as JSON, a list with one element a line. */
struct printer {
    const struct call *call;
    unsigned count;
    json_t *gathered; /* not NULL: values for people are printed when all are there */
};

static void take_value(void *context, const json_t *value)
{
    struct printer *printer = context;
    const struct call *call = printer->call;
    if (!call->options->json) {
        if (printer->gathered)
            json_array_append(printer->gathered, (json_t *)(uintptr_t)value);
        else if (call->command->print)
            call->command->print(value);
    } else {
        if (call->command->list)
            fputs(printer->count ? ",\n " : "[", stdout);
        json_dumpf(value, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
    }
    printer->count++;
    fflush(stdout);
}

/* Ends a list in JSON. */
static void end_list(const struct printer *printer)
{
    puts(printer->count ? "]" : "[]");
}

/* Asks the daemon for what it knows as COMMAND. An answer that is there may have a reason, too: why it is not all. */
static int ask_for(const char *command, struct printer *printer)
{
    static char reason[ASK_REASON_SIZE];
    const struct call *call = printer->call;
    char socket[SOCKET_SIZE];
    if (!find_socket(call, socket))
        return COMMANDS_REFUSED;
    enum ask_result result = ask_daemon(socket, command, json_incref(call->filters), take_value, printer, reason);
    if (call->options->json && call->command->list && result != ASK_ABSENT)
        end_list(printer);
    else if (call->options->json && printer->count)
        puts("");
    else if (call->options->json && result == ASK_DONE)
        puts("{}");
    else if (result == ASK_DONE && !printer->count)
        puts(call->command->list ? "none" : "done");
    else if (printer->gathered)
        print_would(printer->gathered);
    if (result != ASK_DONE || *reason)
        fprintf(stderr, "%s%s", *reason ? reason : "refused", *reason && reason[strlen(reason) - 1] == '\n' ? "" : "\n");
    return result == ASK_DONE ? COMMANDS_DONE : COMMANDS_REFUSED;
}

static int ask(const struct call *call)
{
    struct printer printer = { .call = call };
    return ask_for(call->command->name, &printer);
}

static int limits(const struct call *call)
{
    struct printer printer = { .call = call };
    if (json_object_del(call->filters, "would") != 0)
        return ask_for("limits", &printer);
    printer.gathered = json_array();
    int status = ask_for("limits would", &printer);
    json_decref(printer.gathered);
    return status;
}

static void ignore(void *context, const char *line)
{
    (void)context;
    (void)line;
}

/* A name that is mistyped would be suspended all the same, while the account that was meant sends on. */
static bool is_known(const struct call *call)
{
    char nearest[SCRAM_NAME_SIZE];
    struct conf *conf = conf_read(file_of(call), ignore, NULL);
    bool missing = conf && user_is_missing(conf, call->argument, nearest);
    if (missing)
        complain("there is no account %s in %s%s%s; nothing is done. To suspend that name all the same: postern account suspend "
                 "%s --ahead",
                 call->argument, conf->auth.file, *nearest ? "; did you mean " : "", *nearest ? nearest : "", call->argument);
    conf_free(&conf);
    return !missing;
}

static int suspend(const struct call *call)
{
    bool ahead = json_object_del(call->filters, "ahead") == 0;
    return ahead || is_known(call) ? ask(call) : COMMANDS_REFUSED;
}

/* The names of damaged files in the spool, which the daemon's status tells. */
static void take_damaged(void *context, const json_t *status)
{
    json_array_extend(context, json_object_get(json_object_get(status, "spool"), "files"));
}

/* What `check` has found. */
struct findings {
    const struct conf *conf;
    bool runs;
    json_t *unread;  /* of the files that the configuration names, those that only others may read */
    json_t *damaged; /* files of the spool */
};

static void print_findings_json(const struct findings *findings)
{
    json_t *answer = json_pack("{s:b, s:b}", "configuration", 1, "running", findings->runs);
    if (json_array_size(findings->unread))
        json_object_set(answer, "unread", findings->unread);
    if (json_array_size(findings->damaged))
        json_object_set(answer, "damaged", findings->damaged);
    json_dumpf(answer, stdout, 0);
    puts("");
    json_decref(answer);
}

static void print_findings(const struct call *call, const struct findings *findings)
{
    const json_t *line;
    const char *file = call->options->file;
    size_t i;
    printf("%s has no mistake%s.\n", file_of(call),
           json_array_size(findings->unread) ? ", but not all that it names could be looked at" : "");
    json_array_foreach(findings->unread, i, line)
    {
        printf("  %s\n", json_string_value(line) ? json_string_value(line) : "");
    }
    if (i)
        printf("sudo posternd -n%s%s looks at everything.\n", file ? " -f " : "", file ? file : "");
    printf("posternd %s.\n", findings->runs ? "runs" : "does not run");
    json_array_foreach(findings->damaged, i, line)
    {
        printf("%s/%s is damaged; the log says what became of it.\n", findings->conf->spool.directory,
               json_string_value(line) ? json_string_value(line) : "");
    }
}

static void take_unread(void *context, const char *line)
{
    struct findings *findings = context;
    json_array_append_new(findings->unread, json_string(line));
}

/* Looks at all that `posternd -n` looks at. */
static bool check_files(struct findings *findings)
{
    struct bundle *secrets = bundle_new();
    const struct files files = { secrets, secrets, secrets };
    bool right = files_load(findings->conf, &files, print_complaint, take_unread, findings);
    bundle_free(&secrets);
    return right;
}

static int check(const struct call *call)
{
    static char reason[ASK_REASON_SIZE];
    int status = COMMANDS_REFUSED;
    struct conf *conf = conf_read(file_of(call), print_complaint, NULL);
    if (!conf)
        return status;
    conf_warn(conf, print_complaint, NULL);
    struct findings findings = { conf, false, json_array(), json_array() };
    if (check_files(&findings)) {
        findings.runs =
            ask_daemon(conf->control.socket, "status", json_object(), take_damaged, findings.damaged, reason) == ASK_DONE;
        status = json_array_size(findings.damaged) ? COMMANDS_REFUSED : COMMANDS_DONE;
        if (call->options->json)
            print_findings_json(&findings);
        else
            print_findings(call, &findings);
    }
    json_decref(findings.unread);
    json_decref(findings.damaged);
    conf_free(&conf);
    return status;
}

static int version(const struct call *call)
{
    printf(call->options->json ? "{\"version\": \"%s\"}\n" : "postern %s\n", POSTERN_VERSION);
    return COMMANDS_DONE;
}

static int user(const struct call *call)
{
    struct conf *conf = conf_read(file_of(call), print_complaint, NULL);
    if (!conf)
        return COMMANDS_REFUSED;
    int status = user_run(conf, call->command->name + strlen("user "), call->argument, call->options->json);
    conf_free(&conf);
    return status;
}

/* The pairs are carried by this process, which may read the other folder; the daemon, where it runs, then looks for them. */
static int adopt(const struct call *call)
{
    static char reason[ASK_REASON_SIZE];
    struct conf *conf = conf_read(file_of(call), print_complaint, NULL);
    unsigned carried;
    if (!conf)
        return COMMANDS_REFUSED;
    int status = adopt_run(conf, call->argument, &carried);
    bool runs = false;
    if (carried) {
        json_t *all = json_pack("{s:b}", "all", 1);
        runs = ask_daemon(conf->control.socket, "queue adopt", all, NULL, NULL, reason) == ASK_DONE;
    }
    if (call->options->json)
        printf("{\"segments\": %u, \"running\": %s}\n", carried, runs ? "true" : "false");
    else if (carried)
        printf("%u segment%s came over from %s;\n%s\n", carried, carried == 1 ? "" : "s", call->argument,
               runs ? "postern queue list shows what waits" : "what waits in them is sent once posternd runs");
    conf_free(&conf);
    return status;
}

static int print_rules(const struct call *call)
{
    struct conf *conf = conf_read(file_of(call), print_complaint, NULL);
    if (!conf)
        return COMMANDS_REFUSED;
    int status = firewall_print(conf, json_string_value(json_object_get(call->filters, "redirect")),
                                json_string_value(json_object_get(call->filters, "world")), call->options->json);
    conf_free(&conf);
    return status;
}

static int report_attempts(const struct call *call)
{
    struct printer printer = { .call = call };
    char socket[SOCKET_SIZE];
    if (!find_socket(call, socket))
        return COMMANDS_REFUSED;
    int status = firewall_report(call->options->file, socket, take_value, &printer);
    if (status == COMMANDS_DONE && call->options->json)
        end_list(&printer);
    else if (status == COMMANDS_DONE && !printer.count)
        puts("nobody tried");
    return status;
}

/* What is live is for people at a terminal; else there is one status. */
static int top(const struct call *call)
{
    static const struct command status = { .name = "status", .print = print_status };
    struct call once = *call;
    char socket[SOCKET_SIZE];
    once.command = &status;
    if (call->options->json || !isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return ask(&once);
    return find_socket(call, socket) ? top_run(socket) : COMMANDS_REFUSED;
}

/* COMMAND's name and argument, in brackets where it can be left out. */
static void name_of(const struct command *command, char text[USAGE_SIZE])
{
    const char *argument = command->argument ? command->argument_name : "";
    bool may = command->argument == MAY_ARGUMENT;
    text_format(text, USAGE_SIZE, "%s%s%s%s%s", command->name, *argument ? " " : "", may ? "[" : "", argument, may ? "]" : "");
}

/* All that can be typed for COMMAND. */
static void usage_of(const struct command *command, char text[USAGE_SIZE])
{
    name_of(command, text);
    size_t used = strlen(text);
    if (command->filters)
        text_format(text + used, USAGE_SIZE - used,
                    " [--account A] [--client IP] [--sender S] [--recipient R] [--site S] [--all]");
    for (size_t i = 0; i < NOPTIONS; i++) {
        const struct option *option = &own_options[i];
        used = strlen(text);
        if (strcmp(option->command, command->name) == 0)
            text_format(text + used, USAGE_SIZE - used, " [--%s%s%s]", option->name, option->value_name ? " " : "",
                        option->value_name ? option->value_name : "");
    }
}

void commands_help(void)
{
    puts("usage: postern [-f FILE] [--json] COMMAND");
    for (size_t i = 0; i < NCOMMANDS; i++) {
        char text[USAGE_SIZE];
        name_of(&commands[i], text);
        printf("  %-20s %s\n", text, commands[i].help);
    }
    puts("queue list, hold, release, remove, retry:\n"
         "  --account A  --client IP  --sender S  --recipient R  --site S  --all");
    for (size_t i = 0; i < NOPTIONS; i++)
        printf("%s: --%s%s%s\n", own_options[i].command, own_options[i].name, own_options[i].value_name ? " " : "",
               own_options[i].value_name ? own_options[i].value_name : "");
}

/* How many leading letters A and B share. */
static size_t shared(const char *a, const char *b)
{
    size_t n = 0;
    while (a[n] && a[n] == b[n])
        n++;
    return n;
}

static int unknown(int count, char **words)
{
    const char *nearest = NULL;
    char said[128];
    size_t best = 0;
    bool is_first_word = false; /* of a command of two words */
    for (size_t i = 0; i < NCOMMANDS; i++) {
        size_t n = strlen(words[0]);
        is_first_word = is_first_word || (strncmp(commands[i].name, words[0], n) == 0 && commands[i].name[n] == ' ');
    }
    text_format(said, sizeof said, "%s%s%s", words[0], is_first_word && count > 1 ? " " : "",
                is_first_word && count > 1 ? words[1] : "");
    for (size_t i = 0; i < NCOMMANDS; i++) {
        if (shared(said, commands[i].name) > best) {
            best = shared(said, commands[i].name);
            nearest = commands[i].name;
        }
    }
    complain("postern: there is no command %s; %s%s", said, nearest ? "did you mean postern " : "postern alone lists them all",
             nearest ? nearest : "");
    return COMMANDS_USAGE;
}

/* Is COMMAND the one that WORDS (COUNT of them) name, or one of those that begin with the only word? */
static bool is_named(const struct command *command, int count, char **words)
{
    size_t n = strlen(words[0]);
    bool one_word = count < 2 || words[1][0] == '-';
    if (strcmp(command->name, words[0]) == 0)
        return true;
    return strncmp(command->name, words[0], n) == 0 && command->name[n] == ' ' &&
           (one_word || strcmp(command->name + n + 1, words[1]) == 0);
}

/* How to call what WORDS name. */
static int help_of(int count, char **words)
{
    char usage[USAGE_SIZE];
    int found = 0;
    for (size_t i = 0; i < NCOMMANDS; i++) {
        if (!is_named(&commands[i], count, words))
            continue;
        usage_of(&commands[i], usage);
        screen_flow_format(0, 11, "%s postern %s", found++ ? "      " : "usage:", usage);
        printf("           %s\n", commands[i].help);
    }
    return found ? COMMANDS_DONE : unknown(count, words);
}

/* The row for the first one or two of WORDS; *ret_used is how many they are. `queue` alone is `queue list`. */
static const struct command *find(int count, char **words, int *ret_used)
{
    char two[128], listed[128];
    text_format(two, sizeof two, "%s %s", words[0], count > 1 ? words[1] : "");
    text_format(listed, sizeof listed, "%s list", words[0]);
    for (size_t i = 0; i < NCOMMANDS; i++) {
        const char *name = commands[i].name;
        *ret_used = strchr(name, ' ') ? 2 : 1;
        if (strcmp(name, two) == 0 || strcmp(name, words[0]) == 0)
            return &commands[i];
    }
    for (size_t i = 0; i < NCOMMANDS; i++) {
        *ret_used = 1;
        if (strcmp(commands[i].name, listed) == 0 && (count == 1 || words[1][0] == '-'))
            return &commands[i];
    }
    return NULL;
}

static const char *const filter_names[] = { "account", "client", "sender", "recipient", "site" };

/* May TEXT say what a command is about? One that is empty, such as a shell's variable that is not set, would fit everything; one that is
 * no UTF-8 cannot be sent. */
static bool is_value(const struct call *call, const char *name, const char *text)
{
    if (text && *text && text_is_utf8(span_of(text)))
        return true;
    complain("postern %s: %s %s", call->command->name, name,
             text && *text ? "must be valid UTF-8" : "needs a value behind it that is not empty");
    return false;
}

/* Takes VALUE (the next word, or NULL) for NAME, which WORD says. Returns as take_filter. */
static int take_named(struct call *call, const char *word, const char *name, const char *value)
{
    if (!is_value(call, word, value))
        return -1;
    if (json_object_get(call->filters, name)) {
        complain("postern %s: %s is there twice; give it once", call->command->name, word);
        return -1;
    }
    json_object_set_new(call->filters, name, json_string(value));
    call->aimed = true;
    return 2;
}

/* Takes an option that is this command's own. Returns as take_filter. */
static int take_option(struct call *call, const char *word, const char *value)
{
    for (size_t i = 0; i < NOPTIONS; i++) {
        const struct option *option = &own_options[i];
        if (strcmp(option->command, call->command->name) != 0 || strncmp(word, "--", 2) != 0 ||
            strcmp(word + 2, option->name) != 0)
            continue;
        if (option->value_name)
            return take_named(call, word, option->name, value);
        json_object_set_new(call->filters, option->name, json_true());
        return 1;
    }
    return 0;
}

/* Takes the filter WORD with VALUE (the next word, or NULL). Returns how many words it was; 0 where it is none, -1 where it is wrong. */
static int take_filter(struct call *call, const char *word, const char *value)
{
    if (strcmp(word, "--all") == 0) {
        json_object_set_new(call->filters, "all", json_true());
        call->aimed = true;
        return 1;
    }
    for (size_t i = 0; i < sizeof filter_names / sizeof *filter_names; i++) {
        if (strncmp(word, "--", 2) == 0 && strcmp(word + 2, filter_names[i]) == 0)
            return take_named(call, word, filter_names[i], value);
    }
    return 0;
}

/* Takes one of the words behind the command's name, NEXT (or NULL) stands behind it. Returns as take_filter. */
static int take_word(struct call *call, const char *word, const char *next)
{
    const struct command *command = call->command;
    if (word[0] == '-') {
        int used = take_option(call, word, next);
        return used || !command->filters ? used : take_filter(call, word, next);
    }
    if (!command->argument || call->argument)
        return 0;
    if (!is_value(call, command->argument_name, word))
        return -1;
    call->argument = word;
    return 1;
}

static void out_of_place(const struct command *command, const char *word)
{
    bool goes_first = strcmp(word, "--json") == 0 || strcmp(word, "-f") == 0;
    char usage[USAGE_SIZE];
    usage_of(command, usage);
    complain("postern %s: %s is out of place; type postern %s%s%s", command->name, word, goes_first ? word : "",
             goes_first ? word[1] == 'f' ? " FILE " : " " : "", usage);
}

/* Reads what follows the command's name. False, with a sentence, where it does not fit. */
static bool read_words(struct call *call, int count, char **words)
{
    const struct command *command = call->command;
    for (int i = 0; i < count;) {
        int used = take_word(call, words[i], i + 1 < count ? words[i + 1] : NULL);
        if (!used)
            out_of_place(command, words[i]);
        if (used <= 0)
            return false;
        i += used;
    }
    if (command->argument == NEEDS_ARGUMENT && !call->argument) {
        complain("postern %s needs one word more; type postern %s %s", command->name, command->name, command->argument_name);
        return false;
    }
    if (call->argument && command->argument_filter) {
        json_object_set_new(call->filters, command->argument_filter, json_string(call->argument));
        call->aimed = true;
    }
    if (command->changes && !call->aimed) {
        complain("postern %s needs an ID, a filter such as --account A, or --all", command->name);
        return false;
    }
    return true;
}

int commands_run(const struct commands_options *options, int count, char **words)
{
    struct call call = { .options = options };
    int used, status = COMMANDS_USAGE;
    if (strcmp(words[0], "help") == 0 && count > 1)
        return help_of(count - 1, words + 1);
    for (int i = 1; i < count; i++)
        if (strcmp(words[i], "--help") == 0)
            return help_of(i, words);
    if (strcmp(words[0], "help") == 0) {
        commands_help();
        return COMMANDS_DONE;
    }
    call.command = find(count, words, &used);
    if (!call.command)
        return unknown(count, words);
    call.filters = json_object();
    if (read_words(&call, count - used, words + used))
        status = call.command->run(&call);
    json_decref(call.filters);
    return status;
}
