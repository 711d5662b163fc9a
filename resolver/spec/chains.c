/* resolver/spec/chains.c - chains whose short name (ERC-3770) is compiled in. Look-alike names are
 * a known risk of that registry, so the table is closed. */
#include "resolver/spec/spec.h"

static const struct {
    const char *name;
    uint64_t id;
} chains[] = {
    {"eth", 1},        {"sep", 11155111}, {"hoe", 560048}, {"oeth", 10},
    {"unichain", 130}, {"base", 8453},    {"arb1", 42161},
};

uint64_t spec_chain_by_name(struct ms_span name)
{
    for (size_t i = 0; i < MS_ARRAY_LEN(chains); i++)
        if (ms_span_eq_str(name, chains[i].name))
            return chains[i].id;
    return 0;
}

const char *spec_chain_name(uint64_t chain)
{
    for (size_t i = 0; i < MS_ARRAY_LEN(chains); i++)
        if (chains[i].id == chain)
            return chains[i].name;
    return NULL;
}
