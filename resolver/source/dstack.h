/* resolver/source/dstack.h - what the renderings for dstack's back-ends have to know of an app
 * beside its compose hashes. Pure. */
#ifndef MS_SOURCE_DSTACK_H
#define MS_SOURCE_DSTACK_H

#include "resolver/source/source.h"

/* A contract of kind dstack-app says who may run the app: its address is the app's id, and devices
 * and TCB status are its own. Predicates from elsewhere name no app, and cannot say anything of
 * devices, so any device will do (docs/measurements.md, payloads). *ret_is_app: it was such a
 * contract. MS_ERR_INTERNAL  its governance does not read as we write it */
MS_MUST_USE enum ms_err source_dstack(const struct source_result *result,
                                      struct rec_dstack *ret_about, bool *ret_is_app);

#endif
