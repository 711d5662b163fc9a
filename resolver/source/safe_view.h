/* resolver/source/safe_view.h - what a Safe says of itself: version, threshold, owners, modules. A
 * description for people, and how a Safe is told from other contracts; nothing is approved by it.
 * Private to resolver/source/. */
#ifndef MS_SOURCE_SAFE_VIEW_H
#define MS_SOURCE_SAFE_VIEW_H

#include "resolver/source/reading.h"

#define SAFE_VIEW_CALLS 4
#define SAFE_VIEW_ADDRESSES_MAX 32 /* owners or modules shown */

/* The calls, in static storage. */
void safe_view_calls(struct ms_span calls[SAFE_VIEW_CALLS]);
/* Their answers: {"version","threshold","owners","modules"}; NULL when they are no Safe's, or
 * memory is out. */
json_t *safe_view_json(const struct reading_peer *peer, size_t first_call);
/* Whether modules, which act without the owners, are enabled. */
bool safe_view_has_modules(const json_t *view);

#endif
