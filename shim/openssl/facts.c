#include "facts.h"

#include "resolved.h"
#include "socket.h"
#include "target.h"
#include "verify_param.h"

#include <stdlib.h>
#include <string.h>

/* Add a host that the program named. Duplicates are skipped where that is easy to see. */
static void add_named(struct target *target, const char *string, size_t length)
{
    struct host host;

    host_parse(string, length, &host);
    if (host.kind == HOST_NAME && host.name[0] == '.')
        host.kind = HOST_UNREADABLE;
    if (host.kind != HOST_ADDRESS)
        target->named = true;
    for (size_t i = 0; i < target->count && i < TARGET_FEW; i++) {
        if (host_same(target_at(target, i), &host) && target_at(target, i)->port == host.port)
            return;
    }
    (void)target_add(target, &host);
}

/* Add a name to verify. A pattern (".example.com", X509_VERIFY_PARAM_set1_host) is not a host: it counts only if no name is known. */
static void add_to_verify(struct target *target, const char *string, size_t length)
{
    if (length == 0 || string[0] != '.')
        add_named(target, string, length);
    else
        target->pattern = true;
}

/* The program said which names it takes, and nothing says which of them it means. */
static void add_pattern(struct target *target, const struct host *place)
{
    static const struct host pattern = {.kind = HOST_UNREADABLE, .name = "a pattern of names"};
    struct host resolved;
    uintptr_t cursor = 0;

    if (target->pattern && !target->named && place->kind != HOST_NAME
        && !(place->kind == HOST_ADDRESS && resolved_next(place->address, &cursor, &resolved)))
        (void)target_add(target, &pattern);
}

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
        add_named(target, sni, strlen(sni));
}

/* Return true if there were any. */
static bool add_verified_names(const struct ossl *ossl, X509_VERIFY_PARAM *param, struct target *target)
{
    const char *name;
    size_t length;
    int i = 0;

    while (param != NULL && !target->overflow && (name = param_host(ossl, param, i, &length)) != NULL) {
        add_to_verify(target, name, length);
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
        add_named(target, address, text.length);
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

bool facts_next_told(const struct facts *facts, size_t *at, const char **name, size_t *length)
{
    if (*at >= facts->told_length)
        return false;
    memcpy(length, facts->told + *at, sizeof(*length));
    *name = facts->told + *at + sizeof(*length);
    *at += sizeof(*length) + *length;
    return true;
}

bool facts_tell(struct facts *facts, const char *name, size_t length)
{
    const char *known;
    size_t known_length;
    size_t at = 0;
    char *bigger;

    while (facts_next_told(facts, &at, &known, &known_length)) {
        if (known_length == length && memcmp(known, name, length) == 0)
            return false;
    }
    bigger = realloc(facts->told, facts->told_length + sizeof(length) + length);
    if (bigger == NULL) {
        facts->told_lost = true;
        return true;
    }
    memcpy(bigger + facts->told_length, &length, sizeof(length));
    memcpy(bigger + facts->told_length + sizeof(length), name, length);
    facts->told = bigger;
    facts->told_length += sizeof(length) + length;
    return true;
}

void facts_forget_told(struct facts *facts)
{
    free(facts->told);
    facts->told = NULL;
    facts->told_length = 0;
    facts->told_lost = false;
}

static void add_told(const struct facts *facts, struct target *target)
{
    const char *name;
    size_t length;
    size_t at = 0;

    while (facts_next_told(facts, &at, &name, &length))
        add_to_verify(target, name, length);
    target->overflow |= facts->told_lost;
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
    if (out->asked == PROXY_NOT_ASKED && (facts->sent.state == SENT_TO_ADDRESS || facts->sent.state == SENT_ELSEWHERE))
        proxy_of(facts->sent.fd, out);
}

/* Add the host that a proxy was asked for, unless the program named it as well. */
static void add_asked(struct target *target, const struct host *host)
{
    bool known = false;

    target->named |= host->kind == HOST_NAME;
    for (size_t i = 0; i < target->count; i++)
        known |= host->kind == HOST_NAME && host_same(target_at(target, i), host);
    if (!known)
        (void)target_add(target, host);
}

/* Give each host that has no port that of the place to which the connection leads. */
static void add_ports(struct target *target, const struct host *place)
{
    for (size_t i = 0; i < target->count; i++) {
        struct host *host = target_at(target, i);

        if (host->port != 0)
            continue;
        host->port = place->port;
        host->port_doubtful = host->kind != HOST_ADDRESS && !target_port_is_of(host, place);
    }
}

/* A proxy was asked, and it is not known for which host: the port is not known either. Only what has a name is still judged by it; what there is
 * besides, the proxy's own address at most, must satisfy its rules as well, for this may be no proxy. */
static void add_unclear(struct target *target, enum proxy_asked asked)
{
    static const struct host unreadable;

    if (!target->named || asked == PROXY_LOST)
        (void)target_add(target, &unreadable);
}

bool facts_read(const struct ossl *ossl, SSL *ssl, const struct facts *facts, struct target *out, struct host *address)
{
    struct proxied proxied;
    struct host place;

    target_clear(out);
    if (facts->begun && facts->sni != NULL)
        add_named(out, facts->sni, strlen(facts->sni));
    add_sni_now(ossl, ssl, facts, out);
    add_verified(ossl, ssl, facts->verifying, out);
    add_told(facts, out);
    if (!read_address(ossl, ssl, facts, address))
        address->kind = HOST_UNREADABLE;
    find_proxied(ossl, ssl, facts, &proxied);
    /* Else it is the proxy's. */
    if (proxied.asked != PROXY_ASKED)
        add_connect_bio(ossl, ssl, out);
    place = proxied.asked == PROXY_ASKED ? proxied.host : *address;
    if (proxied.asked == PROXY_UNCLEAR || proxied.asked == PROXY_LOST)
        add_unclear(out, proxied.asked);
    else if (place.kind != HOST_UNREADABLE)
        add_ports(out, &place);
    add_pattern(out, &place);
    if (place.kind == HOST_NAME)
        add_asked(out, &place);
    else if (place.kind == HOST_ADDRESS)
        (void)target_set_address(out, &place);
    return place.kind != HOST_UNREADABLE || facts->sent.state == SENT_ELSEWHERE;
}
