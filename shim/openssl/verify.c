#include "verify.h"

#include "client_cert.h"
#include "context.h"
#include "decide.h"
#include "refuse.h"
#include "security.h"
#include "session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WANT_RETRY_VERIFY 8 /* SSL_RETRY_VERIFY, 3.0 */
#define ECH_REJECTED (-105) /* SSL_ECH_STATUS_FAILED_ECH, 4.0: there are new keys */
#define ECH_REJECTED_BAD_NAME (-106) /* the same, and the program's verification has failed */
#define BUSY UINT64_MAX /* a place that is written to */
#define TRIES 1000

/* Where a server has rejected ECH and gives new keys for it, what it shows is the certificate of the public name, and libssl ends the handshake
 * with the alert ech_required whatever is said of that (RFC 9849, section 6.1.6; seen with 4.0.3: before a client certificate or data goes out).
 * The program is to get the keys. Return true if it is so, and the certificate satisfies the rules for that name. Not where the server asks for
 * a client certificate: then it is judged as what the program meant. */
static bool only_gives_keys(const struct ossl *ossl, SSL *ssl, const struct conn *conn, const struct shown *shown)
{
    const struct facts outer = {.wire = conn->facts.wire, .peer = conn->facts.peer, .verifying = conn->facts.verifying};
    struct evaluation *evaluation;
    char *names[2] = {NULL, NULL};
    bool gives;
    int status;

    if (ossl->SSL_ech_get1_status == NULL || conn_is_quic(ossl, ssl))
        return false;
    status = ossl->SSL_ech_get1_status(ssl, &names[0], &names[1]);
    ossl->CRYPTO_free(names[0], "", 0);
    ossl->CRYPTO_free(names[1], "", 0);
    if ((status != ECH_REJECTED && status != ECH_REJECTED_BAD_NAME) || ossl->SSL_get_sigalgs(ssl, -1, NULL, NULL, NULL, NULL, NULL) != 0)
        return false;
    evaluation = evaluation_new();
    if (evaluation == NULL)
        return false;
    gives = evaluate(ossl, ssl, &outer, shown, evaluation) == VERDICT_ACCEPT;
    evaluation_end(evaluation);
    evaluation_free(evaluation);
    return gives;
}

static _Thread_local struct beside beside;

static void free_chain(const struct ossl *ossl, void *chain)
{
    for (int i = 0; chain != NULL && i < ossl->OPENSSL_sk_num(chain); i++)
        ossl->X509_free(ossl->OPENSSL_sk_value(chain, i));
    if (chain != NULL)
        ossl->OPENSSL_sk_free(chain);
}

void verify_note_beside(const struct ossl *ossl, X509_STORE_CTX *ctx)
{
    const void *verified;
    void *chain;

    if (ossl->kind != OSSL_USABLE || beside.leaf == NULL || ossl->X509_STORE_CTX_get0_cert(ctx) != beside.leaf)
        return;
    verified = ossl->X509_STORE_CTX_get0_chain(ctx);
    chain = ossl->OPENSSL_sk_new_null();
    for (int i = 0; chain != NULL && verified != NULL && i < ossl->OPENSSL_sk_num(verified); i++) {
        X509 *certificate = ossl->OPENSSL_sk_value(verified, i);

        if (ossl->X509_up_ref(certificate) == 1 && ossl->OPENSSL_sk_push(chain, certificate) <= 0)
            ossl->X509_free(certificate);
    }
    free_chain(ossl, beside.chain);
    beside.chain = chain;
}

void verify_capture(const struct ossl *ossl, X509_STORE_CTX *ctx, bool own, struct captured *captured)
{
    memset(captured, 0, sizeof(*captured));
    captured->own = own;
    if (ossl->X509_STORE_CTX_get_ex_data != NULL && ossl->SSL_get_ex_data_X509_STORE_CTX_idx != NULL)
        captured->ssl = ossl->X509_STORE_CTX_get_ex_data(ctx, ossl->SSL_get_ex_data_X509_STORE_CTX_idx());
    if (ossl->kind != OSSL_USABLE || captured->ssl == NULL)
        return;
    captured->shown.leaf = ossl->X509_STORE_CTX_get0_cert(ctx);
    captured->shown.chain = ossl->X509_STORE_CTX_get0_untrusted(ctx);
    if (captured->shown.leaf == NULL && ossl->X509_STORE_CTX_get0_rpk != NULL)
        captured->shown.raw_key = ossl->X509_STORE_CTX_get0_rpk(ctx);
    captured->outer = beside;
    beside = (struct beside) {captured->shown.leaf, NULL};
}

static int conclude(const struct ossl *ossl, X509_STORE_CTX *ctx, const struct captured *captured, const void *elsewhere, int result)
{
    SSL *ssl = captured->ssl;
    struct shown shown = captured->shown;
    struct peer_digests digests;
    enum decision decision;
    int saved = errno;
    struct conn *conn;

    if (ossl->kind == OSSL_FOREIGN || ssl == NULL || refuse_spares(ossl, ssl))
        return result;
    if (ossl->kind == OSSL_UNUSABLE) {
        refuse_library();
        return 0;
    }
    if (ossl->SSL_is_server(ssl))
        return result;
    /* The program verifies something of its own, before a handshake or after it. */
    if (!captured->own && (ossl->SSL_in_before(ssl) || ossl->SSL_is_init_finished(ssl)))
        return result;
    /* "Ask me again" (SSL_set_retry_verify) is no answer yet. */
    if (result > 0 && !conn_is_quic(ossl, ssl) && ossl->SSL_want(ssl) == WANT_RETRY_VERIFY)
        return result;
    /* There is a certificate: whatever was not offered, it is not what the handshake may fail for. */
    conn = conn_of(ossl, ssl);
    if (conn != NULL) {
        conn->withheld = false;
        free(conn->unsaid);
        conn->unsaid = NULL;
    }
    /* The program refuses by itself. */
    if (result <= 0 && (ossl->SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) != 0)
        return result;
    (void)ossl->ERR_set_mark();
    /* Where the context was not seen to be made (by a library that asks dlsym for what is next after it): so that no later SSL resumes
     * the session that comes of this without being judged. */
    security_watch(ossl, ossl->SSL_get_SSL_CTX(ssl));
    conn = conn_make(ossl, ssl);
    shown.verified = ossl->X509_STORE_CTX_get0_chain(ctx);
    shown.elsewhere = elsewhere;
    if (conn != NULL)
        conn->facts.verifying = ossl->X509_STORE_CTX_get0_param(ctx);
    if (conn != NULL && conn->leaf != NULL && conn->leaf == captured->shown.leaf) {
        /* Already accepted: the program's callback ran the library's verification, which was judged. */
        if (captured->own)
            session_mark(ossl, captured->shown.leaf, NULL);
    } else if (conn != NULL && only_gives_keys(ossl, ssl, conn, &shown)) {
        /* Nothing is kept of it. If libssl finished the handshake nevertheless, confirm would judge it as what the program meant. */
    } else if ((decision = decide(ossl, ssl, conn, &shown, conn == NULL || !conn->driven, &digests)) != DECISION_REFUSE) {
        if (decision == DECISION_ACCEPT_WITH_CLIENT_CERT)
            client_cert_arm(ossl, ssl);
        /* Already here, not when the handshake is finished: programs store the session before that call returns. */
        if (captured->own)
            session_mark(ossl, captured->shown.leaf, &digests);
        conn_keep_leaf(ossl, conn, captured->shown.leaf);
    } else {
        /* Under SSL_VERIFY_NONE libssl would ignore the 0 and go on to send a client certificate. It reads the mode only after
         * this returns; a NULL callback keeps the program's. */
        int mode = ossl->SSL_get_verify_mode(ssl);

        if (conn != NULL) {
            conn_set_phase(conn, PHASE_REFUSED);
            conn->mode = conn->mode_changed ? conn->mode : mode;
            conn->mode_changed = true;
        }
        ossl->SSL_set_verify(ssl, mode | SSL_VERIFY_PEER, NULL);
        ossl->X509_STORE_CTX_set_error(ctx, X509_V_ERR_CERT_REJECTED);
        result = 0;
    }
    if (conn != NULL)
        conn->facts.verifying = NULL;
    (void)ossl->ERR_pop_to_mark();
    errno = saved;
    return result;
}

int verify_conclude(const struct ossl *ossl, X509_STORE_CTX *ctx, const struct captured *captured, int result)
{
    void *chain;

    if (ossl->kind != OSSL_USABLE || captured->ssl == NULL)
        return conclude(ossl, ctx, captured, NULL, result);
    chain = beside.chain;
    beside = captured->outer;
    result = conclude(ossl, ctx, captured, chain, result);
    free_chain(ossl, chain);
    return result;
}

/* Write a callback with its argument where nobody reads, and only then say that it is the one in force: so the two are never mixed up by a
 * thread that verifies meanwhile, nobody waits for a thread that a fork has left behind, and no memory is taken, however many there are. Return
 * false where other threads are at all places all the time. */
static bool publish(struct verification *verification, verify_function *function, void *arg)
{
    for (int i = 0; i < TRIES; i++) {
        uint64_t ticket = atomic_fetch_add(&verification->tickets, 1) + 1;
        struct verify_place *place = &verification->places[ticket % VERIFY_PLACES];
        uint64_t there = atomic_load(&place->ticket);
        uint64_t current = atomic_load(&verification->current);

        if (there == BUSY || (current != 0 && there == current) || !atomic_compare_exchange_strong(&place->ticket, &there, BUSY))
            continue;
        atomic_store(&place->function, function);
        atomic_store(&place->arg, arg);
        atomic_store(&place->ticket, ticket);
        while (current < ticket && !atomic_compare_exchange_weak(&verification->current, &current, ticket))
            ;
        return true;
    }
    return false;
}

/* Read the one in force. Return false where it was replaced again and again meanwhile. */
static bool read_pair(struct verification *verification, verify_function **function, void **arg)
{
    for (int i = 0; i < TRIES; i++) {
        uint64_t current = atomic_load(&verification->current);
        struct verify_place *place = &verification->places[current % VERIFY_PLACES];

        if (current == 0 || atomic_load(&place->ticket) != current)
            continue;
        *function = atomic_load(&place->function);
        *arg = atomic_load(&place->arg);
        if (atomic_load(&place->ticket) == current)
            return true;
    }
    return false;
}

/* It belongs to the SSL_CTX, which libssl's caller holds, but perhaps not when the program's function returns. */
static int verify_callback_hook(X509_STORE_CTX *ctx, void *arg)
{
    struct verification *verification = arg;
    const struct ossl *ossl;
    verify_function *function;
    struct captured captured;
    int result;

    /* libssl sets function and argument one after the other: another thread may see this function before its argument. */
    if (verification == NULL || !read_pair(verification, &function, &arg))
        return 0;
    ossl = verification->ossl;
    verify_capture(ossl, ctx, true, &captured);
    /* libssl always has an SSL there. */
    if (captured.ssl == NULL)
        return 0;
    result = function != NULL ? function(ctx, arg) : ossl->X509_verify_cert(ctx);
    if (function == NULL && result < 0)
        result = 0; /* as libssl does without a callback */
    return verify_conclude(ossl, ctx, &captured, result);
}

/* Stands in where the program's callback cannot be stood before. */
static int refuse_all(X509_STORE_CTX *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    return 0;
}

void verify_set_callback(const struct ossl *ossl, SSL_CTX *ctx, verify_function *function, void *arg)
{
    struct verification *verification = context_verification(ossl, ctx);

    /* NULL, "the library's own", is a pair as well: a context that is switched to and fro must not show one with the argument of the
     * other to a thread that verifies meanwhile. */
    if (verification != NULL && publish(verification, function, arg))
        ossl->SSL_CTX_set_cert_verify_callback(ctx, verify_callback_hook, verification);
    else
        ossl->SSL_CTX_set_cert_verify_callback(ctx, refuse_all, NULL);
}
