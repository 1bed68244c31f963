#include "refuse.h"

#include "guard.h"

#define REASON_CERTIFICATE_VERIFY_FAILED 134 /* SSL_R_CERTIFICATE_VERIFY_FAILED */
#define SHUTDOWN_BOTH (SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN)

void refuse_push_error(const struct ossl *ossl)
{
    if (ossl->ERR_set_error != NULL) {
        ossl->ERR_new();
        ossl->ERR_set_debug("pinshim", 0, "");
        ossl->ERR_set_error(ERR_LIB_SSL, REASON_CERTIFICATE_VERIFY_FAILED, NULL);
    } else {
        ossl->ERR_put_error(ERR_LIB_SSL, 0, REASON_CERTIFICATE_VERIFY_FAILED, "pinshim", 0);
    }
}

/* Make a call on a refused connection fail as the refusal did. From 4.0 on, SSL_get_error no longer uses the error queue. A
 * real call makes it return SSL_ERROR_SSL: it fails and moves nothing, because the connection is shut down. */
void refuse_again(const struct ossl *ossl, SSL *ssl)
{
    ossl->SSL_set_shutdown(ssl, SHUTDOWN_BOTH);
    (void)ossl->ERR_set_mark();
    (void)ossl->SSL_write(ssl, "", 1);
    (void)ossl->ERR_pop_to_mark();
    ossl->SSL_set_verify_result(ssl, X509_V_ERR_CERT_REJECTED);
    refuse_push_error(ossl);
}

/* A QUIC connection shares its socket with others. */
void refuse_socket(const struct ossl *ossl, SSL *ssl, const struct conn *conn, bool done)
{
    int fd = ossl->SSL_get_rfd(ssl);

    if (conn_is_quic(ossl, ssl))
        return;
    if (fd >= 0 && done)
        guard_shut(fd);
    else
        guard_shut_after_alert(fd >= 0 ? fd : conn->facts.sent.state == SENT_TO_ADDRESS ? sent_socket(&conn->facts.sent) : -1);
}

void refuse_library(void)
{
    static atomic_flag logged = ATOMIC_FLAG_INIT;

    if (!atomic_flag_test_and_set(&logged))
        log_fault("this OpenSSL is too old or incomplete; expected 1.1.1 or newer");
}

/* Return true if the call is recognizably a server's, in a library that is not usable. An SSL of TLS_method() counts as a server until
 * SSL_connect. */
bool refuse_spares(const struct ossl *ossl, const SSL *ssl)
{
    return ossl->kind == OSSL_UNUSABLE && ossl->SSL_is_server != NULL && ossl->SSL_is_server(ssl);
}

/* Return true if `*ssl` belongs to a usable library and was not refused; else make the call fail. If `*ssl` is a stream (QUIC), it becomes the
 * stream's connection; `*conn` becomes the connection's state, NULL if there is none yet. */
bool refuse_unless_open(const struct ossl *ossl, SSL **ssl, struct conn **conn)
{
    SSL *called = *ssl;
    SSL *connection;

    if (ossl->kind != OSSL_USABLE) {
        refuse_library();
        return false;
    }
    conn_forget_others(ossl, called);
    *conn = conn_of(ossl, called);
    if (*conn == NULL && ossl->SSL_get0_connection != NULL) {
        connection = ossl->SSL_get0_connection(called);
        if (connection != NULL && connection != called) {
            *ssl = connection;
            *conn = conn_of(ossl, connection);
        }
    }
    if (conn_is_refused(ossl, *ssl, *conn)) {
        refuse_again(ossl, called);
        return false;
    }
    if (*conn != NULL && (*conn)->phase == PHASE_REFUSED)
        conn_start_afresh(ossl, *ssl, *conn);
    return true;
}
