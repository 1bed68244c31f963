/* What a server says before TLS (STARTTLS and its kin), as the command reads it: the first byte chooses the protocol. Reading ends with the connection,
 * and what is said of it can be printed. */

#include "../../cmd/dial.c"
#include "../../cmd/targets.c"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct host host = {.kind = HOST_NAME, .name = "localhost", .port = 25};
    char buffer[600];
    struct text problem = text_over(buffer, sizeof(buffer));
    int ends[2];

    if (size == 0)
        return 0;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0)
        abort();
    require(send(ends[1], data + 1, size - 1, MSG_NOSIGNAL) == (ssize_t)(size - 1));
    (void)shutdown(ends[1], SHUT_WR);
    if (!begin(ends[0], &protocols[data[0] % (sizeof(protocols) / sizeof(protocols[0]))], &host, &problem))
        require(problem.length > 0);
    fuzz_require_plain(&problem);
    (void)close(ends[0]);
    (void)close(ends[1]);
    return 0;
}
