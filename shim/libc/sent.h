/* Where the ClientHellos of judged TLS libraries were sent, by their client random: the one thing that a TLS library knows of a connection and that
 * is also seen on the socket. Without a lock and without a system call (but for sent_socket), also in signal handlers and after fork. */
#ifndef PINSHIM_SENT_H
#define PINSHIM_SENT_H

#include "hello.h"

enum sent_state {
    SENT_UNKNOWN = 0, /* no judged library has made it, or that was many handshakes ago */
    SENT_NOT, /* not yet, or by no call that was seen */
    SENT_ELSEWHERE, /* on what has no internet address; or there were several of this random */
    SENT_TO_ADDRESS,
};

struct sent {
    enum sent_state state;
    int fd; /* SENT_TO_ADDRESS, SENT_ELSEWHERE: the socket's descriptor at that time; -1: there were several */
    struct host to; /* SENT_TO_ADDRESS: the destination */
};

/* A judged library has made a ClientHello, and none of it has left yet. Once for each handshake. */
void sent_made(const uint8_t random[static HELLO_RANDOM]);

/* Find where it was sent. */
enum sent_state sent_find(const uint8_t random[static HELLO_RANDOM], struct sent *out);

/* Return the descriptor by which it was sent; -1 if there is none, or if that is another socket by now, with another peer. errno is preserved. */
MUST_CHECK int sent_socket(const struct sent *sent);

enum sent_claim {
    SENT_BY_OTHERS = 0, /* no judged library has made it */
    SENT_ASTRAY, /* it was sent to another address before */
    SENT_ALONG, /* it was not, and this destination is the one from now on */
};

/* A ClientHello with this random is about to be sent on `fd`, to `to` (HOST_UNREADABLE: no internet address). */
enum sent_claim sent_leaves(const uint8_t random[static HELLO_RANDOM], int fd, const struct host *to);

#endif
