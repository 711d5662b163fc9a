/* fuzz_header_registers.c - any bytes as X-Flashbots-Measurement: the nginx module accepts what the
 * daemon accepts, and reads the same registers. The first byte picks the type. */
#include "tests/support/header_both.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum measured_header_type types[] = {
        MEASURED_HEADER_DCAP_TDX, MEASURED_HEADER_AZURE_TDX, MEASURED_HEADER_GCP_TDX,
        MEASURED_HEADER_QEMU_TDX};
    bool accepted;

    if (size == 0)
        return 0;
    if (!header_both(types[data[0] % 4], ms_span_of(data + 1, size - 1), &accepted))
        abort();
    return 0;
}
