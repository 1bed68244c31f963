/* DNS: whatever the message is, reading it ends soon, and its names are those of hosts or have a '?'. */

#include "dns.h"
#include "fuzz.h"

static void is_name(const struct dns_name *name)
{
    require(name->length <= HOST_NAME_MAX_LENGTH && strlen(name->text) == name->length);
    for (size_t i = 0; i < name->length; i++)
        require(name->text[i] > ' ' && name->text[i] < 127 && text_lower(name->text[i]) == name->text[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size != 0 ? size : 1);
    const struct dns_name *name;
    uint8_t address[16];
    size_t addresses = 0;
    struct dns dns;

    /* Not a byte more than there is. */
    if (size != 0)
        memcpy(copy, data, size);
    if (dns_may_be_query(copy, size))
        require(size >= DNS_QUERY_MIN);
    if (dns_begin(&dns, copy, size)) {
        is_name(&dns.asked);
        while ((name = dns_next(&dns, address)) != NULL) {
            is_name(name);
            require(name == &dns.asked || dns.names_others);
            addresses++;
        }
        require(addresses <= size / 4);
        require(dns_next(&dns, address) == NULL);
    }
    free(copy);
    return 0;
}
