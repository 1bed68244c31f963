/* Shared by the benchmark programs: a client and a server that are connected in memory. */
#ifndef BENCH_H
#define BENCH_H

#include "clock.h"

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct contexts {
    SSL_CTX *client;
    SSL_CTX *server;
};

struct pair {
    SSL *client;
    SSL *server;
};

/* Make both contexts; the server presents the certificate, the client verifies nothing, so that the shim's share is as large as possible. */
static inline struct contexts make_contexts(const char *certificate, const char *key, int version)
{
    struct contexts out = {SSL_CTX_new(TLS_client_method()), SSL_CTX_new(TLS_server_method())};

    if (SSL_CTX_use_certificate_chain_file(out.server, certificate) != 1
        || SSL_CTX_use_PrivateKey_file(out.server, key, SSL_FILETYPE_PEM) != 1)
        die("the certificate");
    SSL_CTX_set_min_proto_version(out.client, version);
    SSL_CTX_set_max_proto_version(out.client, version);
    SSL_CTX_set_session_id_context(out.server, (const unsigned char *)"bench", 5);
    return out;
}

/* Do a handshake over a new pair of BIOs; resume `session` if it is not NULL. */
static inline struct pair shake(struct contexts contexts, SSL_SESSION *session)
{
    struct pair pair = {SSL_new(contexts.client), SSL_new(contexts.server)};
    BIO *left;
    BIO *right;

    if (BIO_new_bio_pair(&left, 65536, &right, 65536) != 1)
        die("BIO_new_bio_pair");
    SSL_set_bio(pair.client, left, left);
    SSL_set_bio(pair.server, right, right);
    SSL_set_tlsext_host_name(pair.client, "www.pinned.example");
    SSL_set_accept_state(pair.server);
    if (session != NULL)
        SSL_set_session(pair.client, session);
    while (SSL_connect(pair.client) != 1 || SSL_do_handshake(pair.server) != 1) {
        int error = SSL_get_error(pair.client, -1);

        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_NONE)
            die("the handshake");
        SSL_do_handshake(pair.server);
    }
    return pair;
}

static inline void part(struct pair pair)
{
    SSL_shutdown(pair.client);
    SSL_free(pair.client);
    SSL_free(pair.server);
}

#endif
