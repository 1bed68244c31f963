#include "start.h"

#include "client_cert.h"
#include "context.h"
#include "decide.h"
#include "psk.h"
#include "unseen.h"

#include <errno.h>
#include <string.h>

#define ASKING 0x5afd /* no error has this number */

int start_asking(void)
{
    int before = errno;

    errno = ASKING;
    return before;
}

void start_asked(int before)
{
    errno = before;
}

bool start_is_asked(void)
{
    return errno == ASKING;
}

/* Put an empty session in place of the SSL's: it is not resumed. Without any, libssl would crash if it takes early data to be flowing, as it does
 * still after SSL_set_connect_state. */
static void take_off(const struct ossl *ossl, SSL *ssl)
{
    SSL_SESSION *empty = ossl->SSL_SESSION_new();
    long verified = ossl->SSL_get_verify_result(ssl);

    (void)ossl->SSL_set_session(ssl, empty);
    if (empty != NULL)
        ossl->SSL_SESSION_free(empty);
    ossl->SSL_set_verify_result(ssl, verified);
}

/* Ask libssl whether the SSL has any suite to offer. */
static bool has_suites(const struct ossl *ossl, SSL *ssl)
{
    int before = start_asking();
    struct stack_st_SSL_CIPHER *suites = ossl->SSL_get1_supported_ciphers(ssl);
    bool any = suites != NULL && ossl->OPENSSL_sk_num(suites) > 0;

    start_asked(before);
    if (suites != NULL)
        ossl->OPENSSL_sk_free(suites);
    return any;
}

/* What the program has set without a call that was seen is not asked for again later: without a certificate, the peer must not get that far. The query
 * about suites shows whether there is anything to withhold, which the log says if the handshake fails. */
static void withhold_unseen(const struct ossl *ossl, SSL *ssl, struct conn *conn)
{
    bool before = conn->withheld;
    bool withheld = decide_withholds(ossl, ssl);

    conn->withheld = before;
    if (!withheld)
        return;
    (void)has_suites(ossl, ssl);
    conn->callbacks_removed = true;
    ossl->SSL_set_psk_client_callback(ssl, NULL);
    ossl->SSL_set_psk_use_session_callback(ssl, NULL);
    if (ossl->SSL_set_session_secret_cb != NULL)
        (void)ossl->SSL_set_session_secret_cb(ssl, NULL, NULL);
    /* The handshake then fails without an alert, and starts again at each call. */
    if (conn->withheld && !conn->is_without && !has_suites(ossl, ssl)) {
        conn->lacks_offer = true;
        unseen_failed(ossl, ssl, conn);
        conn->is_without = true;
    }
}

/* Record the facts by which the handshake will be judged, and remove a session that it may not resume: then it becomes a
 * full one. During a resumption under TLS 1.2, SSL_get_servername gives the session's name, so the program's own is recorded now. */
void start_known(const struct ossl *ossl, SSL *ssl, struct conn *conn)
{
    bool unseen = context_is_unseen(ossl, ssl);
    SSL_SESSION *session = ossl->SSL_get_session(ssl);
    const char *sni = ossl->SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

    conn_start_afresh(ossl, ssl, conn);
    /* If the program set no name, this is the TLS 1.2 session's, which is not sent. */
    if (session != NULL && sni == ossl->SSL_SESSION_get0_hostname(session))
        sni = NULL;
    conn->facts.sni = sni != NULL ? strdup(sni) : NULL;
    conn->facts.begun = true;
    if (unseen)
        unseen_start(ossl, ssl, conn, session);
    /* If there is no memory for the name, a resumption would be judged without it. */
    if (session != NULL && ((sni != NULL && conn->facts.sni == NULL) || !decide_may_resume(ossl, ssl, session))) {
        take_off(ossl, ssl);
        session = NULL;
        conn->taken_off = true;
    }
    conn_keep_judged(ossl, conn, session);
    psk_withhold_secret(ossl, ssl);
    if (unseen)
        withhold_unseen(ossl, ssl, conn);
    client_cert_allow_requests(ossl, ssl, conn);
}

void start_handshake(const struct ossl *ossl, SSL *ssl, bool alone)
{
    struct conn *conn = conn_of(ossl, ssl);
    int saved = errno;

    if (conn != NULL && conn->driven && conn->starting && alone && ossl->SSL_get_session(ssl) == conn->judged)
        return;
    (void)ossl->ERR_set_mark();
    conn = conn_make(ossl, ssl);
    if (conn != NULL)
        start_known(ossl, ssl, conn);
    else
        take_off(ossl, ssl); /* and then the certificate is refused */
    if (conn != NULL)
        conn->starting = alone;
    (void)ossl->ERR_pop_to_mark();
    errno = saved;
}
