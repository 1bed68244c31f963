#include "conn.h"

#include <stdlib.h>
#include <string.h>

/* The private extension of each client's session, by which the shim hears of ClientHellos and of the session's end; it is never sent. From the range that
 * nobody is assigned a number of (RFC 8447, section 7): the first that the program has not taken itself. */
#define EXTENSION 65317
#define EXTENSIONS 8

_Thread_local gnutls_session_t gtls_conn_driven;

void gtls_conn_keep_session(struct conn *conn, uint8_t *bytes, size_t size)
{
    if (conn->held != NULL)
        explicit_bzero(conn->held, conn->held_length);
    free(conn->held);
    conn->held = bytes;
    conn->held_length = size;
    conn->held_proven = conn->held_digested = conn->offered = conn->passed_over = false;
}

static void release(const void *library, void *attached)
{
    struct conn *conn = attached;

    (void)library;
    free(conn->leaf);
    free(conn->client);
    gtls_conn_keep_session(conn, NULL, 0);
    gtls_facts_forget(&conn->facts);
    free(conn->request);
    free(conn);
}

struct conn *gtls_conn_of(gnutls_session_t session)
{
    struct conn *conn = session != NULL ? state_of(session) : NULL;

    /* It might be what is kept for an SSL that was freed unseen. */
    return conn != NULL && conn->attached.release == release ? conn : NULL;
}

bool gtls_conn_hear_hello(struct conn *conn)
{
    if (!gtls_facts_made(conn->gtls, conn->session, &conn->facts))
        return false;
    /* Another handshake, on a connection that was confirmed. */
    if (conn->phase == PHASE_CONFIRMED) {
        gtls_conn_start_afresh(conn);
        conn->begun = conn->again = true;
    }
    return true;
}

/* GnuTLS writes the extensions of a ClientHello. */
static int hello_is_made(gnutls_session_t session, gnutls_buffer_t extensions)
{
    struct conn *conn = gtls_conn_of(session);

    (void)extensions;
    if (conn == NULL)
        return 0;
    (void)gtls_conn_hear_hello(conn);
    return 0;
}

static int take_nothing(gnutls_session_t session, const unsigned char *bytes, size_t size)
{
    (void)session;
    (void)bytes;
    (void)size;
    return 0;
}

static void is_freed(gnutls_ext_priv_data_t data)
{
    struct conn *conn = data;

    state_drop(conn->gtls, conn->session);
}

bool gtls_conn_made(const struct gtls *gtls, gnutls_session_t session, unsigned flags, gnutls_certificate_verify_function *hook)
{
    struct conn *conn = calloc(1, sizeof(*conn));
    int extension = EXTENSION;
    int result = GNUTLS_E_ALREADY_REGISTERED;

    if (conn == NULL)
        return false;
    conn->attached.release = release;
    conn->gtls = gtls;
    conn->session = session;
    conn->flags = flags;
    while (result == GNUTLS_E_ALREADY_REGISTERED && extension < EXTENSION + EXTENSIONS)
        result = gtls->gnutls_session_ext_register(session, "pinshim", extension++, GNUTLS_EXT_TLS, take_nothing, hello_is_made, is_freed, NULL, NULL,
            GNUTLS_EXT_FLAG_CLIENT_HELLO | GNUTLS_EXT_FLAG_TLS | GNUTLS_EXT_FLAG_DTLS);
    if (result < 0 || !state_keep(gtls, session, &conn->attached)) {
        free(conn);
        return false;
    }
    gtls->gnutls_ext_set_data(session, (unsigned)extension - 1, conn);
    gtls->gnutls_session_set_verify_function(session, hook);
    return true;
}

void gtls_conn_start_afresh(struct conn *conn)
{
    gtls_conn_keep_leaf(conn, NULL);
    free(conn->client);
    conn->client = NULL;
    conn->phase = PHASE_UNJUDGED;
    conn->begun = false;
    conn->again = false;
    conn->false_start = false;
    conn->alerted = false;
    conn->logged = (struct logged) {.refusal = false};
    target_forget_told(&conn->facts.told);
    free(conn->request);
    conn->request = NULL;
}

void gtls_conn_keep_leaf(struct conn *conn, const struct certificate *leaf)
{
    free(conn->leaf);
    conn->leaf = leaf != NULL ? malloc(leaf->der.length) : NULL;
    conn->leaf_length = conn->leaf != NULL ? leaf->der.length : 0;
    if (conn->leaf != NULL)
        memcpy(conn->leaf, leaf->der.at, leaf->der.length);
    conn->proven = false;
}

bool gtls_conn_has_leaf(const struct conn *conn, const struct certificate *leaf)
{
    return conn->leaf != NULL && leaf != NULL && conn->leaf_length == leaf->der.length && memcmp(conn->leaf, leaf->der.at, conn->leaf_length) == 0;
}
