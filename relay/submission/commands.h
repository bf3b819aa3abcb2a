/* What carries out each command, for the table in verbs.c. ARGUMENT is what followed the verb. Each replies once, now or when an
 * answer that it asked for is there. */
#ifndef POSTERN_SUBMISSION_COMMANDS_H
#define POSTERN_SUBMISSION_COMMANDS_H

#include "../smtp/command.h"

struct session;

void ehlo_command(struct session *session, struct span argument);      /* RFC 5321 4.1.1.1 */
void ehlo_command_helo(struct session *session, struct span argument); /* the same */
void starttls_command(struct session *session, struct span argument);  /* RFC 3207 */
void auth_command(struct session *session, struct span argument);      /* RFC 4954 */
void mail_command(struct session *session, struct span argument);      /* RFC 5321 4.1.1.2 */
void rcpt_command(struct session *session, struct span argument);      /* RFC 5321 4.1.1.3 */
void data_command(struct session *session, struct span argument);      /* RFC 5321 4.1.1.4 */
void minor_rset(struct session *session, struct span argument);        /* RFC 5321 4.1.1.5 */
void minor_vrfy(struct session *session, struct span argument);        /* RFC 5321 4.1.1.6: never tells who exists */
void minor_help(struct session *session, struct span argument);        /* RFC 5321 4.1.1.8 */
void minor_noop(struct session *session, struct span argument);        /* RFC 5321 4.1.1.9 */
void minor_quit(struct session *session, struct span argument);        /* RFC 5321 4.1.1.10 */

/* Parses the argument of RCPT in SESSION's transaction, into *RET_RCPT on COMMAND_FINE. <postmaster> is whoever the configuration
 * says. */
enum command_fault rcpt_parse(const struct session *session, struct span argument, struct command_rcpt *ret_rcpt);

/* Is RECIPIENT one whose domain dns need not be asked about? The postmaster's is vouched for by who wrote the configuration. */
bool rcpt_is_settled(const struct session *session, const char *recipient);

#endif
