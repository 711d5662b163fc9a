/* fuzz_feed_request.c - any packet of a hostile subscriber: refused with a reason, or read whole.
 */
#include "resolver/daemon/feed_message.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct feed_request r = {0};
    struct ms_diag diag = {0};

    if (feed_message_read(ms_span_of(data, size), &r, &diag) != MS_OK) {
        require(diag.text[0] != '\0');
        return 0;
    }
    require(r.type == FEED_HELLO || r.type == FEED_SUBSCRIBE || r.type == FEED_UNSUBSCRIBE);
    require((r.type == FEED_HELLO) == (r.sub == 0));
    if (r.type == FEED_SUBSCRIBE) {
        require(r.text.len >= 1 && r.text.len <= FEED_TEXT_MAX_BYTES);
        require(r.text.ptr + r.text.len == data + size);
    }
    return 0;
}
