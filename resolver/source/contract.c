/* resolver/source/contract.c - placeholder until the contract source lands in the next commit. */
#include "resolver/source/kinds.h"

enum ms_err source_contract_init(struct source *s, struct ms_now now, struct ms_diag *diag)
{
    (void)s;
    (void)now;
    return ms_diag_set(diag, MS_ERR_UNSUPPORTED, "contracts are not resolvable yet");
}
