#include "verify.h"

#include "client_cert.h"
#include "refuse.h"
#include "told.h"

#include <errno.h>

void gtls_verify_set(struct conn *conn, gnutls_certificate_verify_function *function)
{
    conn->verify = function;
    conn->automatic = false;
    target_forget_told(&conn->facts.named);
}

/* What GnuTLS does for gnutls_session_set_verify_cert. */
static int verify_automatically(struct conn *conn)
{
    unsigned status = 0;
    int result = conn->automatic_count == 0
        ? conn->gtls->gnutls_certificate_verify_peers2(conn->session, &status)
        : conn->gtls->gnutls_certificate_verify_peers(conn->session, conn->automatic_data, conn->automatic_count, &status);

    if (result < 0)
        return GNUTLS_E_CERTIFICATE_ERROR;
    conn->automatic_status = status;
    return status != 0 ? GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR : 0;
}

void gtls_verify_set_automatic(struct conn *conn, gnutls_typed_vdata_st *data, unsigned count, bool copy)
{
    /* GnuTLS's own function has come to gtls_verify_set; but from a libgnutls that is linked with -Bsymbolic it does not, and has replaced the hook. */
    if (conn->verify == NULL) {
        conn->automatic = true;
        conn->automatic_status = UINT32_MAX;
        conn->automatic_host = copy ? data[0] : conn->automatic_host;
        conn->automatic_data = copy ? &conn->automatic_host : data;
        conn->automatic_count = count;
        conn->gtls->gnutls_session_set_verify_function(conn->session, gtls_verify);
    }
    gtls_facts_set_named(conn->gtls, &conn->facts, data, count);
}

/* The program's own verification comes first. A session's function hides that of its credentials. */
static int ask_program(struct conn *conn)
{
    gnutls_certificate_verify_function *function = conn->verify;
    struct credentials *credentials;
    void *object = NULL;

    if (function == NULL && conn->automatic)
        return verify_automatically(conn);
    if (function == NULL && conn->gtls->gnutls_credentials_get(conn->session, GNUTLS_CRD_CERTIFICATE, &object) >= 0
        && (credentials = gtls_credentials_of(object)) != NULL)
        function = atomic_load(&credentials->verify);
    return function != NULL ? function(conn->session) : 0;
}

int gtls_verify(gnutls_session_t session)
{
    struct conn *conn = gtls_conn_of(session);
    struct gathered gathered;
    enum decision decision;
    int result;
    int saved;

    if (conn == NULL || conn->phase == PHASE_REFUSED)
        return REFUSED;
    gtls_decide_presented(conn, &gathered);
    gtls_told_expect(conn, gathered.presented.leaf);
    result = ask_program(conn);
    if (result != 0) {
        gtls_decide_forget(conn, &gathered);
        return result;
    }
    saved = errno;
    decision = gtls_decide(conn, &gathered.presented, gtls_conn_driven != session);
    if (decision != DECISION_REFUSE && !gtls_client_cert_stays(conn))
        decision = DECISION_REFUSE;
    if (decision == DECISION_REFUSE)
        conn->phase = PHASE_REFUSED; /* what drives the handshake sends the alert */
    else
        gtls_conn_keep_leaf(conn, gathered.presented.leaf);
    gtls_decide_forget(conn, &gathered);
    errno = saved;
    return decision == DECISION_REFUSE ? REFUSED : 0;
}
