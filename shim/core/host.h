/* Host names and addresses, as the pins file and as programs write them. */
#ifndef PINSHIM_HOST_H
#define PINSHIM_HOST_H

#include "text.h"

#include <sys/socket.h>

#define HOST_NAME_MAX_LENGTH 255

enum host_kind {
    HOST_UNREADABLE = 0, /* neither: too long, empty, or with characters that no host name has */
    HOST_NAME,
    HOST_ADDRESS,
};

struct host {
    enum host_kind kind;
    uint16_t port; /* 0: not known */
    bool port_doubtful; /* the port is the socket's, perhaps a proxy's, and not the one that the program meant */
    uint8_t address[16]; /* HOST_ADDRESS; IPv4 as ::ffff:a.b.c.d (RFC 4291, section 2.5.5.2) */
    char name[HOST_NAME_MAX_LENGTH + 1]; /* HOST_NAME: lower case, no trailing dot; HOST_UNREADABLE: as given, shortened */
};

/* Read what a program gave as a host: a name, an IPv4 address, or an IPv6 address with or without brackets, each with or
 * without :port (an IPv6 address only in brackets). Return the host's kind. */
enum host_kind host_parse(const char *string, size_t length, struct host *out);

/* Read an address of `length` characters, without brackets and port. Return true if and only if it is an address. */
MUST_CHECK bool host_parse_address(const char *string, size_t length, uint8_t out[static 16]);

/* Read an AF_INET or AF_INET6 socket address with its port. Return false for every other family. */
MUST_CHECK bool host_from_sockaddr(const struct sockaddr *from, socklen_t length, struct host *out);

/* Read the bytes of an AF_INET or AF_INET6 address, as in a struct hostent. Return false for every other family. */
MUST_CHECK bool host_from_bytes(int family, const void *bytes, struct host *out);

/* Return true if both are the same name, or the same address; their ports do not matter. */
MUST_CHECK bool host_same(const struct host *a, const struct host *b);

/* Return true for 127.0.0.0/8, as an IPv4-mapped address, and ::1. */
MUST_CHECK bool host_is_loopback(const struct host *address);

/* Append the host, with its port if that is known: example.com:443, 192.0.2.1, [2001:db8::1]:443. Escaped for a log. */
void host_print(const struct host *host, struct text *out);

/* Append the host's address or name alone. */
void host_print_bare(const struct host *host, struct text *out);

#endif
