/* Requests to proxies, in pieces as the input says: state and host stay in their bounds, and a host once known is given up only for another request, or
 * by what says that none is known. */

#include "fuzz.h"
#include "proxy_request.h"

static void read_part(struct proxy_request *request, const uint8_t *bytes, size_t size, size_t sent)
{
    /* No byte to spare. */
    uint8_t *copy = malloc(size != 0 ? size : 1);

    memcpy(copy, bytes, size);
    proxy_request_read(request, copy, size, sent);
    free(copy);
}

static enum proxy_asked ask(const struct proxy_request *request, struct host *host)
{
    enum proxy_asked asked = proxy_request_host(request, host);
    char buffer[1100];
    struct text text = text_over(buffer, sizeof(buffer));

    require(asked <= PROXY_LOST);
    if (asked == PROXY_ASKED) {
        require(host->kind == HOST_NAME || host->kind == HOST_ADDRESS);
        require(host->kind != HOST_NAME || strlen(host->name) < PROXY_HOST_ROOM);
        host_print(host, &text);
        fuzz_require_plain(&text);
    }
    return asked;
}

static void ask_in_clear(const uint8_t *bytes, size_t size)
{
    struct host host;
    uint8_t *copy = malloc(size != 0 ? size : 1);

    memcpy(copy, bytes, size);
    if (proxy_request_in_clear(copy, size, &host) == PROXY_CLEAR_ASKED)
        require(host.kind == HOST_NAME || host.kind == HOST_ADDRESS);
    free(copy);
}

/* In pieces of a size that the first byte gives, some of whose ends are not captured. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_request request = {0};
    enum proxy_asked before = PROXY_NOT_ASKED;
    struct host host;

    if (size < 2)
        return 0;
    ask_in_clear(data + 2, size - 2);
    for (size_t at = 2; at < size;) {
        size_t part = 1 + data[0] % 64;
        size_t missed = data[1] & 1 ? data[1] >> (at % 7) : 0;
        enum proxy_asked asked;

        if (part > size - at)
            part = size - at;
        read_part(&request, data + at, part, part + missed);
        asked = ask(&request, &host);
        require(before == PROXY_NOT_ASKED || asked != PROXY_NOT_ASKED);
        require(before != PROXY_ASKED || asked == PROXY_ASKED || asked == PROXY_LOST);
        before = asked;
        at += part;
    }
    return 0;
}
