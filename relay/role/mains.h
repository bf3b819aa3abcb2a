/* The entry of each role, for the table in posternd.c. FD is the channel to the parent. */
#ifndef POSTERN_ROLE_MAINS_H
#define POSTERN_ROLE_MAINS_H

/* Each runs its role to the end over the parent's channel at FD and returns the exit status. Here: speaks SMTP with clients. */
int submission_main(int fd);

/* Checks logins; as submission_main. */
int auth_main(int fd);

/* Asks the name servers; as submission_main. */
int dns_main(int fd);

/* Counts and limits; as submission_main. */
int policy_main(int fd);

/* Owns the spool and the schedule; as submission_main. */
int queue_main(int fd);

/* Speaks SMTP with servers; as submission_main. */
int delivery_main(int fd);

/* Fetches the policies of recipient domains; as submission_main. */
int sts_main(int fd);

/* Answers postern(1) and HTTP; as submission_main. */
int control_main(int fd);

#endif
