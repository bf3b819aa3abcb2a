#include "library.h"

#include "../base/log.h"
#include "../base/span.h"

#include <dlfcn.h>

#define FILE_NAME "libcurl.so.4"

#define NAME_ROW(name) "curl_" #name,

static const char *const names[] = { LIBRARY_CALLS(NAME_ROW) };

_Static_assert(sizeof(struct library) == sizeof names / sizeof *names * sizeof(void *), "a name for each call");

/* Fills in the calls. False where one is missing. */
static bool find_calls(void *file, struct library *library)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        void *call = dlsym(file, names[i]);
        if (!call)
            return false;
        memcpy((char *)library + i * sizeof call, &call, sizeof call);
    }
    return true;
}

const struct library *library_load(void)
{
    static struct library library;
    void *file = dlopen(FILE_NAME, RTLD_NOW | RTLD_LOCAL);
    if (!file || !find_calls(file, &library)) {
        log_say(LOG_ERROR, "error",
                "libcurl cannot be used (%s): no MTA-STS policy can be fetched until it is there and postern is "
                "started again; those that are known hold",
                dlerror());
        return NULL;
    }
    const curl_version_info_data *version = library.version_info(CURLVERSION_NOW);
    if (library.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK &&
        span_starts_nocase(span_of(version->ssl_version), SPAN("OpenSSL/")))
        return &library;
    log_say(LOG_ERROR, "error", "libcurl %s with %s cannot be used: no MTA-STS policy can be fetched", version->version,
            version->ssl_version ? version->ssl_version : "no TLS");
    return NULL;
}
