/* decide KEYS [REDIS]   what a decision at RCPT costs policy, without the channel that brings it: by the default limits, with rates that
 * let all pass, for KEYS accounts that were all seen before, chosen at random. With the path of a Redis's socket the limits are shared
 * through it, AT_ONCE questions under way at a time. Reads lines "QUESTIONS RECIPIENTS" and prints a JSON object for each. */
#include "../../policy/flight.h"
#include "../../relay/base/clock.h"
#include "../../relay/base/log.h"
#include "../../relay/base/text.h"
#include "../../relay/conf/read.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

/* Numbers that cost nothing: those of the kernel would be a third of what is measured. */
static uint32_t some_below(uint32_t n)
{
    static uint64_t state = 88172645463325252ull;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)((state >> 32) * n >> 32);
}

#define AT_ONCE 64

static const char settings[] =
    "hostname = \"relay.example.net\"\n"
    "listener office { address = { \"127.0.0.1:25\" } tls = none auth = none networks = { \"127.0.0.0/8\" } }\n"
    "limit hourly { count = recipients rate = \"1000000000/1h\" }\n"
    "limit daily { count = recipients rate = \"1000000000/1d\" }\n"
    "limit first-time { count = first-time-recipients rate = \"1000000000/1d\" }\n";

static struct decide *decide;
static struct flights flights;
static struct sharing *sharing;
static struct loop *loop;
static uint64_t under_way, refused;

static void complain(void *context, const char *line)
{
    (void)context;
    fprintf(stderr, "%s\n", line);
    exit(1);
}

static void nothing(void *context)
{
    (void)context;
}

static void changed(void *context, struct span account, struct span json)
{
    (void)context;
    (void)account;
    (void)json;
}

static void done(void *asker, const struct decision *decision)
{
    static struct policy_rcpt_answer answer;
    (void)asker;
    decide_answer(decision, &answer);
    for (uint32_t i = 0; i < answer.count; i++)
        refused += answer.each[i].verdict != POLICY_ALLOW;
    under_way--;
}

static void ask(uint64_t account, uint32_t recipients)
{
    static struct policy_rcpt question = { .subject.client = { .family = 4, .bytes = { 127, 0, 0, 1 } } };
    char recipient[40];
    text_format(question.subject.account, sizeof question.subject.account, "account%llu", (unsigned long long)account);
    question.count = question.size = 0;
    for (uint32_t i = 0; i < recipients; i++) {
        text_format(recipient, sizeof recipient, "r%u@example.com", some_below(200));
        policy_rcpt_add(&question, recipient);
    }
    under_way++;
    flights_begin(&flights, &flights, decide_begin_rcpt(decide, &question, clock_monotonic_ms()));
    while (under_way >= AT_ONCE)
        loop_once(loop, true);
}

static double processor_s(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void drain(void)
{
    while (under_way)
        loop_once(loop, true);
}

static void measure(uint32_t keys, uint64_t questions, uint32_t recipients)
{
    double cpu_s = processor_s();
    int64_t began_ms = clock_monotonic_ms(), since_ms;
    for (uint64_t i = 0; i < questions; i++)
        ask(some_below(keys), recipients);
    drain();
    bool shared = !sharing || sharing_is_connected(sharing, &since_ms);
    printf("{\"seconds\": %.3f, \"cpu_s\": %.3f, \"refused\": %llu, \"shared\": %s}\n",
           (double)(clock_monotonic_ms() - began_ms) / 1000, processor_s() - cpu_s, (unsigned long long)refused,
           shared ? "true" : "false");
    fflush(stdout);
}

static void fill(uint32_t keys)
{
    for (uint32_t i = 0; i < keys; i++)
        ask(i, 1);
    drain();
    printf("{\"filled\": %u}\n", keys);
    fflush(stdout);
}

/* "QUESTIONS RECIPIENTS", a line each. */
static void measure_all(uint32_t keys)
{
    char line[100];
    while (fgets(line, sizeof line, stdin)) {
        struct span rest = span_trim(span_make(line, strcspn(line, "\n"))), first = span_cut(&rest, ' ');
        uint64_t questions, recipients;
        if (text_number(first, 1, UINT32_MAX, &questions) && text_number(rest, 1, POLICY_BATCH_MAX, &recipients))
            measure(keys, questions, (uint32_t)recipients);
    }
}

static void share(const char *where)
{
    static const struct redis_shared_events events = { .begins = nothing, .changed = changed, .complete = nothing };
    const struct sharing_settings how = { where, "", 10000 };
    int64_t since_ms;
    sharing = sharing_new(loop, &how, decide_limits(decide), &events, NULL);
    while (!sharing_is_connected(sharing, &since_ms))
        loop_once(loop, true);
    flights_set_sharing(&flights, sharing);
}

int main(int argc, char **argv)
{
    uint64_t keys;
    if (argc < 2 || !text_number(span_of(argv[1]), 1, UINT32_MAX, &keys)) {
        fprintf(stderr, "usage: decide KEYS [REDIS]\n");
        return 2;
    }
    log_setup(LOG_LOGFMT, LOG_WARNING, "bench");
    struct conf *conf = conf_read_text("bench", span_of(settings), complain, NULL);
    decide = decide_new(conf);
    loop = loop_new();
    flights_init(&flights, decide, done);
    if (argc > 2)
        share(argv[2]);
    fill((uint32_t)keys);
    measure_all((uint32_t)keys);
    flights_set_sharing(&flights, NULL);
    sharing_free(&sharing);
    decide_free(&decide);
    conf_free(&conf);
    loop_free(&loop);
    return 0;
}
