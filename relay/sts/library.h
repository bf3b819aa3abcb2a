/* libcurl, loaded while the process runs and not linked: it brings thirty libraries along (LDAP, SSH, Kerberos …), which cost each process
 * that has them 0.6 MB and two milliseconds at its start, and none but this role is to have them in its memory. */
#ifndef POSTERN_STS_LIBRARY_H
#define POSTERN_STS_LIBRARY_H

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#include <stdbool.h>

/* X(NAME) for each function that is used, without its curl_. */
#define LIBRARY_CALLS(X)                                                                                                         \
    X(global_init)                                                                                                               \
    X(global_cleanup)                                                                                                            \
    X(version_info)                                                                                                              \
    X(easy_init)                                                                                                                 \
    X(easy_cleanup)                                                                                                              \
    X(easy_setopt)                                                                                                               \
    X(easy_getinfo)                                                                                                              \
    X(easy_strerror)                                                                                                             \
    X(multi_init)                                                                                                                \
    X(multi_cleanup)                                                                                                             \
    X(multi_setopt)                                                                                                              \
    X(multi_assign)                                                                                                              \
    X(multi_add_handle)                                                                                                          \
    X(multi_remove_handle)                                                                                                       \
    X(multi_socket_action)                                                                                                       \
    X(multi_info_read)                                                                                                           \
    X(share_init)                                                                                                                \
    X(share_setopt)                                                                                                              \
    X(share_cleanup)                                                                                                             \
    X(slist_append)                                                                                                              \
    X(slist_free_all)

#define LIBRARY_MEMBER(name) __typeof__(curl_##name) *name;

struct library {
    LIBRARY_CALLS(LIBRARY_MEMBER)
};

/* Loads libcurl for the rest of the process's life; only before the sandbox closes. NULL, with a log line, where it is not there, lacks a
 * call, or has another TLS than OpenSSL. */
const struct library *library_load(void);

#endif
