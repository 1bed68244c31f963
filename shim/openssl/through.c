#include "through.h"

#include "conn.h"
#include "hello.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#ifndef BIO_C_GET_SSL
#define BIO_C_GET_SSL 110
#endif

_Atomic bool through_reads_on;

/* What was asked on the SSL within which a ClientHello was sent, by its random: an SSL over BIOs in memory tells nothing else. The oldest of a set gives
 * way; a handshake whose entry is gone is one of which only the names are known. Nobody waits. */
#define SETS 256
#define WAYS 8
static struct within {
    _Atomic bool claimed;
    uint32_t age;
    uint8_t random[HELLO_RANDOM];
    struct proxied proxied;
} table[SETS][WAYS];
static _Atomic uint32_t ages;
static _Atomic bool any;

static struct within *set_of(const uint8_t random[static HELLO_RANDOM])
{
    return table[random[HELLO_RANDOM - 1] % SETS];
}

/* What was asked on the outer connection. Not to have seen it does not mean that there was nothing. */
static void read_outer(const struct ossl *ossl, const SSL *outer, struct proxied *out)
{
    const struct conn *conn = outer != NULL ? conn_of(ossl, outer) : NULL;

    out->asked = PROXY_NOT_ASKED;
    if (conn != NULL && conn->request != NULL)
        out->asked = proxy_request_host(conn->request, &out->host);
    if (out->asked == PROXY_NOT_ASKED)
        out->asked = PROXY_UNCLEAR;
}

static void remember(const struct ossl *ossl, const SSL *outer, const uint8_t random[static HELLO_RANDOM])
{
    uint32_t now = atomic_fetch_add(&ages, 1) + 1;
    struct within *set = set_of(random);
    struct within *place = &set[0];

    for (int i = 1; i < WAYS; i++) {
        if (now - set[i].age > now - place->age)
            place = &set[i];
    }
    if (atomic_exchange_explicit(&place->claimed, true, memory_order_acquire))
        return;
    place->age = now;
    memcpy(place->random, random, HELLO_RANDOM);
    read_outer(ossl, outer, &place->proxied);
    atomic_store_explicit(&place->claimed, false, memory_order_release);
    atomic_store(&any, true);
}

static bool find(const uint8_t random[static HELLO_RANDOM], struct proxied *out)
{
    struct within *set = set_of(random);
    bool found = false;

    for (int i = 0; i < WAYS && !found; i++) {
        if (atomic_exchange_explicit(&set[i].claimed, true, memory_order_acquire))
            continue;
        found = set[i].age != 0 && memcmp(set[i].random, random, HELLO_RANDOM) == 0;
        if (found)
            *out = set[i].proxied;
        atomic_store_explicit(&set[i].claimed, false, memory_order_release);
    }
    return found;
}

void through_written(const struct ossl *ossl, SSL *ssl, const void *bytes, size_t size)
{
    int saved = errno;
    const uint8_t *at = bytes;
    const struct iovec part = {(void *)(uintptr_t)bytes, size};
    struct hello hello;
    struct host host;
    struct conn *conn = conn_of(ossl, ssl);

    if (ossl->SSL_is_server(ssl))
        return;
    if (hello_may_begin(at[0]) && hello_read(&part, 1, &hello) == HELLO_CLIENT)
        remember(ossl, ssl, hello.random);
    if (conn == NULL && proxy_request_may_begin(at[0]))
        conn = conn_make(ossl, ssl);
    if (conn != NULL && conn->request == NULL && proxy_request_may_begin(at[0]))
        conn->request = calloc(1, sizeof(*conn->request));
    if (conn != NULL && conn->request != NULL) {
        proxy_request_read(conn->request, bytes, size, size);
        if (proxy_request_goes_on(conn->request)) {
            atomic_store(&through_reads_on, true);
        } else if (proxy_request_host(conn->request, &host) == PROXY_NOT_ASKED) {
            free(conn->request);
            conn->request = NULL;
        }
    }
    errno = saved;
}

bool through_find(const struct ossl *ossl, SSL *ssl, struct proxied *out)
{
    BIO *bio = ossl->SSL_get_rbio(ssl);
    BIO *within = bio != NULL ? ossl->BIO_find_type(bio, BIO_TYPE_SSL) : NULL;
    uint8_t random[HELLO_RANDOM];
    SSL *outer = NULL;

    if (within != NULL) {
        (void)ossl->BIO_ctrl(within, BIO_C_GET_SSL, 0, &outer);
        read_outer(ossl, outer, out);
        return true;
    }
    return atomic_load(&any) && ossl->SSL_get_client_random(ssl, random, sizeof(random)) == sizeof(random) && find(random, out);
}
