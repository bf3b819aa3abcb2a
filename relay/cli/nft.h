/* Asks nft(8), the program that the administrator uses: what it prints is documented, what the kernel tells it is not. */
#ifndef POSTERN_CLI_NFT_H
#define POSTERN_CLI_NFT_H

#include "../base/buffer.h"

#define NFT_PROGRAM     "/usr/sbin/nft"
#define NFT_ANSWER_MAX  (32u << 20) /* four full sets are about a fifth of it */
#define NFT_REASON_SIZE 512

/* Runs PROGRAM (NFT_PROGRAM, but for tests), without a shell, for the table inet postern as JSON; what it prints is appended to OUT. False
 * where it cannot be had; REASON then says why and what to do. Waits for the program's end. */
bool nft_list(const char *program, struct buffer *out, char reason[NFT_REASON_SIZE]);

#endif
