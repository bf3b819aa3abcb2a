/* libcurl's multi interface over our loop. It tells through callbacks which sockets it watches and when it wants to be called; it is called
 * then, and afterwards asked which transfers are at their end.
 *
 * Addresses go in by CURLOPT_RESOLVE, for each transfer into a cache of its own (a share that nobody shares), since libcurl's common one
 * would keep each for ever. So nothing in it asks a name server, and no later transfer meets an earlier one's addresses. Connections and TLS
 * sessions are not kept either: a domain is asked once in a day.
 *
 * The certificate authorities are one store, read before the sandbox closes and lent to each handshake: to read 140 certificates
 * takes as long as all the rest of a fetch, and no file can be opened any more. */
#include "fetch.h"

#include "../base/buffer.h"
#include "../base/list.h"
#include "../base/log.h"
#include "../base/text.h"
#include "../smtp/limits.h"
#include "library.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#define HEADERS_MAX 65536 /* bytes of a reply's header, and of all that come before it (1xx) */

struct fetch {
    struct loop *loop;
    struct fetch_settings settings;
    const struct library *curl; /* NULL: there is none */
    CURLM *multi;
    X509_STORE *authorities;
    struct timer timer;
    struct list transfers;
};

struct transfer {
    struct list node;
    struct fetch *fetch;
    char host[SMTP_DOMAIN_SIZE];
    CURL *easy;
    CURLSH *share;
    struct curl_slist *addresses;
    struct buffer file;
    size_t headers;              /* bytes of them so far */
    bool asked;                  /* the reply's head was looked at */
    char problem[256];           /* found while it came; "" none */
    char error[CURL_ERROR_SIZE]; /* libcurl's own words */
    fetch_done done;
    void *context;
};

/* --- sockets and time --- */

/* Tells whoever asked for what is at its end. */
static void settle(struct fetch *fetch);

static void act(struct fetch *fetch, curl_socket_t fd, int events)
{
    int running;
    fetch->curl->multi_socket_action(fetch->multi, fd, events, &running);
    settle(fetch);
}

static void socket_ready(void *context, int fd, unsigned ready)
{
    act(context, fd, (ready & WATCH_READ ? CURL_CSELECT_IN : 0) | (ready & WATCH_WRITE ? CURL_CSELECT_OUT : 0));
}

static void time_has_come(void *context)
{
    act(context, CURL_SOCKET_TIMEOUT, 0);
}

/* libcurl wants something else of a socket, or is about to close it. */
static int socket_changed(CURL *easy, curl_socket_t fd, int what, void *context, void *socket)
{
    struct fetch *fetch = context;
    struct watch *watch = socket;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (watch)
            watch_fini(watch);
        free(watch);
        return 0;
    }
    unsigned wanted = (what & CURL_POLL_IN ? WATCH_READ : 0u) | (what & CURL_POLL_OUT ? WATCH_WRITE : 0u);
    if (watch) {
        watch_want(watch, wanted);
        return 0;
    }
    watch = text_zalloc(sizeof *watch);
    watch_set(watch, fetch->loop, fd, wanted, socket_ready, fetch);
    fetch->curl->multi_assign(fetch->multi, fd, watch);
    return 0;
}

static int time_changed(CURLM *multi, long delay_ms, void *context)
{
    struct fetch *fetch = context;
    (void)multi;
    if (delay_ms < 0)
        timer_stop(&fetch->timer);
    else
        timer_set(&fetch->timer, fetch->loop, delay_ms, time_has_come, fetch);
    return 0;
}

/* --- what comes --- */

/* The head is there: is it what was asked for? */
static bool look_at_head(struct transfer *transfer)
{
    const struct fetch *fetch = transfer->fetch;
    long status = 0;
    char *type = NULL;
    transfer->asked = true;
    fetch->curl->easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    fetch->curl->easy_getinfo(transfer->easy, CURLINFO_CONTENT_TYPE, &type);
    struct span media = span_of(type);
    media = span_trim(span_cut(&media, ';'));
    if (status != 200)
        text_format(transfer->problem, sizeof transfer->problem, "the server answers with %ld", status);
    else if (!span_equal_nocase(media, span_of(fetch->settings.media_type)))
        text_format(transfer->problem, sizeof transfer->problem, "what the server sends is %.*s and not %s",
                    SPAN_ARGS(span_head(media.n ? media : SPAN("of no type"), 100)), fetch->settings.media_type);
    return !transfer->problem[0];
}

/* Some of the file. What is less than SIZE ends the transfer. */
static size_t take_file(char *bytes, size_t one, size_t size, void *context)
{
    struct transfer *transfer = context;
    (void)one;
    if (!transfer->asked && !look_at_head(transfer))
        return 0;
    if (buffer_add(&transfer->file, span_make(bytes, size)))
        return size;
    text_format(transfer->problem, sizeof transfer->problem, "it is larger than %zu bytes", transfer->fetch->settings.size_max);
    return 0;
}

static size_t take_header(char *bytes, size_t one, size_t size, void *context)
{
    struct transfer *transfer = context;
    (void)bytes;
    (void)one;
    transfer->headers += size;
    if (transfer->headers <= HEADERS_MAX)
        return size;
    text_format(transfer->problem, sizeof transfer->problem, "the server's header is larger than %d bytes", HEADERS_MAX);
    return 0;
}

/* --- the end --- */

static void free_transfer(struct transfer *transfer)
{
    const struct library *curl = transfer->fetch->curl;
    list_remove(&transfer->node);
    if (transfer->easy)
        curl->multi_remove_handle(transfer->fetch->multi, transfer->easy);
    curl->easy_cleanup(transfer->easy);
    curl->share_cleanup(transfer->share);
    curl->slist_free_all(transfer->addresses);
    buffer_fini(&transfer->file);
    free(transfer);
}

/* Why RESULT is no file, or NULL. */
static const char *problem_of(struct transfer *transfer, CURLcode result)
{
    if (result == CURLE_OK && !transfer->asked)
        look_at_head(transfer); /* there was nothing behind it */
    if (transfer->problem[0])
        return transfer->problem;
    if (result == CURLE_OK)
        return NULL;
    if (result == CURLE_FILESIZE_EXCEEDED)
        return "it is too large";
    return transfer->error[0] ? transfer->error : transfer->fetch->curl->easy_strerror(result);
}

static void finish(struct transfer *transfer, CURLcode result)
{
    const char *problem = problem_of(transfer, result);
    list_remove(&transfer->node);
    transfer->done(transfer->context, problem, problem ? SPAN("") : buffer_span(&transfer->file));
    free_transfer(transfer);
}

static void settle(struct fetch *fetch)
{
    const CURLMsg *message;
    for (int left; (message = fetch->curl->multi_info_read(fetch->multi, &left));) {
        void *easy = message->easy_handle;
        CURLcode result = message->data.result;
        LIST_EACH(node, &fetch->transfers) {
            struct transfer *transfer = LIST_ENTRY(node, struct transfer, node);
            if (transfer->easy != easy)
                continue;
            finish(transfer, result);
            break;
        }
    }
}

/* --- the beginning --- */

/* The name is looked for here, too: libcurl takes one in the certificate's subject, which is none (RFC 8461 3.3). */
static CURLcode lend_authorities(CURL *easy, void *context, void *given)
{
    const struct transfer *transfer = given;
    X509_VERIFY_PARAM *wanted = SSL_CTX_get0_param(context);
    (void)easy;
    X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (X509_VERIFY_PARAM_set1_host(wanted, transfer->host, 0) != 1)
        return CURLE_OUT_OF_MEMORY;
    SSL_CTX_set1_cert_store(context, transfer->fetch->authorities);
    return CURLE_OK;
}

static bool set_numbers(const struct library *curl, CURL *easy, const struct fetch_settings *settings)
{
    const struct {
        CURLoption option;
        long value;
    } numbers[] = {
        { CURLOPT_NOSIGNAL, 1 },
        { CURLOPT_FOLLOWLOCATION, 0 },
        { CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1 },
        { CURLOPT_HTTP09_ALLOWED, 0 },
        { CURLOPT_HTTP_CONTENT_DECODING, 0 },
        { CURLOPT_NETRC, CURL_NETRC_IGNORED },
        { CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2 },
        { CURLOPT_SSL_VERIFYPEER, 1 },
        { CURLOPT_SSL_VERIFYHOST, 2 },
        { CURLOPT_SSL_SESSIONID_CACHE, 0 },
        { CURLOPT_CA_CACHE_TIMEOUT, 0 },
        { CURLOPT_FRESH_CONNECT, 1 },
        { CURLOPT_FORBID_REUSE, 1 },
        { CURLOPT_CONNECTTIMEOUT_MS, (long)settings->connect_ms },
        { CURLOPT_TIMEOUT_MS, (long)settings->whole_ms },
        { CURLOPT_MAXFILESIZE, (long)settings->size_max },
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (curl->easy_setopt(easy, numbers[i].option, numbers[i].value) != CURLE_OK)
            return false;
    return true;
}

static bool set_pointers(struct transfer *transfer, const char *url)
{
    const struct library *curl = transfer->fetch->curl;
    const struct {
        CURLoption option;
        const void *value;
    } pointers[] = {
        { CURLOPT_URL, url },
        { CURLOPT_PROTOCOLS_STR, "https" },
        { CURLOPT_PROXY, "" }, /* not that of the environment */
        { CURLOPT_USERAGENT, "postern/" POSTERN_VERSION },
        { CURLOPT_RESOLVE, transfer->addresses },
        { CURLOPT_SHARE, transfer->share },
        { CURLOPT_CAINFO, NULL },
        { CURLOPT_CAPATH, NULL },
        { CURLOPT_SSL_CTX_DATA, transfer },
        { CURLOPT_ERRORBUFFER, transfer->error },
        { CURLOPT_WRITEDATA, transfer },
        { CURLOPT_HEADERDATA, transfer },
    };
    for (size_t i = 0; i < sizeof pointers / sizeof *pointers; i++)
        if (curl->easy_setopt(transfer->easy, pointers[i].option, pointers[i].value) != CURLE_OK)
            return false;
    return curl->easy_setopt(transfer->easy, CURLOPT_SSL_CTX_FUNCTION, lend_authorities) == CURLE_OK &&
           curl->easy_setopt(transfer->easy, CURLOPT_WRITEFUNCTION, take_file) == CURLE_OK &&
           curl->easy_setopt(transfer->easy, CURLOPT_HEADERFUNCTION, take_header) == CURLE_OK;
}

/* Tells libcurl what HOST:PORT resolves to. */
static bool set_addresses(struct transfer *transfer, const char *host, uint16_t port, const struct netaddr *addresses,
                          unsigned count)
{
    struct buffer text;
    buffer_init(&text, 4096);
    buffer_addf(&text, "%s:%u:", host, port);
    for (unsigned i = 0; i < count; i++) {
        char address[NETADDR_TEXT_SIZE];
        netaddr_print(&addresses[i], address);
        buffer_addf(&text, addresses[i].family == 6 ? "%s[%s]" : "%s%s", i ? "," : "", address);
    }
    transfer->addresses = transfer->fetch->curl->slist_append(NULL, buffer_text(&text));
    bool whole = !text.overflow;
    buffer_fini(&text);
    return whole && transfer->addresses;
}

static bool begin(struct transfer *transfer, const char *url)
{
    const struct fetch *fetch = transfer->fetch;
    const struct library *curl = fetch->curl;
    transfer->easy = curl->easy_init();
    transfer->share = curl->share_init();
    return transfer->easy && transfer->share &&
           curl->share_setopt(transfer->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS) == CURLSHE_OK &&
           set_numbers(curl, transfer->easy, &fetch->settings) && set_pointers(transfer, url) &&
           curl->multi_add_handle(fetch->multi, transfer->easy) == CURLM_OK;
}

void fetch_start(struct fetch *fetch, const char *host, uint16_t port, const char *path, const struct netaddr *addresses,
                 unsigned count, fetch_done done, void *context)
{
    char url[1024];
    bool fits = text_format(url, sizeof url, "https://%s:%u/%s", host, port, path);
    if (!fetch->multi || !fetch->authorities) {
        done(context, "postern cannot fetch anything: see its log from its start on", SPAN(""));
        return;
    }
    struct transfer *transfer = text_zalloc(sizeof *transfer);
    transfer->fetch = fetch;
    transfer->done = done;
    transfer->context = context;
    text_copy(transfer->host, sizeof transfer->host, span_of(host));
    buffer_init(&transfer->file, fetch->settings.size_max);
    list_append(&fetch->transfers, &transfer->node);
    if (fits && set_addresses(transfer, host, port, addresses, count) && begin(transfer, url))
        return;
    done(context, "libcurl does not take what it is told", SPAN(""));
    free_transfer(transfer);
}

/* --- the whole --- */

static X509_STORE *read_authorities(const char *file)
{
    X509_STORE *store = X509_STORE_new();
    if (store && X509_STORE_load_file(store, file) == 1)
        return store;
    unsigned long error = ERR_peek_last_error();
    const char *why = error ? ERR_reason_error_string(error) : NULL;
    log_say(
        LOG_ERROR, "error",
        "the certificate authorities in %s cannot be read (%s): no MTA-STS policy can be fetched until postern is started again; "
        "those that are known hold",
        file, why ? why : "no reason given");
    ERR_clear_error();
    X509_STORE_free(store);
    return NULL;
}

struct fetch *fetch_new(struct loop *loop, const struct fetch_settings *settings)
{
    struct fetch *fetch = text_zalloc(sizeof *fetch);
    *fetch = (struct fetch){ .loop = loop, .settings = *settings };
    list_init(&fetch->transfers);
    fetch->authorities = read_authorities(settings->ca_file);
    fetch->curl = library_load();
    fetch->multi = fetch->curl ? fetch->curl->multi_init() : NULL;
    if (!fetch->multi)
        return fetch;
    fetch->curl->multi_setopt(fetch->multi, CURLMOPT_SOCKETFUNCTION, socket_changed);
    fetch->curl->multi_setopt(fetch->multi, CURLMOPT_SOCKETDATA, fetch);
    fetch->curl->multi_setopt(fetch->multi, CURLMOPT_TIMERFUNCTION, time_changed);
    fetch->curl->multi_setopt(fetch->multi, CURLMOPT_TIMERDATA, fetch);
    return fetch;
}

void fetch_free(struct fetch **fetch)
{
    if (!*fetch)
        return;
    LIST_EACH(node, &(*fetch)->transfers)
        free_transfer(LIST_ENTRY(node, struct transfer, node));
    if ((*fetch)->multi)
        (*fetch)->curl->multi_cleanup((*fetch)->multi);
    if ((*fetch)->curl)
        (*fetch)->curl->global_cleanup();
    timer_fini(&(*fetch)->timer);
    X509_STORE_free((*fetch)->authorities);
    free(*fetch);
    *fetch = NULL;
}
