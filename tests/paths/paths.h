/* What the programs of this directory share. Their options are words ("tls1.2") and "NAME=VALUE". A client verifies nothing, but where
 * $PATHS_TRUST names a file with the certificate of a CA. */
#ifndef PATHS_H
#define PATHS_H

#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Not in 1.1.1, where a client may always ask for a renegotiation. */
#ifndef SSL_OP_ALLOW_CLIENT_RENEGOTIATION
#define SSL_OP_ALLOW_CLIENT_RENEGOTIATION 0
#endif

/* The methods for one version are gone from 4.0. */
#if OPENSSL_VERSION_NUMBER >= 0x40000000L
#define TLSv1_2_client_method TLS_client_method
#endif

/* musl ignores the one, and has no versions; dlmopen it has none. */
#ifndef __GLIBC__
#define RTLD_DEEPBIND 8
#define LM_ID_BASE 0
#define dlmopen(space, object, mode) dlopen(object, mode)
#define dlvsym(library, name, version) dlsym(library, name)
#define __recv_chk(fd, bytes, size, room, flags) recv(fd, bytes, size, flags)
#define __recvfrom_chk(fd, bytes, size, room, flags, from, length) recvfrom(fd, bytes, size, flags, from, length)
#define __read_chk(fd, bytes, size, room) read(fd, bytes, size)
#endif

#define PINNED "www.pinned.example"
#define REQUEST "GET /secret HTTP/1.0\r\n\r\n"

static inline void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(2);
}

static inline const char *option(char **argv, const char *name, const char *otherwise)
{
    size_t length = strlen(name);

    for (; *argv != NULL; argv++) {
        if (strncmp(*argv, name, length) == 0 && (*argv)[length] == '=')
            return *argv + length + 1;
    }
    return otherwise;
}

static inline bool word(char **argv, const char *name)
{
    for (; *argv != NULL; argv++) {
        if (strcmp(*argv, name) == 0)
            return true;
    }
    return false;
}

/* A socket of that type to HOST; for SOCK_DGRAM connected as well. */
static inline int open_socket(const char *host, const char *port, int type)
{
    struct addrinfo hints = {.ai_family = strchr(host, ':') != NULL ? AF_INET6 : AF_INET, .ai_socktype = type, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found;
    int fd;

    if (getaddrinfo(host, port, &hints, &found) != 0)
        die("getaddrinfo");
    fd = socket(found->ai_family, type, 0);
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0)
        die("connect");
    freeaddrinfo(found);
    return fd;
}

/* Have NAME resolved, and return its address as text. */
static inline const char *resolve(const char *name)
{
    static char address[64];
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;

    if (getaddrinfo(name, NULL, &hints, &found) != 0
        || getnameinfo(found->ai_addr, found->ai_addrlen, address, sizeof(address), NULL, 0, NI_NUMERICHOST) != 0)
        die(name);
    freeaddrinfo(found);
    return address;
}

#ifndef PATHS_NO_SSL
/* Have a new client's context verify the peer's chain, if it is to. */
static inline SSL_CTX *trusting(SSL_CTX *ctx)
{
    const char *trust = getenv("PATHS_TRUST");

    if (ctx == NULL)
        die("SSL_CTX_new");
    if (trust == NULL || trust[0] == '\0')
        return ctx;
    if (SSL_CTX_load_verify_locations(ctx, trust, NULL) != 1)
        die(trust);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    return ctx;
}

/* A client's context. The words tls1.2, tls1.3 and cipher=LIST are obeyed. */
static inline SSL_CTX *context(char **argv)
{
    SSL_CTX *ctx = trusting(SSL_CTX_new(TLS_client_method()));

    if (word(argv, "tls1.2"))
        SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
    if (word(argv, "tls1.3"))
        SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
    if (option(argv, "cipher", NULL) != NULL && SSL_CTX_set_cipher_list(ctx, option(argv, "cipher", NULL)) != 1)
        die("cipher");
    return ctx;
}

static inline SSL *client(SSL_CTX *ctx, int fd, const char *sni)
{
    SSL *ssl = SSL_new(ctx);

    if (ssl == NULL || (sni != NULL && SSL_set_tlsext_host_name(ssl, sni) != 1) || (fd >= 0 && SSL_set_fd(ssl, fd) != 1))
        die("SSL_new");
    return ssl;
}

/* A chain of BIOs that is to connect to HOST, and its SSL. */
static inline BIO *chain_to(SSL_CTX *ctx, const char *host, const char *port, SSL **ssl)
{
    BIO *chain = BIO_new_ssl_connect(ctx);

    if (chain == NULL || BIO_get_ssl(chain, ssl) != 1)
        die("BIO_new_ssl_connect");
    BIO_set_conn_hostname(chain, host);
    BIO_set_conn_port(chain, port);
    return chain;
}

/* Show NAME.pem. */
static inline void identity(SSL *ssl, const char *name)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s.pem", name);
    if (SSL_use_certificate_file(ssl, path, SSL_FILETYPE_PEM) != 1)
        die(path);
    snprintf(path, sizeof(path), "%s.key", name);
    if (SSL_use_PrivateKey_file(ssl, path, SSL_FILETYPE_PEM) != 1)
        die(path);
}

static inline int show(const char *call, SSL *ssl, int result)
{
    printf("%s: %d, error %d, verify result %ld\n", call, result, SSL_get_error(ssl, result), SSL_get_verify_result(ssl));
    ERR_clear_error();
    return result;
}

/* Send the request and print the answer. Return true if there was one. */
static inline bool fetch(SSL *ssl)
{
    char answer[4096];
    bool any = false;
    int got;

    if (show("SSL_write", ssl, SSL_write(ssl, REQUEST, (int)strlen(REQUEST))) <= 0)
        return false;
    while ((got = SSL_read(ssl, answer, sizeof(answer))) > 0) {
        any = true;
        fwrite(answer, 1, (size_t)got, stdout);
    }
    return any;
}

/* Be a client of PINNED, at the address of the arguments. Return true if there was an answer. */
static inline bool fetch_at(char **argv)
{
    SSL *ssl = client(context(argv), open_socket(argv[1], argv[2], SOCK_STREAM), PINNED);

    return show("SSL_connect", ssl, SSL_connect(ssl)) == 1 && fetch(ssl);
}
#endif
#endif
