/* DER: what is found in any bytes lies within them and is an SPKI as a whole, and whatever else OpenSSL would make of them does not matter. */

#include "der.h"
#include "fuzz.h"

static void is_within(struct bytes found, const uint8_t *data, size_t size)
{
    if (found.at == NULL)
        return;
    require(found.at >= data && found.length <= size && (size_t)(found.at - data) <= size - found.length);
    require(der_is_spki(found));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes whole = {data, size};
    struct bytes rest = whole;
    size_t left = size;
    struct der_names names;

    is_within(der_spki_of_certificate(whole), data, size);
    is_within(der_spki_of_request(whole), data, size);
    (void)!der_read_names(whole, &names);
    if (der_is_spki(whole))
        require(size >= 2 && data[0] == 0x30);
    while (rest.length > 0 && der_take(&rest, rest.at[0]).at != NULL) {
        require(rest.length < left);
        left = rest.length;
    }
    return 0;
}
