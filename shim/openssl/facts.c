#include "facts.h"

#include "socket.h"
#include "verify_param.h"

#include <string.h>

/* Add the SNI that the SSL has now: a renegotiation may have another. On a resumption under TLS 1.2 it is the session's, which an
 * earlier connection asked for; that counts only if the handshake start was missed. */
static void add_sni_now(const struct ossl *ossl, SSL *ssl, const struct facts *facts, struct target *target)
{
    const char *sni = ossl->SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    SSL_SESSION *session = ossl->SSL_get_session(ssl);

    if (sni == NULL || (facts->begun && session != NULL && sni == ossl->SSL_SESSION_get0_hostname(session)))
        return;
    /* Nearly always it was added already. */
    if (!facts->begun || facts->sni == NULL || strcmp(sni, facts->sni) != 0)
        target_name(target, sni, strlen(sni));
}

/* Return true if there were any. */
static bool add_verified_names(const struct ossl *ossl, X509_VERIFY_PARAM *param, struct target *target)
{
    const char *name;
    size_t length;
    int i = 0;

    while (param != NULL && !target->overflow && (name = param_host(ossl, param, i, &length)) != NULL) {
        target_name_to_verify(target, name, length);
        i++;
    }
    return i > 0;
}

static bool add_verified_address(const struct ossl *ossl, X509_VERIFY_PARAM *param, struct target *target)
{
    char address[64];
    struct text text = text_over(address, sizeof(address));
    int i = 0;

    for (; param != NULL && !target->overflow && param_address(ossl, param, i, &text); i++) {
        target_name(target, address, text.length);
        text = text_over(address, sizeof(address));
    }
    return i > 0;
}

/* The parameter of the trust store, from which libssl takes what the SSL's own does not set. A store for verification only takes precedence over the
 * store of the SSL_CTX. */
static X509_VERIFY_PARAM *store_param(const struct ossl *ossl, SSL *ssl)
{
    const SSL_CTX *ctx = ossl->SSL_get_SSL_CTX(ssl);
    X509_STORE *store = NULL;

    (void)ossl->SSL_ctrl(ssl, SSL_CTRL_GET_VERIFY_CERT_STORE, 0, &store);
    if (store == NULL && ctx != NULL)
        store = ossl->SSL_CTX_get_cert_store(ctx);
    return store != NULL ? ossl->X509_STORE_get0_param(store) : NULL;
}

/* Add the names and addresses to verify, wherever they are set. During a verification, a verify callback may have set more. */
static void add_verified(const struct ossl *ossl, SSL *ssl, X509_VERIFY_PARAM *verifying, struct target *target)
{
    X509_VERIFY_PARAM *own = ossl->SSL_get0_param(ssl);
    bool named = add_verified_names(ossl, own, target);
    bool addressed = add_verified_address(ossl, own, target);
    X509_VERIFY_PARAM *other = verifying;

    if (other == NULL && !(named && addressed))
        other = store_param(ossl, ssl);
    if (verifying != NULL || !named)
        (void)add_verified_names(ossl, other, target);
    if (verifying != NULL || !addressed)
        (void)add_verified_address(ossl, other, target);
}

/* A BIO that connects by itself (BIO_s_connect) has the name that it was given. */
static void add_connect_bio(const struct ossl *ossl, SSL *ssl, struct target *target)
{
    BIO *bio = ossl->SSL_get_rbio(ssl);
    char *name = NULL;
    char *port = NULL;
    struct host host;

    bio = bio != NULL ? ossl->BIO_find_type(bio, BIO_TYPE_CONNECT) : NULL;
    if (bio == NULL || ossl->BIO_ctrl(bio, BIO_C_GET_CONNECT, 0, &name) <= 0 || name == NULL)
        return;
    host_parse(name, strlen(name), &host);
    if (ossl->BIO_ctrl(bio, BIO_C_GET_CONNECT, 1, &port) > 0 && port != NULL && host.port == 0)
        host.port = text_port(port, strlen(port));
    target->named |= host.kind == HOST_NAME;
    (void)target_add(target, &host);
}

/* A datagram socket need not be connected: its BIO has its peer as a socket address (BIO_ADDR is a union of them). */
static bool read_datagram_peer(const struct ossl *ossl, SSL *ssl, struct host *address)
{
    struct sockaddr_storage peer;
    BIO *bio = ossl->SSL_get_wbio(ssl);
    long length;

    memset(&peer, 0, sizeof(peer));
    bio = bio != NULL ? ossl->BIO_find_type(bio, BIO_TYPE_DGRAM) : NULL;
    length = bio != NULL ? ossl->BIO_ctrl(bio, BIO_CTRL_DGRAM_GET_PEER, sizeof(peer), &peer) : 0;
    return length > 0 && length <= (long)sizeof(peer)
        && host_from_sockaddr((const struct sockaddr *)&peer, (socklen_t)length, address);
}

void facts_follow(const struct ossl *ossl, SSL *ssl, struct facts *facts)
{
    uint8_t random[HELLO_RANDOM];

    if (facts->random_known && facts->sent.state != SENT_TO_ADDRESS && ossl->SSL_get_client_random(ssl, random, sizeof(random)) == sizeof(random))
        (void)sent_find(random, &facts->sent);
}

/* Find the address to which the connection leads. A datagram's peer changes to the one that has answered
 * last; what counts is where the handshake was started to. */
static bool read_address(const struct ossl *ossl, SSL *ssl, const struct facts *facts, struct host *address)
{
    int fd = ossl->SSL_get_rfd(ssl);

    memset(address, 0, sizeof(*address));
    if (fd >= 0 && socket_peer(fd, address))
        return true;
    if (facts->sent.state != SENT_TO_ADDRESS && read_datagram_peer(ossl, ssl, address))
        return true;
    *address = facts->peer.kind == HOST_ADDRESS || facts->sent.state != SENT_TO_ADDRESS ? facts->peer : facts->sent.to;
    return address->kind == HOST_ADDRESS;
}

/* Find out what a proxy was asked for, on the connection itself or on the one within which this one runs. */
static void find_proxied(const struct ossl *ossl, SSL *ssl, const struct facts *facts, struct proxied *out)
{
    if (facts->is_within) {
        *out = facts->within;
        return;
    }
    proxy_of(ossl->SSL_get_rfd(ssl), out);
    if (out->asked == PROXY_NOT_ASKED)
        proxy_of(sent_socket(&facts->sent), out);
}

bool facts_read(const struct ossl *ossl, SSL *ssl, const struct facts *facts, struct target *out, struct host *address)
{
    struct proxied proxied;
    struct host place;

    target_clear(out);
    if (facts->begun && facts->sni != NULL)
        target_name(out, facts->sni, strlen(facts->sni));
    add_sni_now(ossl, ssl, facts, out);
    add_verified(ossl, ssl, facts->verifying, out);
    target_add_told(out, &facts->told);
    if (!read_address(ossl, ssl, facts, address))
        address->kind = HOST_UNREADABLE;
    find_proxied(ossl, ssl, facts, &proxied);
    /* Else it is the proxy's. */
    if (proxied.asked != PROXY_ASKED)
        add_connect_bio(ossl, ssl, out);
    place = proxied.asked == PROXY_ASKED ? proxied.host : *address;
    target_lead(out, proxied.asked, &place);
    if (place.kind == HOST_UNREADABLE && !out->named)
        out->lost = facts->hidden;
    return place.kind != HOST_UNREADABLE || facts->sent.state == SENT_ELSEWHERE;
}
