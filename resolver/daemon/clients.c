/* resolver/daemon/clients.c - counts by client. A client that holds nothing is forgotten, so the
 * table is no larger than what is held. */
#define _GNU_SOURCE
#include "resolver/daemon/clients.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 256u /* a power of two */

struct client {
    struct client *next;
    uint64_t name;
    uint32_t held[CLIENT_SHARES];
};

struct clients {
    pthread_mutex_t lock;
    struct client_limits limits;
    struct client *buckets[BUCKETS];
    size_t n;
    uint64_t refused[CLIENT_SHARES]; /* since the start */
};

static const struct {
    const char *name, *text;
} shares[] = {
#define SHARE_ROW(share, name, text) [share] = {name, text},
    CLIENT_SHARE_MAP(SHARE_ROW)
#undef SHARE_ROW
};

const char *client_share_name(enum client_share share)
{
    return shares[share].name;
}

struct clients *clients_new(const struct client_limits *limits)
{
    struct clients *clients = calloc(1, sizeof(*clients));
    if (clients == NULL)
        return NULL;
    (void)pthread_mutex_init(&clients->lock, NULL);
    clients->limits = *limits;
    return clients;
}

void clients_free(struct clients *clients)
{
    if (clients == NULL)
        return;
    for (size_t b = 0; b < BUCKETS; b++) {
        while (clients->buckets[b] != NULL) {
            struct client *next = clients->buckets[b]->next;
            free(clients->buckets[b]);
            clients->buckets[b] = next;
        }
    }
    (void)pthread_mutex_destroy(&clients->lock);
    free(clients);
}

void clients_set_limits(struct clients *clients, const struct client_limits *limits)
{
    (void)pthread_mutex_lock(&clients->lock);
    clients->limits = *limits;
    (void)pthread_mutex_unlock(&clients->lock);
}

/* Where the client's pointer is, or would be. */
static struct client **place_of(struct clients *clients, uint64_t name)
{
    struct client **at =
        &clients->buckets[(name * UINT64_C(0x9e3779b97f4a7c15)) >> 56 & (BUCKETS - 1)];
    while (*at != NULL && (*at)->name != name)
        at = &(*at)->next;
    return at;
}

static struct client *find_or_add(struct clients *clients, uint64_t name)
{
    struct client **at = place_of(clients, name);

    if (*at == NULL) {
        *at = calloc(1, sizeof(**at));
        if (*at == NULL)
            return NULL;
        (*at)->name = name;
        clients->n++;
    }
    return *at;
}

static bool holds_nothing(const struct client *client)
{
    for (size_t s = 0; s < CLIENT_SHARES; s++)
        if (client->held[s] > 0)
            return false;
    return true;
}

enum ms_err clients_take(struct clients *clients, uint64_t client, enum client_share share,
                         struct ms_diag *diag)
{
    enum ms_err err = MS_OK;

    if (clients == NULL)
        return MS_OK;
    (void)pthread_mutex_lock(&clients->lock);
    uint32_t max = client == CLIENT_NONE ? 0 : clients->limits.max[share];
    struct client *c = find_or_add(clients, client);
    if (c == NULL) {
        err = MS_ERR_MEMORY;
    } else if (max > 0 && c->held[share] >= max) {
        clients->refused[share]++;
        err = ms_diag_set(diag, MS_ERR_QUOTA, "this user has %u %s, and one may have %u",
                          c->held[share], shares[share].text, max);
    } else {
        c->held[share]++;
    }
    (void)pthread_mutex_unlock(&clients->lock);
    return err;
}

void clients_give(struct clients *clients, uint64_t client, enum client_share share)
{
    if (clients == NULL)
        return;
    (void)pthread_mutex_lock(&clients->lock);
    struct client **at = place_of(clients, client), *c = *at;
    assert(c != NULL && c->held[share] > 0);
    c->held[share]--;
    if (holds_nothing(c)) {
        *at = c->next;
        free(c);
        clients->n--;
    }
    (void)pthread_mutex_unlock(&clients->lock);
}

uint64_t clients_largest(struct clients *clients, enum client_share share, size_t *ret_held)
{
    uint64_t name = CLIENT_NONE;
    uint32_t most = 0;

    if (ret_held != NULL)
        *ret_held = 0;
    if (clients == NULL)
        return CLIENT_NONE;
    (void)pthread_mutex_lock(&clients->lock);
    for (size_t b = 0; b < BUCKETS; b++)
        for (const struct client *c = clients->buckets[b]; c != NULL; c = c->next)
            if (c->held[share] > most) {
                most = c->held[share];
                name = c->name;
            }
    (void)pthread_mutex_unlock(&clients->lock);
    if (ret_held != NULL)
        *ret_held = most;
    return name;
}

static json_t *client_json(const struct client *c)
{
    json_t *one = c->name == CLIENT_NONE  ? json_pack("{s:s}", "who", "daemon and operator")
                  : c->name == CLIENT_TCP ? json_pack("{s:s}", "who", "tcp")
                                          : json_pack("{s:I}", "uid", (json_int_t)(c->name - 1));
    for (size_t s = 0; one != NULL && s < CLIENT_SHARES; s++)
        (void)json_object_set_new(one, shares[s].name, json_integer((json_int_t)c->held[s]));
    return one;
}

json_t *clients_json(struct clients *clients, size_t max)
{
    json_t *list = json_array();

    (void)pthread_mutex_lock(&clients->lock);
    for (size_t b = 0; b < BUCKETS; b++)
        for (const struct client *c = clients->buckets[b]; c != NULL; c = c->next)
            if (list != NULL && json_array_size(list) < max)
                (void)json_array_append_new(list, client_json(c));
    (void)pthread_mutex_unlock(&clients->lock);
    return list;
}

void clients_metrics_render(struct clients *clients, struct ms_buf *out)
{
    (void)pthread_mutex_lock(&clients->lock);
    (void)ms_buf_add_str(out, "# HELP measured_quota_refusals_total refused because one client "
                              "holds as much as it may\n"
                              "# TYPE measured_quota_refusals_total counter\n");
    for (size_t s = 0; s < CLIENT_SHARES; s++)
        if (s != CLIENT_ENTRIES)
            (void)ms_buf_addf(out, "measured_quota_refusals_total{share=\"%s\"} %llu\n",
                              shares[s].name, (unsigned long long)clients->refused[s]);
    (void)ms_buf_addf(out,
                      "# HELP measured_clients users that hold something now\n"
                      "# TYPE measured_clients gauge\n"
                      "measured_clients %zu\n",
                      clients->n);
    (void)pthread_mutex_unlock(&clients->lock);
}
