/* The rules of the firewall, by the library that corpusd loads its own with: the program nft need
 * not be there. */
#include <errno.h>
#include <nftables/libnftables.h>
#include <stdio.h>

#include "doctor/examine.h"

int examine_print_ruleset(void)
{
	struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);
	int r = -ENOMEM;

	if (!nft)
		return r;
	nft_ctx_output_set_flags(nft, NFT_CTX_OUTPUT_JSON);
	nft_ctx_set_output(nft, stdout);
	r = nft_run_cmd_from_buffer(nft, "list ruleset") == 0 ? 0 : -EIO;
	nft_ctx_free(nft);
	return fflush(stdout) == 0 ? r : -errno;
}
