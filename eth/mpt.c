/* eth/mpt.c - the walk from the root to the value, or to where it is missing. */
#include "eth/mpt.h"

#define BRANCH_ITEMS 17
#define SHORT_ITEMS 2    /* leaf or extension */
#define EMBEDDED_MAX 31  /* an encoding of 32 bytes or more is referred to by its hash */
#define RLP_EMPTY "\x80" /* the one node of a trie without entries */

const struct eth_hash eth_empty_trie_root = {{0x56, 0xe8, 0x1f, 0x17, 0x1b, 0xcc, 0x55, 0xa6,
                                              0xff, 0x83, 0x45, 0xe6, 0x92, 0xc0, 0xf8, 0x6e,
                                              0x5b, 0x48, 0xe0, 0x1b, 0x99, 0x6c, 0xad, 0xc0,
                                              0x01, 0x62, 0x2f, 0xb5, 0xe3, 0x63, 0xb4, 0x21}};

const struct eth_hash eth_empty_code_hash = {{0xc5, 0xd2, 0x46, 0x01, 0x86, 0xf7, 0x23, 0x3c,
                                              0x92, 0x7e, 0x7d, 0xb2, 0xdc, 0xc7, 0x03, 0xc0,
                                              0xe5, 0x00, 0xb6, 0x53, 0xca, 0x82, 0x27, 0x3b,
                                              0x7b, 0xfa, 0xd8, 0x04, 0x5d, 0x85, 0xa4, 0x70}};

enum step { STEP_REFUSE = 0, STEP_ON, STEP_VALUE, STEP_ABSENT };

struct walk {
    struct ms_span path;     /* bytes of the key's path */
    size_t nibbles;          /* of the path, all */
    size_t used;             /* nibbles consumed */
    bool raw;                /* keys may end in a branch */
    struct eth_hash want;    /* hash of the next node when embedded is empty */
    struct ms_span embedded; /* the next node itself */
    struct ms_span value;
    const char *fault;
};

static enum step refuse(struct walk *w, const char *fault)
{
    w->fault = fault;
    return STEP_REFUSE;
}

static uint8_t nibble(struct ms_span path, size_t i)
{
    uint8_t byte = path.ptr[i / 2];
    return i % 2 == 0 ? byte >> 4 : byte & 15;
}

/* Where a reference leads. An empty one is absence, which only a branch may say. */
static enum step follow(struct walk *w, const struct eth_rlp *ref, bool in_branch)
{
    if (ref->kind == ETH_RLP_LIST) {
        if (ref->raw.len > EMBEDDED_MAX)
            return refuse(w, "an embedded node of 32 bytes or more");
        w->embedded = ref->raw;
        return STEP_ON;
    }
    if (ref->payload.len == 0)
        return in_branch ? STEP_ABSENT : refuse(w, "an extension that leads nowhere");
    if (ref->payload.len != ETH_HASH_BYTES)
        return refuse(w, "a reference that is no hash");
    memcpy(w->want.b, ref->payload.ptr, ETH_HASH_BYTES);
    return STEP_ON;
}

static enum step take_value(struct walk *w, const struct eth_rlp *item)
{
    if (item->kind != ETH_RLP_STRING || item->payload.len == 0)
        return refuse(w, "a value that is no string or is empty");
    w->value = item->payload;
    return STEP_VALUE;
}

static enum step branch(struct walk *w, const struct eth_rlp items[BRANCH_ITEMS])
{
    if (w->used == w->nibbles) {
        const struct eth_rlp *value = &items[BRANCH_ITEMS - 1];
        if (!w->raw)
            return refuse(w, "a key that ends in a branch");
        if (value->kind == ETH_RLP_STRING && value->payload.len == 0)
            return STEP_ABSENT;
        return take_value(w, value);
    }
    return follow(w, &items[nibble(w->path, w->used++)], true);
}

/* Leaf or extension: hex-prefix encoded path, then value or reference. */
static enum step short_node(struct walk *w, const struct eth_rlp items[SHORT_ITEMS])
{
    struct ms_span part = items[0].payload;

    if (items[0].kind != ETH_RLP_STRING || part.len == 0 || part.ptr[0] >> 4 > 3)
        return refuse(w, "a malformed hex-prefix path");
    bool leaf = (part.ptr[0] >> 4 & 2) != 0, odd = (part.ptr[0] >> 4 & 1) != 0;
    if (!odd && (part.ptr[0] & 15) != 0)
        return refuse(w, "a hex-prefix path with a pad that is not zero");
    size_t first = odd ? 1 : 2, n = 2 * part.len - first, left = w->nibbles - w->used;
    if (!leaf && n == 0)
        return refuse(w, "an extension without a path");
    if (items[1].kind == ETH_RLP_STRING && items[1].payload.len == 0)
        return refuse(w, "a leaf or extension without content");

    if (n > left || (leaf && n != left))
        return STEP_ABSENT;
    for (size_t i = 0; i < n; i++)
        if (nibble(part, first + i) != nibble(w->path, w->used + i))
            return STEP_ABSENT;
    w->used += n;
    return leaf ? take_value(w, &items[1]) : follow(w, &items[1], false);
}

static enum step visit(struct walk *w, struct ms_span node)
{
    struct eth_rlp items[BRANCH_ITEMS];
    size_t n = 0;

    w->embedded = (struct ms_span){NULL, 0};
    if (node.len > ETH_MPT_NODE_MAX_BYTES)
        return refuse(w, "a node larger than 1 KiB");
    if (eth_rlp_list(node, items, BRANCH_ITEMS, &n) != MS_OK)
        return refuse(w, "a node that is no canonical RLP list");
    if (n == BRANCH_ITEMS)
        return branch(w, items);
    if (n == SHORT_ITEMS)
        return short_node(w, items);
    return refuse(w, "a node of neither 2 nor 17 items");
}

/* ret_used: how many of the nodes were needed. */
static enum step run(struct walk *w, const struct ms_span *nodes, size_t n_nodes, size_t *ret_used)
{
    enum step step = STEP_ON;
    size_t used = 0;

    while (step == STEP_ON) {
        struct ms_span node = w->embedded;
        if (node.len == 0) {
            if (used == n_nodes)
                return refuse(w, "a node is missing");
            node = nodes[used++];
            struct eth_hash hash = eth_keccak256(node);
            if (!eth_hash_eq(&hash, &w->want))
                return refuse(w, "a node does not have the hash it is referred to by");
        }
        step = visit(w, node);
    }
    *ret_used = used;
    return step;
}

static enum step run_empty(struct walk *w, const struct ms_span *nodes, size_t n_nodes)
{
    if (n_nodes == 0 || (n_nodes == 1 && ms_span_eq_str(nodes[0], RLP_EMPTY)))
        return STEP_ABSENT;
    return refuse(w, "nodes for a trie without entries");
}

static enum eth_mpt_verdict verify(struct walk *w, const struct ms_span *nodes, size_t n_nodes,
                                   struct ms_span *ret_value, struct ms_diag *diag)
{
    enum step step = STEP_REFUSE;
    size_t used = n_nodes;

    if (n_nodes > ETH_MPT_NODES_MAX)
        step = refuse(w, "more than 65 nodes");
    else if (eth_hash_eq(&w->want, &eth_empty_trie_root))
        step = run_empty(w, nodes, n_nodes);
    else
        step = run(w, nodes, n_nodes, &used);
    if (step != STEP_REFUSE && used != n_nodes)
        step = refuse(w, "nodes that are not needed");

    switch (step) {
    case STEP_VALUE:
        *ret_value = w->value;
        return ETH_MPT_VALUE;
    case STEP_ABSENT:
        return ETH_MPT_ABSENT;
    case STEP_ON:
    case STEP_REFUSE:
        break;
    }
    (void)ms_diag_set(diag, MS_ERR_PROOF, "proof: %s", w->fault);
    return ETH_MPT_REFUSED;
}

enum eth_mpt_verdict eth_mpt_verify(const struct eth_hash *root, const struct eth_hash *path,
                                    const struct ms_span *nodes, size_t n_nodes,
                                    struct ms_span *ret_value, struct ms_diag *diag)
{
    struct walk w = {
        .path = eth_hash_span(path), .nibbles = 2 * (size_t)ETH_HASH_BYTES, .want = *root};
    return verify(&w, nodes, n_nodes, ret_value, diag);
}

enum eth_mpt_verdict eth_mpt_verify_raw(const struct eth_hash *root, struct ms_span path,
                                        const struct ms_span *nodes, size_t n_nodes,
                                        struct ms_span *ret_value, struct ms_diag *diag)
{
    struct walk w = {.path = path, .nibbles = 2 * path.len, .raw = true, .want = *root};

    if (path.len > ETH_MPT_PATH_MAX_BYTES) {
        (void)ms_diag_set(diag, MS_ERR_PROOF, "proof: a path of %zu bytes", path.len);
        return ETH_MPT_REFUSED;
    }
    return verify(&w, nodes, n_nodes, ret_value, diag);
}
