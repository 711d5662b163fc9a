/* proxy-plugin/lib/client.c - the functions of measured.h but for the pump. */
#define _GNU_SOURCE /* secure_getenv */

#include "proxy-plugin/lib/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define SOCKET_NAME "feed.sock"

int64_t plug_boot_ms(void)
{
    struct timespec now;

    if (clock_gettime(CLOCK_BOOTTIME, &now) != 0)
        return FEED_NEVER;
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- open and close ---- */

/* As the daemon chooses without a configuration (measured.conf(5), socket-dir). */
static int put_address(const char *socket_dir, struct sockaddr_un *address)
{
    const char *dir = socket_dir != NULL ? socket_dir : secure_getenv("MEASURED_SOCKET_DIR");
    const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
    size_t max = sizeof(address->sun_path);
    int n;

    address->sun_family = AF_UNIX;
    if (dir != NULL && dir[0] != '\0')
        n = snprintf(address->sun_path, max, "%s/" SOCKET_NAME, dir);
    else if (geteuid() == 0)
        n = snprintf(address->sun_path, max, "/run/measured/" SOCKET_NAME);
    else if (runtime != NULL && runtime[0] == '/')
        n = snprintf(address->sun_path, max, "%s/measured/" SOCKET_NAME, runtime);
    else
        n = snprintf(address->sun_path, max, "/run/user/%lu/measured/" SOCKET_NAME,
                     (unsigned long)geteuid());
    return n < 0 || (size_t)n >= max ? ENAMETOOLONG : 0;
}

static int open_descriptors(struct measured *m)
{
    struct epoll_event event = {.events = EPOLLIN};

    m->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (m->epoll_fd == -1)
        return errno;
    m->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (m->timer_fd == -1 || epoll_ctl(m->epoll_fd, EPOLL_CTL_ADD, m->timer_fd, &event) != 0)
        return errno;
    plug_wake(m);
    return 0;
}

PLUG_EXPORT struct measured *measured_open(const char *socket_dir)
{
    /* its counters have cache lines of their own */
    struct measured *m = aligned_alloc(_Alignof(struct measured), sizeof(*m));

    if (m == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    memset(m, 0, sizeof(*m));
    plug_reclaim_init(&m->reclaim, plug_held_free_retired);
    m->epoll_fd = m->timer_fd = m->sock = -1;
    m->down_errno = ECONNREFUSED;
    m->wait_max_ms = PLUG_WAIT_FIRST_MS;
    m->ask_again_at_ms = FEED_NEVER;
    int err = put_address(socket_dir, &m->address);
    if (err == 0)
        err = open_descriptors(m);
    if (err == 0)
        return m;
    measured_close(m);
    errno = err;
    return NULL;
}

/* Nothing but closing and freeing: a child after fork may do it without touching what its parent
 * uses. */
PLUG_EXPORT void measured_close(struct measured *m)
{
    if (m == NULL)
        return;
    if (m->sock != -1)
        (void)close(m->sock);
    if (m->timer_fd != -1)
        (void)close(m->timer_fd);
    if (m->epoll_fd != -1)
        (void)close(m->epoll_fd);
    for (size_t i = 0; i < m->n_sets; i++)
        plug_set_free(m->sets[i]);
    while (m->leaving != NULL) {
        struct measured_set *set = m->leaving;
        m->leaving = set->next_leaving;
        plug_set_free(set);
    }
    plug_reclaim_done(&m->reclaim);
    free(m->sets);
    free(m);
}

void plug_wake(struct measured *m)
{
    struct itimerspec at_once = {.it_value.tv_nsec = 1};

    (void)timerfd_settime(m->timer_fd, TFD_TIMER_ABSTIME, &at_once, NULL);
}

PLUG_EXPORT int measured_fd(const struct measured *m)
{
    return m->epoll_fd;
}

/* ---- sets ---- */

static bool make_room(struct measured *m)
{
    if (m->n_sets < m->cap_sets)
        return true;
    size_t cap = m->cap_sets == 0 ? 8 : 2 * m->cap_sets;
    struct measured_set **sets = realloc(m->sets, cap * sizeof(struct measured_set *));
    if (sets == NULL)
        return false;
    m->sets = sets;
    m->cap_sets = cap;
    return true;
}

static struct measured_set *set_new(struct measured *m, const char *text, size_t bytes)
{
    struct measured_set *set = calloc(1, sizeof(*set) + bytes + 1);

    if (set == NULL)
        return NULL;
    set->m = m;
    atomic_init(&set->current, NULL);
    atomic_init(&set->failed, false);
    set->text_bytes = bytes;
    memcpy(set->text, text, bytes);
    return set;
}

void plug_set_free(struct measured_set *set)
{
    plug_held_free(atomic_load_explicit(&set->current, memory_order_relaxed));
    free(set);
}

PLUG_EXPORT struct measured_set *measured_subscribe(struct measured *m,
                                                    const char *specifier_or_url)
{
    size_t bytes = specifier_or_url == NULL ? 0 : strlen(specifier_or_url);
    struct measured_set *set = NULL;
    int err = 0;

    if (m == NULL || bytes == 0)
        err = EINVAL;
    else if (bytes > FEED_TEXT_MAX_BYTES)
        err = EMSGSIZE;
    else if (m->n_sets >= FEED_SUBS_MAX)
        err = ENOSPC;
    else if (!make_room(m) || (set = set_new(m, specifier_or_url, bytes)) == NULL)
        err = ENOMEM;
    if (err != 0) {
        errno = err;
        return NULL;
    }
    m->sets[m->n_sets++] = set;
    plug_wake(m);
    return set;
}

/* The place of a set. Those that were not asked for yet are few, or nobody is there to be asked. */
static size_t place_of(const struct measured *m, const struct measured_set *set)
{
    size_t low = 0, high = m->n_asked;

    while (set->number != 0 && low < high) {
        size_t middle = low + (high - low) / 2;
        if (m->sets[middle]->number < set->number)
            low = middle + 1;
        else
            high = middle;
    }
    while (set->number == 0 && m->sets[low] != set)
        low++;
    return low;
}

PLUG_EXPORT void measured_unsubscribe(struct measured_set *set)
{
    if (set == NULL)
        return;
    struct measured *m = set->m;
    size_t at = place_of(m, set);
    memmove(&m->sets[at], &m->sets[at + 1], (m->n_sets - at - 1) * sizeof(struct measured_set *));
    m->n_sets--;
    if (at < m->n_asked)
        m->n_asked--;
    if (set->number == 0 || set->refused) { /* nothing is known of it over there */
        plug_set_free(set);
        return;
    }
    plug_held_free(atomic_exchange(&set->current, NULL)); /* nobody looks, the caller says */
    set->next_leaving = m->leaving;
    m->leaving = set;
    plug_wake(m);
}

PLUG_EXPORT const char *measured_error(const struct measured_set *set)
{
    return set->error[0] != '\0' ? set->error : set->m->said;
}

/* ---- from any thread ---- */

PLUG_EXPORT enum measured_verdict measured_check(struct measured_set *set,
                                                 const char *attestation_type,
                                                 const struct measured_register *regs, size_t n,
                                                 struct measured_match *ret_match)
{
    enum measured_verdict verdict = MEASURED_UNKNOWN;

    if (set == NULL)
        return MEASURED_UNKNOWN;
    struct plug_shard *mine = plug_reclaim_enter(&set->m->reclaim);
    const struct plug_held *held = atomic_load_explicit(&set->current, memory_order_seq_cst);
    if (held != NULL)
        verdict = plug_check(&held->view, plug_boot_ms(), attestation_type, regs, n, ret_match);
    plug_reclaim_leave(mine);
    return verdict;
}

PLUG_EXPORT void measured_describe(struct measured_set *set,
                                   struct measured_description *ret_description)
{
    bool failed = atomic_load_explicit(&set->failed, memory_order_relaxed);
    struct plug_shard *mine = plug_reclaim_enter(&set->m->reclaim);
    const struct plug_held *held = atomic_load_explicit(&set->current, memory_order_seq_cst);

    if (held != NULL)
        plug_describe(&held->view, plug_boot_ms(), ret_description);
    else
        *ret_description = (struct measured_description){.state = MEASURED_STATE_WAITING};
    plug_reclaim_leave(mine);
    if (failed && !ret_description->serves)
        ret_description->state = MEASURED_STATE_FAILED;
}

PLUG_EXPORT const char *measured_state_name(enum measured_state state)
{
    switch (state) {
    case MEASURED_STATE_WAITING:
        return "waiting";
    case MEASURED_STATE_FRESH:
        return "fresh";
    case MEASURED_STATE_STALE_WHILE_REVALIDATE:
        return "stale-while-revalidate";
    case MEASURED_STATE_STALE_IF_ERROR:
        return "stale-if-error";
    case MEASURED_STATE_EXPIRED:
        return "expired";
    case MEASURED_STATE_NEGATIVE:
        return "negative";
    case MEASURED_STATE_REVOKED:
        return "revoked";
    case MEASURED_STATE_HOLD:
        return "hold";
    case MEASURED_STATE_CONFLICT:
        return "conflict";
    case MEASURED_STATE_CLOCK_SUSPECT:
        return "clock-suspect";
    case MEASURED_STATE_FAILED:
        return "failed";
    }
    return "unknown";
}
