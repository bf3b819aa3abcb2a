/* The entry of each role, for the table in posternd.c. FD is the channel to the parent. */
#ifndef POSTERN_ROLE_MAINS_H
#define POSTERN_ROLE_MAINS_H

/* Each runs its role to the end over the parent's channel at FD and returns the exit status. */
int submission_main(int fd);
int auth_main(int fd);
int dns_main(int fd);
int policy_main(int fd);
int queue_main(int fd);
int delivery_main(int fd);
int control_main(int fd);

#endif
