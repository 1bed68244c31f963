#include "wire.h"

#include <errno.h>
#include <string.h>

static _Thread_local struct host *watched;

struct host *wire_watch(struct host *place)
{
    struct host *before = watched;

    watched = place;
    return before;
}

void wire_note(int fd, const void *bytes, size_t size)
{
    static const unsigned char handshake_record[2] = {22, 3}; /* RFC 8446, section 5.1: type and major version */
    struct sockaddr_storage peer;
    socklen_t length = sizeof(peer);
    struct host host;
    int saved = errno;

    if (watched == NULL || size < sizeof(handshake_record) || memcmp(bytes, handshake_record, sizeof(handshake_record)) != 0)
        return;
    if (getpeername(fd, (struct sockaddr *)&peer, &length) == 0 && host_from_sockaddr((struct sockaddr *)&peer, length, &host))
        *watched = host;
    errno = saved;
}
