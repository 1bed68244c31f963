#include "through.h"

#include "conn.h"

#include <errno.h>
#include <stdlib.h>

#ifndef BIO_C_GET_SSL
#define BIO_C_GET_SSL 110
#endif

void through_written(const struct ossl *ossl, SSL *ssl, const void *bytes, size_t size)
{
    struct conn *conn = conn_of(ossl, ssl);
    struct proxy_request *none = NULL;
    int saved = errno;

    if (ossl->SSL_is_server(ssl))
        return;
    if (conn == NULL && proxy_request_may_begin(*(const unsigned char *)bytes))
        conn = conn_make(ossl, ssl);
    within_written(conn != NULL ? &conn->request : &none, bytes, size);
    free(none);
    errno = saved;
}

bool through_find(const struct ossl *ossl, SSL *ssl, struct proxied *out)
{
    BIO *bio = ossl->SSL_get_rbio(ssl);
    BIO *within = bio != NULL ? ossl->BIO_find_type(bio, BIO_TYPE_SSL) : NULL;
    uint8_t random[HELLO_RANDOM];
    SSL *outer = NULL;

    if (within != NULL) {
        const struct conn *conn;

        (void)ossl->BIO_ctrl(within, BIO_C_GET_SSL, 0, &outer);
        conn = outer != NULL ? conn_of(ossl, outer) : NULL;
        within_read(conn != NULL ? conn->request : NULL, out);
        return true;
    }
    return within_is_used() && ossl->SSL_get_client_random(ssl, random, sizeof(random)) == sizeof(random) && within_find(random, out);
}
