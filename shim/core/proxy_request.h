/* Which host a program asks a proxy for, from the bytes that it sends: HTTP's CONNECT, SOCKS 4, 4a and 5. Pure. */
#ifndef PINSHIM_PROXY_REQUEST_H
#define PINSHIM_PROXY_REQUEST_H

#include "hello.h"
#include "host.h"

enum proxy_asked {
    PROXY_NOT_ASKED = 0,
    PROXY_ASKED, /* for a host that is known */
    PROXY_UNCLEAR, /* a request has begun, and the host is not known (yet), or cannot be read */
    PROXY_LOST, /* the same, and an earlier request's host is no longer known */
};

/* How much of a host is kept; a longer one counts as one that cannot be read. */
#define PROXY_HOST_ROOM 168

/* A request, as far as it was sent. Zeroed: nothing was. */
struct proxy_request {
    uint8_t step;
    uint8_t form; /* of the host in `text` */
    uint8_t methods; /* of authentication that SOCKS 5 offers */
    bool asked; /* `text` and `port` are a request's */
    bool unclear; /* of the last request the host cannot be read */
    bool lost; /* besides, an earlier request's host had to give way to it */
    bool only_tls; /* TLS has begun: nothing after it is a request */
    uint8_t begun; /* bytes in `hello` */
    bool exact; /* a request must end with the call that sends it */
    uint16_t left; /* bytes of the present field that are still to come */
    uint16_t length; /* of `text` */
    uint16_t port;
    uint32_t headers; /* bytes of them, so far */
    uint8_t head[6]; /* SOCKS 4: port and address */
    char text[PROXY_HOST_ROOM];
    uint8_t hello[11 + HELLO_RANDOM]; /* the first bytes of TLS: headers, a version, the random */
};

/* Return true if what is sent first can be the beginning of a request: `C`, also a small one, or an empty line before it; SOCKS 4 and 5. */
static inline bool proxy_request_may_begin(unsigned char first)
{
    return (first | 0x20) == 'c' || first == '\r' || first == '\n' || first == 4 || first == 5;
}

/* One call has sent `sent` bytes, which begin with the `size` bytes at `bytes`. A request that follows on another takes its place: a proxy may have asked
 * for a password, or the first proxy leads to a second. */
void proxy_request_read(struct proxy_request *request, const unsigned char *bytes, size_t size, size_t sent);

/* Return true while what is sent next may belong to a request, whatever it begins with. */
MUST_CHECK bool proxy_request_goes_on(const struct proxy_request *request);

/* Return true if no part of it is still to come, though another one may follow. */
MUST_CHECK bool proxy_request_is_whole(const struct proxy_request *request);

/* Return the random of a ClientHello that has followed on a request, however it was cut, once it is known: then it is forgotten. NULL: it is not. */
const uint8_t *proxy_request_hello(struct proxy_request *request);

/* Return what was asked; PROXY_ASKED: `*out` is the host, with the port, or 0 where the request has none. */
enum proxy_asked proxy_request_host(const struct proxy_request *request, struct host *out);

/* Whether bytes begin with a request in plaintext for another host, as a proxy is asked: a method and an absolute URL (RFC 9112, section 3.2.2), of whatever
 * scheme. */
enum proxy_clear {
    PROXY_CLEAR_NONE = 0,
    PROXY_CLEAR_BEGINS, /* they may, with what is sent next */
    PROXY_CLEAR_ASKED, /* `*out` is the host, with the port, or 0 where neither it nor the scheme says one */
};
enum proxy_clear proxy_request_in_clear(const unsigned char *bytes, size_t size, struct host *out);

#endif
