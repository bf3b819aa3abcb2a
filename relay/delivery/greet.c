/* From a new TCP connection to a session that takes mail: greeting, EHLO, STARTTLS and EHLO again, AUTH.
 *
 * Three promises are kept here. Where TLS is demanded (by the settings, or by whoever the mail is for), nothing but EHLO and STARTTLS is
 * ever said in clear:
 * a server that does not offer STARTTLS or refuses it fails. What a server says before the handshake counts for nothing after it:
 * what it offered is forgotten, and bytes behind its reply to STARTTLS end the session (CVE-2021-38371). A password goes out only
 * in a session whose certificate verified: OpenSSL ends the handshake otherwise, and log_in() asks once more. */
#include "session.h"

#include "../base/log.h"
#include "../base/text.h"

#include <stdlib.h>

#define STARTTLS_GO     220 /* RFC 3207 4: no other reply begins a handshake */
#define BAD_CREDENTIALS 535 /* RFC 4954 6 */

static bool demands_tls(const struct client *client)
{
    return client->setup.policy >= TLS_ENCRYPT;
}

static bool is_implicit(const struct client *client)
{
    return route_is_implicit(client->setup.route, client->setup.port);
}

enum stage greet_begin(struct client *client)
{
    return is_implicit(client) ? STAGE_HANDSHAKE : STAGE_BANNER;
}

static enum stage banner_lost(struct client *client)
{
    struct reason reason;
    reason_local(&reason, "4.4.2", "%s: %s while waiting for the greeting", client->setup.host, stream_problem(client->stream));
    return client_end(client, CLIENT_SILENT, &reason);
}

/* `helo`: this connection is the second one, after EHLO led nowhere on the first. */
static enum stage banner_taken(struct client *client)
{
    return client->setup.helo ? STAGE_HELO : STAGE_EHLO;
}

static enum stage say_hello(struct client *client, const char *verb)
{
    client->ehlo = (struct ehlo){ 0 };
    stream_write(client->stream, span_of(verb));
    stream_write(client->stream, span_of(client->setup.hello));
    stream_write(client->stream, SPAN("\r\n"));
    return client->stage;
}

static enum stage ehlo_perform(struct client *client)
{
    return say_hello(client, "EHLO ");
}

static enum stage helo_perform(struct client *client)
{
    return say_hello(client, "HELO ");
}

static enum stage log_in(struct client *client)
{
    struct reason reason;
    if (!client->setup.route->user[0])
        return STAGE_READY;
    bool verified =
        client->secured && client->setup.policy == TLS_VERIFY && SSL_get_verify_result(stream_tls(client->stream)) == X509_V_OK;
    if (verified)
        return STAGE_LOGIN;
    reason_local(&reason, "4.7.0", "%s is not to be trusted with a password: its certificate was not verified",
                 client->setup.host);
    return client_fail(client, &reason);
}

static enum stage lacks_tls(struct client *client)
{
    struct reason reason;
    reason_local(&reason, "4.7.4", "%s does not offer STARTTLS, which %s", client->setup.host,
                 client->setup.policy == TLS_DANE ? "its TLSA records promise (DANE)" : "is demanded for this mail");
    return client_fail(client, &reason);
}

/* Opportunistic TLS takes what it is offered, and where that failed a moment ago (`plain`) does without: mail in clear is better than no
 * mail to those who demand nothing (RFC 7435). Whoever stands in between can bring that about; who must not be read demands TLS. */
static enum stage hello_taken(struct client *client)
{
    if (client->secured || client->setup.policy == TLS_NONE)
        return log_in(client);
    if (client->ehlo.offers & EHLO_STARTTLS && !client->setup.plain)
        return STAGE_STARTTLS;
    return demands_tls(client) ? lacks_tls(client) : log_in(client);
}

/* A server that knows no EHLO gets HELO on a new connection, since some close or lose their way after an unknown command. Not where TLS is
 * demanded or there already: HELO has no STARTTLS, and a server that speaks TLS knows EHLO. */
static enum stage try_helo(struct client *client, const struct reason *reason)
{
    if (client->secured || demands_tls(client))
        return client_fail(client, reason);
    return client_end(client, CLIENT_RETRY_HELO, reason);
}

static enum stage ehlo_refused(struct client *client)
{
    struct reason reason;
    reason_remote(&reason, &client->reply, '4');
    return try_helo(client, &reason);
}

static enum stage ehlo_lost(struct client *client)
{
    struct reason reason;
    if (client->timed_out)
        return client_lost(client);
    reason_local(&reason, "4.4.2", "%s: %s at EHLO", client->setup.host, stream_problem(client->stream));
    return try_helo(client, &reason);
}

static enum stage starttls_perform(struct client *client)
{
    stream_write(client->stream, SPAN("STARTTLS\r\n"));
    return STAGE_STARTTLS;
}

static enum stage starttls_refused(struct client *client)
{
    return demands_tls(client) ? client_refused(client) : log_in(client);
}

static enum stage starttls_taken(struct client *client)
{
    struct reason reason;
    if (client->reply.code != STARTTLS_GO)
        return client_puzzled(client);
    if (!stream_input(client->stream).n)
        return STAGE_HANDSHAKE;
    reason_local(&reason, "4.7.5", "%s sent more than its reply to STARTTLS before the handshake: somebody may be in between",
                 client->setup.host);
    return client_fail(client, &reason);
}

static enum stage handshake_perform(struct client *client)
{
    const struct client_setup *setup = &client->setup;
    struct reason reason;
    struct tls_peer peer = { .policy = setup->policy,
                             .otherwise = route_otherwise(setup->route),
                             .host = setup->host,
                             .port = setup->port,
                             .user = setup->route->user,
                             .sts = setup->route->sts,
                             .tlsa = setup->tlsa,
                             .domain = setup->domain,
                             .alias_of = setup->alias_of };
    client->ssl = tls_client(setup->tls, &peer);
    if (client->ssl) {
        stream_start_tls(client->stream, client->ssl);
        return STAGE_HANDSHAKE;
    }
    reason_local(&reason, "4.3.0", "TLS could not be begun with %s", setup->host);
    return client_fail(client, &reason);
}

static enum stage handshake_lost(struct client *client)
{
    struct reason reason;
    client->mismatched = client->setup.policy == TLS_DANE && tls_is_mismatch(client->ssl);
    reason_local(&reason, "4.7.5", "%s: the TLS handshake failed: %s", client->setup.host, stream_problem(client->stream));
    if (demands_tls(client) || is_implicit(client))
        return client_fail(client, &reason);
    /* On a new connection: nobody knows what of the failed handshake the server still takes for a command. */
    return client_end(client, CLIENT_RETRY_PLAIN, &reason);
}

enum stage greet_secured(struct client *client)
{
    struct log_entry entry;
    log_begin(&entry, LOG_DEBUG, "tls");
    log_string(&entry, "mx", client->setup.host);
    log_number(&entry, "port", client->setup.port);
    log_string(&entry, "tls", client->tls);
    log_string(&entry, "policy", tls_policy_text(client->setup.policy));
    log_string(&entry, "resumed", SSL_session_reused(stream_tls(client->stream)) ? "yes" : "no");
    log_end(&entry);
    return is_implicit(client) ? STAGE_BANNER : STAGE_EHLO;
}

/* Writes the next line of the login. */
static bool say_login(struct client *client)
{
    const struct client_setup *setup = &client->setup;
    struct login_setup login = { .user = setup->route->user,
                                 .secret = setup->route->password,
                                 .is_token = setup->route->is_token,
                                 .host = setup->host,
                                 .port = setup->port };
    struct buffer line;
    bool made;
    buffer_init(&line, LOGIN_LINE_MAX);
    if (client->login)
        made = login_continue(client->login, span_of(client->challenge), &line);
    else
        made = (client->login = login_new(client->ehlo.mechanisms, &login, &line)) != NULL;
    if (made)
        stream_write(client->stream, buffer_span(&line));
    buffer_wipe(&line);
    return made;
}

static enum stage login_perform(struct client *client)
{
    struct reason reason;
    bool first = !client->login;
    if (say_login(client))
        return STAGE_LOGIN;
    if (first)
        reason_local(&reason, "4.7.0", "%s offers no way to log in that this relay knows (%s)", client->setup.host,
                     login_names(client->setup.route->is_token));
    else
        reason_local(&reason, "4.7.0", "%s wants something at login that this relay cannot answer", client->setup.host);
    return client_fail(client, &reason);
}

/* The challenge is copied: the reply makes room for the next one. */
static enum stage login_next(struct client *client)
{
    free(client->challenge);
    client->challenge = text_dup(client->reply.cut ? SPAN("!") : span_of(client->reply.text));
    return STAGE_LOGIN;
}

static enum stage login_done(struct client *client)
{
    struct reason reason;
    bool mutual = login_is_mutual(client->login);
    login_free(&client->login);
    if (mutual)
        return STAGE_READY;
    reason_local(&reason, "4.7.0", "%s said that the login was good without showing that it knows the password",
                 client->setup.host);
    return client_fail(client, &reason);
}

/* Where the server names no enhanced code, the one that RFC 4954 6 has for it says more than none. */
static enum stage login_refused(struct client *client)
{
    struct reason reason;
    reason_remote(&reason, &client->reply, '4');
    if (!client->reply.enhanced[0] && client->reply.code == BAD_CREDENTIALS)
        text_copy(reason.enhanced, sizeof reason.enhanced, SPAN("4.7.8"));
    return client_end(client, CLIENT_LOGIN, &reason);
}

const struct stage_row greet_stages[STAGES] = {
    [STAGE_BANNER] = { "waiting for the greeting",
                       STAGE_TIMEOUT(command_timeout_ms),
                       NULL,
                       { banner_taken, NULL, client_refused, client_refused },
                       banner_lost },
    [STAGE_EHLO] = { "waiting for the reply to EHLO",
                     STAGE_TIMEOUT(command_timeout_ms),
                     ehlo_perform,
                     { hello_taken, NULL, client_refused, ehlo_refused },
                     ehlo_lost },
    [STAGE_HELO] = { "waiting for the reply to HELO",
                     STAGE_TIMEOUT(command_timeout_ms),
                     helo_perform,
                     { hello_taken, NULL, client_refused, client_refused },
                     NULL },
    [STAGE_STARTTLS] = { "waiting for the reply to STARTTLS",
                         STAGE_TIMEOUT(command_timeout_ms),
                         starttls_perform,
                         { starttls_taken, NULL, starttls_refused, starttls_refused },
                         NULL },
    [STAGE_HANDSHAKE] = { "in the TLS handshake",
                          STAGE_TIMEOUT(connect_timeout_ms),
                          handshake_perform,
                          { NULL },
                          handshake_lost },
    [STAGE_LOGIN] = { "logging in",
                      STAGE_TIMEOUT(command_timeout_ms),
                      login_perform,
                      { login_done, login_next, client_refused, login_refused },
                      NULL },
};
