/* resolver/daemon/answer.c - the table of published answers. */
#define _GNU_SOURCE
#include "resolver/daemon/answer.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdlib.h>

/* ---- shared results ---- */

struct shared_result *shared_result_new(struct source_result *result)
{
    struct shared_result *shared = calloc(1, sizeof(*shared));
    if (shared == NULL) {
        source_result_free(result);
        return NULL;
    }
    atomic_init(&shared->refs, 1);
    shared->result = result;
    return shared;
}

struct shared_result *shared_result_ref(struct shared_result *shared)
{
    if (shared != NULL)
        atomic_fetch_add_explicit(&shared->refs, 1, memory_order_relaxed);
    return shared;
}

void shared_result_unref(struct shared_result *shared)
{
    if (shared == NULL || atomic_fetch_sub_explicit(&shared->refs, 1, memory_order_acq_rel) != 1)
        return;
    source_result_free(shared->result);
    free(shared);
}

/* ---- RCU registration ---- */

static pthread_key_t thread_key;
static pthread_once_t thread_once = PTHREAD_ONCE_INIT;
static _Thread_local bool registered;

static void unregister(void *arg)
{
    (void)arg;
    urcu_memb_unregister_thread();
}

static void make_key(void)
{
    (void)pthread_key_create(&thread_key, unregister);
}

static void ensure_registered(void)
{
    if (registered)
        return;
    (void)pthread_once(&thread_once, make_key);
    urcu_memb_register_thread();
    (void)pthread_setspecific(thread_key, &registered);
    registered = true;
}

void answer_read_lock(void)
{
    ensure_registered();
    urcu_memb_read_lock();
}

void answer_read_unlock(void)
{
    urcu_memb_read_unlock();
}

/* ---- answers ---- */

static void drop_response(_Atomic(struct MHD_Response *) *slot)
{
    struct MHD_Response *response = atomic_load_explicit(slot, memory_order_acquire);
    if (response != NULL)
        MHD_destroy_response(response);
}

void answer_free(struct answer *answer)
{
    if (answer == NULL)
        return;
    drop_response(&answer->envelope_response);
    for (size_t i = 0; i < ANSWER_PROFILES; i++)
        drop_response(&answer->records_response[i]);
    shared_result_unref(answer->shared);
    free(answer->sets);
    free(answer->set_release);
    free(answer->windows);
    free(answer->envelope);
    free(answer->diag);
    free(answer);
}

static void free_rcu(struct rcu_head *head)
{
    answer_free(caa_container_of(head, struct answer, rcu));
}

/* ---- the table ---- */

struct table {
    struct cds_lfht *map;
};

struct table *table_new(void)
{
    struct table *table = calloc(1, sizeof(*table));
    if (table == NULL)
        return NULL;
    ensure_registered();
    table->map = cds_lfht_new_flavor(64, 64, 0, CDS_LFHT_AUTO_RESIZE, &urcu_memb_flavor, NULL);
    if (table->map == NULL) {
        free(table);
        return NULL;
    }
    return table;
}

void table_free(struct table *table)
{
    struct cds_lfht_iter iter;
    struct cds_lfht_node *node;

    if (table == NULL)
        return;
    ensure_registered();
    urcu_memb_read_lock();
    /* not by entry: that macro goes on from NULL at the end, which is undefined */
    cds_lfht_for_each(table->map, &iter, node)
    {
        if (cds_lfht_del(table->map, node) == 0)
            urcu_memb_call_rcu(&caa_container_of(node, struct answer, node)->rcu, free_rcu);
    }
    urcu_memb_read_unlock();
    urcu_memb_barrier();
    (void)cds_lfht_destroy(table->map, NULL);
    free(table);
}

/* The key is a SHA-256 already. */
static unsigned long hash_of(const struct answer_id *id)
{
    unsigned long h;
    memcpy(&h, id->key.b, sizeof(h));
    return h ^ (unsigned long)id->level;
}

static int same_id(struct cds_lfht_node *node, const void *key)
{
    const struct answer *answer = caa_container_of(node, struct answer, node);
    const struct answer_id *id = key;
    return answer->id.level == id->level && ms_sha256_eq(&answer->id.key, &id->key);
}

void table_publish(struct table *table, struct answer *answer)
{
    ensure_registered();
    urcu_memb_read_lock();
    struct cds_lfht_node *old =
        cds_lfht_add_replace(table->map, hash_of(&answer->id), same_id, &answer->id, &answer->node);
    if (old != NULL)
        urcu_memb_call_rcu(&caa_container_of(old, struct answer, node)->rcu, free_rcu);
    urcu_memb_read_unlock();
}

struct answer *table_find(struct table *table, const struct answer_id *id)
{
    struct cds_lfht_iter iter;

    cds_lfht_lookup(table->map, hash_of(id), same_id, id, &iter);
    struct cds_lfht_node *node = cds_lfht_iter_get_node(&iter);
    return node == NULL ? NULL : caa_container_of(node, struct answer, node);
}

void table_remove(struct table *table, const struct answer_id *id)
{
    ensure_registered();
    urcu_memb_read_lock();
    struct answer *answer = table_find(table, id);
    if (answer != NULL && cds_lfht_del(table->map, &answer->node) == 0)
        urcu_memb_call_rcu(&answer->rcu, free_rcu);
    urcu_memb_read_unlock();
}
