/* resolver/source/times.c - the numbers of ethereum.md 6.2. */
#include "resolver/source/times.h"

#include <string.h>

#define DAY_S 86400

/* clang-format off */
#define ROWS(X) \
    X(contract_fresh, "contract-fresh", 120) \
    X(contract_swr, "contract-swr", 120) \
    X(contract_sie, "contract-sie", 3600) \
    X(contract_no_code, "contract-no-code", 300) \
    X(contract_revert, "contract-revert", 60) \
    X(location_min, "location-min", 60) \
    X(location_max, "location-max", 3600) \
    X(location_default, "location-default", 300) \
    X(location_swr, "location-swr", 60) \
    X(location_sie, "location-sie", 3600) \
    X(location_max_evidence_age, "location-max-evidence-age", DAY_S) \
    X(location_not_found, "location-not-found", 60) \
    X(location_no_answer, "location-no-answer", 15) \
    X(finality_warn, "finality-warn", 1800) \
    X(finality_stale, "finality-stale", 7200) \
    X(backoff_rpc, "backoff-rpc", 60) \
    X(backoff_location, "backoff-location", 300)
/* clang-format on */

#define ROW(field, name, fallback) {name, offsetof(struct source_times, field), fallback},
const struct source_time_row source_time_rows[SOURCE_TIMES_N] = {ROWS(ROW)};

#define FALLBACK(field, name, fallback) .field = (fallback),
const struct source_times source_times_default = {ROWS(FALLBACK)};

_Static_assert(sizeof(struct source_times) == SOURCE_TIMES_N * sizeof(int64_t),
               "every number has its row");

int64_t source_time_get(const struct source_times *times, const struct source_time_row *row)
{
    int64_t seconds = 0;
    memcpy(&seconds, (const char *)times + row->offset, sizeof(seconds));
    return seconds;
}

void source_time_set(struct source_times *times, const struct source_time_row *row, int64_t seconds)
{
    memcpy((char *)times + row->offset, &seconds, sizeof(seconds));
}
