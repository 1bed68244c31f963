#include "verify.h"

#include "client_cert.h"
#include "context.h"
#include "decide.h"
#include "refuse.h"
#include "session.h"
#include "told.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WANT_RETRY_VERIFY 8 /* SSL_RETRY_VERIFY, 3.0 */
#define ECH_REJECTED (-105) /* SSL_ECH_STATUS_FAILED_ECH, 4.0: there are new keys */
#define ECH_REJECTED_BAD_NAME (-106) /* the same, and the program's verification has failed */
#define BUSY UINT64_MAX /* a place that is being written */
#define TRIES 1000

/* A server that has rejected ECH and gives new keys presents the certificate of the public name, and libssl then ends the handshake in any case with
 * the alert ech_required (RFC 9849, section 6.1.6; seen with 4.0.3: before a client certificate or data goes out). The program should get the keys.
 * Return true if this is the case and the certificate satisfies the rules for the public name. Not if the server asks for a client certificate: then
 * it is judged as the target that the program meant. */
static bool only_gives_keys(const struct ossl *ossl, SSL *ssl, const struct conn *conn, const struct presented *presented)
{
    const struct facts outer = {.sent = conn->facts.sent, .is_within = conn->facts.is_within, .within = conn->facts.within, .peer = conn->facts.peer, .verifying = conn->facts.verifying};
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
    gives = decide_by_facts(ossl, ssl, &outer, presented, evaluation) == VERDICT_ACCEPT;
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
    struct conn *conn;

    memset(captured, 0, sizeof(*captured));
    captured->own = own;
    if (ossl->X509_STORE_CTX_get_ex_data != NULL && ossl->SSL_get_ex_data_X509_STORE_CTX_idx != NULL)
        captured->ssl = ossl->X509_STORE_CTX_get_ex_data(ctx, ossl->SSL_get_ex_data_X509_STORE_CTX_idx());
    if (ossl->kind != OSSL_USABLE || captured->ssl == NULL)
        return;
    captured->presented.leaf = certs_from(ossl->X509_STORE_CTX_get0_cert(ctx));
    captured->presented.sent = ossl->X509_STORE_CTX_get0_untrusted(ctx);
    if (captured->presented.leaf == NULL && ossl->X509_STORE_CTX_get0_rpk != NULL)
        captured->presented.raw_key = certs_from_key(ossl->X509_STORE_CTX_get0_rpk(ctx));
    if (own && !ossl->SSL_is_server(captured->ssl))
        conn_forget_others(ossl, captured->ssl);
    if (own && !ossl->SSL_is_server(captured->ssl) && (conn = conn_make(ossl, captured->ssl)) != NULL) {
        conn->verifying = certs_x509(captured->presented.leaf);
        told_expect(ossl, captured->ssl, certs_x509(captured->presented.leaf));
    }
    captured->outer = beside;
    beside = (struct beside) {certs_x509(captured->presented.leaf), NULL};
}

/* Its session is to be resumed only for what the program has told in the verification, too. */
static void note_told(const struct ossl *ossl, X509 *leaf, const struct facts *facts)
{
    const char *name;
    size_t length;
    size_t at = 0;

    while (target_next_told(&facts->told, &at, &name, &length))
        session_was_told(ossl, leaf, name, length);
}

static int conclude(const struct ossl *ossl, X509_STORE_CTX *ctx, const struct captured *captured, const void *elsewhere, int result)
{
    SSL *ssl = captured->ssl;
    struct presented presented = captured->presented;
    X509 *leaf = certs_x509(presented.leaf);
    struct peer_digests digests;
    struct peer_digests known;
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
        return told_param(ossl, ctx) ? result : 0;
    /* Or, in its callback, of another certificate. */
    if (!captured->own && captured->outer.leaf != NULL && captured->outer.leaf != certs_x509(captured->presented.leaf))
        return result;
    /* "Ask me again" (SSL_set_retry_verify) is not a result yet. */
    if (result > 0 && !conn_is_quic(ossl, ssl) && ossl->SSL_want(ssl) == WANT_RETRY_VERIFY)
        return result;
    /* There is a certificate, so whatever was not offered cannot be why the handshake fails. */
    conn = conn_of(ossl, ssl);
    if (conn != NULL) {
        conn->withheld = false;
        conn->is_without = false;
        free(conn->early_failure);
        conn->early_failure = NULL;
    }
    /* The program refuses the peer itself. */
    if (result <= 0 && (ossl->SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) != 0)
        return result;
    (void)ossl->ERR_set_mark();
    conn = conn_make(ossl, ssl);
    presented.verified = ossl->X509_STORE_CTX_get0_chain(ctx);
    presented.elsewhere = elsewhere;
    if (captured->own && session_recall(ossl, ssl, leaf, &known))
        presented.digests = &known;
    if (conn != NULL)
        conn->facts.verifying = ossl->X509_STORE_CTX_get0_param(ctx);
    if (conn != NULL && conn->leaf != NULL && conn->leaf == leaf) {
        /* Already accepted: the program's callback called X509_verify_cert, which was judged. */
        if (captured->own)
            session_mark(ossl, leaf, NULL);
    } else if (conn != NULL && only_gives_keys(ossl, ssl, conn, &presented)) {
        /* Keep nothing. If libssl finished the handshake nevertheless, confirm would judge it as the target that the program meant. */
    } else if ((decision = decide(ossl, ssl, conn, &presented, conn == NULL || !(conn->driven || conn->followed), &digests)) != DECISION_REFUSE) {
        if (decision == DECISION_ACCEPT_WITH_CLIENT_CERT)
            client_cert_arm(ossl, ssl);
        /* Here, not at handshake completion: programs store the session before the handshake function returns. */
        if (captured->own)
            session_mark(ossl, leaf, &digests);
        if (captured->own && digests.known[PIN_SPKI][DIGEST_SHA256])
            session_remember(ossl, ssl, leaf);
        note_told(ossl, leaf, &conn->facts);
        conn_keep_leaf(ossl, conn, leaf);
    } else {
        /* Under SSL_VERIFY_NONE libssl would ignore the 0 and continue, and send a client certificate. It reads the mode only after
         * this returns; a NULL callback keeps the program's. */
        int mode = ossl->SSL_get_verify_mode(ssl);

        if (conn != NULL) {
            conn_set_phase(conn, PHASE_REFUSED);
            /* handshake_run does so itself. */
            if (!conn->driven)
                refuse_socket(ossl, ssl, conn, false);
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
    struct conn *conn;
    void *chain;

    if (ossl->kind != OSSL_USABLE || captured->ssl == NULL)
        return conclude(ossl, ctx, captured, NULL, result);
    conn = captured->own ? conn_of(ossl, captured->ssl) : NULL;
    if (conn != NULL)
        conn->verifying = NULL;
    chain = beside.chain;
    beside = captured->outer;
    result = conclude(ossl, ctx, captured, chain, result);
    free_chain(ossl, chain);
    return result;
}

/* Write a callback with its argument to a place that no thread reads, and only then put it into force. So a thread that verifies at the same time
 * never sees a mix of two pairs, no thread waits for one that a fork has left behind, and no memory is needed, however many pairs are set. Return
 * false if other threads occupy all places all the time. */
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

/* Read the pair in force. Return false if it was replaced again and again meanwhile. */
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

/* `arg` belongs to the SSL_CTX, which the program's function may free before it returns. */
static int cert_verify_callback(X509_STORE_CTX *ctx, void *arg)
{
    struct verification *verification = arg;
    const struct ossl *outer = ossl_verifying;
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
    ossl_verifying = ossl;
    result = function != NULL ? function(ctx, arg) : ossl->X509_verify_cert(ctx);
    ossl_verifying = outer;
    if (function == NULL && result < 0)
        result = 0; /* as libssl does without a callback */
    return verify_conclude(ossl, ctx, &captured, result);
}

/* Used if the program's callback cannot be wrapped. */
static int refuse_all(X509_STORE_CTX *ctx, void *arg)
{
    (void)ctx;
    (void)arg;
    return 0;
}

void verify_set_callback(const struct ossl *ossl, SSL_CTX *ctx, verify_function *function, void *arg)
{
    struct verification *verification = context_verification(ossl, ctx);

    /* NULL (the library's own verification) is a pair as well: when a context is switched back and forth, a thread that verifies at the same time
     * must not see the function of one with the argument of the other. */
    if (verification != NULL && publish(verification, function, arg))
        ossl->SSL_CTX_set_cert_verify_callback(ctx, cert_verify_callback, verification);
    else
        ossl->SSL_CTX_set_cert_verify_callback(ctx, refuse_all, NULL);
}

#define WORDS 64 /* no SSL_CTX is smaller, and none has them later (1.1.1 to 4.0) */

/* Find where libssl keeps the callback and, next to it, its argument: by what was just set. Return 0 if that is not certain. */
static int find_word(const SSL_CTX *ctx, const struct verification *verification)
{
    const uintptr_t *words = (const uintptr_t *)(const void *)ctx;
    int found = 0;

    for (int i = 1; i + 1 < WORDS; i++) {
        if (words[i] != (uintptr_t)cert_verify_callback || words[i + 1] != (uintptr_t)verification)
            continue;
        if (found != 0)
            return 0;
        found = i;
    }
    return found;
}

void verify_arm(const struct ossl *ossl, SSL_CTX *ctx)
{
    struct verification *verification;

    verify_set_callback(ossl, ctx, NULL, NULL);
    verification = context_verification(ossl, ctx);
    if (verification != NULL)
        verification->word = find_word(ctx, verification);
}

void verify_follow(const struct ossl *ossl, SSL_CTX *ctx)
{
    const struct context *context = context_of(ossl, ctx);
    const uintptr_t *words = (const uintptr_t *)(const void *)ctx;
    int at = context != NULL ? context->verification.word : 0;

    if (at != 0 && words[at] != (uintptr_t)cert_verify_callback && words[at] != (uintptr_t)refuse_all)
        verify_set_callback(ossl, ctx, (verify_function *)words[at], (void *)words[at + 1]);
}

bool verify_before_signature(const struct ossl *ossl, SSL *ssl)
{
    struct presented presented;
    struct peer_digests digests;
    enum decision decision = DECISION_REFUSE;
    int saved = errno;
    struct conn *conn;
    X509 *leaf;
    bool continues;

    (void)ossl->ERR_set_mark();
    conn = conn_make(ossl, ssl);
    leaf = decide_presented(ossl, ssl, &presented);
    continues = conn != NULL && conn->phase != PHASE_REFUSED && leaf != NULL && leaf == conn->leaf;
    if (!continues && (conn == NULL || conn->phase != PHASE_REFUSED)) {
        continues = conn != NULL && only_gives_keys(ossl, ssl, conn, &presented);
        if (!continues) {
            decision = decide(ossl, ssl, conn, &presented, conn == NULL || !conn->followed, &digests);
            continues = decision != DECISION_REFUSE;
        }
        if (decision != DECISION_REFUSE) {
            session_mark(ossl, leaf, &digests);
            conn_keep_leaf(ossl, conn, leaf);
        }
    }
    if (!continues && conn != NULL) {
        conn_set_phase(conn, PHASE_REFUSED);
        refuse_socket(ossl, ssl, conn, false);
    }
    if (leaf != NULL)
        ossl->X509_free(leaf);
    (void)ossl->ERR_pop_to_mark();
    if (!continues)
        ossl->SSL_set_verify_result(ssl, X509_V_ERR_CERT_REJECTED);
    errno = saved;
    return continues;
}
