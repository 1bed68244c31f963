#include "session.h"

#include "proven.h"
#include "told.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LEAST 16 /* bytes of a session: under TLS 1.3 there are 4 if no ticket has come */
#define MOST_SENT 64

static uint32_t number_at(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Read `count` certificates, each with its length before it. Return false if these are none. */
static bool read_chain(struct bytes from, uint32_t count, gnutls_datum_t out[static MOST_SENT])
{
    for (uint32_t i = 0; i < count; i++) {
        struct bytes der;
        uint32_t size;

        if (from.length < 4 || (size = number_at(from.at)) > from.length - 4)
            return false;
        der = (struct bytes) {from.at + 4, size};
        from = (struct bytes) {from.at + 4 + size, from.length - 4 - size};
        out[i] = (gnutls_datum_t) {(unsigned char *)(uintptr_t)der.at, size};
        if (der_take(&der, DER_SEQUENCE).at == NULL || der.length > 0)
            return false;
    }
    return true;
}

/* Find the certificates of the peer in a session: their number, then each with its length. Only what gtls_session_written has compared with what the
 * peer presented is believed; the same bytes always give the same. */
static uint32_t find_chain(const uint8_t *bytes, size_t size, gnutls_datum_t out[static MOST_SENT])
{
    for (size_t at = 0; at + 10 < size; at++) {
        uint32_t count = number_at(bytes + at);

        if (count > 0 && count <= MOST_SENT && bytes[at + 8] == DER_SEQUENCE && read_chain((struct bytes) {bytes + at + 4, size - at - 4}, count, out))
            return count;
    }
    return 0;
}

/* Return true if some rule demands something. */
static bool rules_demand(const struct gtls *gtls)
{
    const struct pinstore *store = evaluation_pins(&gtls->tls);
    bool demand = store == NULL || store->pins == NULL || pins_demand_anything(store->pins);

    pinstore_release(store);
    return demand;
}

/* Return what GnuTLS says of the session. */
static int try(const struct gtls *gtls, unsigned flags, const void *bytes, size_t size)
{
    gnutls_session_t other;
    int result = gtls->gnutls_init(&other, flags);

    if (result < 0)
        return result;
    result = gtls->gnutls_session_set_data(other, bytes, size);
    gtls->gnutls_deinit(other);
    return result;
}

/* Return true if the session that is held back may be resumed. It has the certificates that its peer had sent, so revoked issuers are found. */
static bool may_resume(struct conn *conn, bool final)
{
    gnutls_datum_t chain[MOST_SENT];
    uint32_t count = find_chain(conn->held, conn->held_length, chain);
    struct gathered gathered;
    struct outlook outlook;

    if (count > 0 && gtls_told_knows((struct bytes) {chain[0].data, chain[0].size}))
        return false;
    count = conn->held_proven ? count : 0;
    gtls_decide_gather(conn, chain, count, &gathered);
    if (conn->held_digested)
        gathered.presented.digests = &conn->held_digests;
    outlook = gtls_decide_predict(conn, &gathered.presented, &conn->held_digests);
    conn->held_digested = count > 0;
    gtls_decide_forget(conn, &gathered);
    return outlook.accepted && (outlook.final || !final) && (!outlook.by_pin || conn->held_proven);
}

int gtls_session_hold(struct conn *conn, const void *bytes, size_t size)
{
    const struct gtls *gtls = conn->gtls;
    uint64_t digest[PROVEN_WORDS];
    int saved = errno;
    uint8_t *copy;
    int result;

    if (bytes == NULL || size < LEAST || !rules_demand(gtls)) {
        conn->offered |= conn->held == NULL;
        return gtls->gnutls_session_set_data(conn->session, bytes, size);
    }
    copy = malloc(size);
    if (copy == NULL)
        return GNUTLS_E_MEMORY_ERROR;
    memcpy(copy, bytes, size);
    gtls_conn_keep_session(conn, copy, size);
    proven_digest(bytes, size, digest);
    conn->held_proven = proven_knows(digest);
    /* Once it is set, it cannot be removed. With a name, the target is the one that the program means to reach. */
    conn->offered = conn->facts.sni.length > 0 && may_resume(conn, true);
    /* What GnuTLS has given it takes, unless it has expired: that leads to a full handshake in any case. */
    result = conn->offered ? gtls->gnutls_session_set_data(conn->session, bytes, size) : conn->held_proven ? 0 : try(gtls, conn->flags, bytes, size);
    if (result < 0)
        gtls_conn_keep_session(conn, NULL, 0);
    errno = saved;
    return result;
}

/* Log why more early data may not be written. */
static void log_stopped(struct conn *conn)
{
    gnutls_datum_t chain[MOST_SENT];
    uint32_t count = conn->held_proven ? find_chain(conn->held, conn->held_length, chain) : 0;
    struct evaluation *evaluation = evaluation_new();
    struct gathered gathered;

    if (evaluation == NULL || conn->logged.refusal)
        return;
    gtls_decide_gather(conn, chain, count, &gathered);
    if (gtls_decide_evaluate(conn, &gathered.presented, evaluation) == VERDICT_ACCEPT)
        evaluation->remark = "early data is to be written, but under what is now known of the target its session would not be offered";
    gtls_decide_report(conn, &gathered.presented, evaluation, EVENT_REFUSED);
    conn->logged.refusal = true;
    gtls_decide_forget(conn, &gathered);
    evaluation_end(evaluation);
    evaluation_free(evaluation);
}

bool gtls_session_offer(struct conn *conn, bool early)
{
    /* What is still unknown of the target is known when the handshake is confirmed; early data is gone by then. */
    bool final = early || (conn->flags & GNUTLS_ENABLE_EARLY_DATA) != 0;

    if (conn->held == NULL || conn->passed_over)
        return true;
    if (!may_resume(conn, final)) {
        if (conn->offered) {
            log_stopped(conn);
            return false;
        }
    } else if (!conn->offered) {
        conn->offered = conn->gtls->gnutls_session_set_data(conn->session, conn->held, conn->held_length) >= 0;
    }
    conn->passed_over = early && !conn->offered;
    return true;
}

void gtls_session_written(struct conn *conn, const void *bytes, size_t size)
{
    gnutls_datum_t chain[MOST_SENT];
    uint64_t digest[PROVEN_WORDS];
    unsigned count = 0;
    const gnutls_datum_t *sent;
    uint32_t found;

    /* Before the server has proven its key, anybody could have made the session: its secret may still be zero. */
    if (conn->phase != PHASE_CONFIRMED || bytes == NULL || size < LEAST)
        return;
    sent = conn->gtls->gnutls_certificate_get_peers(conn->session, &count);
    if (sent == NULL || conn->gtls->gnutls_certificate_type_get2(conn->session, GNUTLS_CTYPE_SERVER) != GNUTLS_CRT_X509)
        return;
    found = find_chain(bytes, size, chain);
    if (found == 0 || found != count)
        return;
    for (uint32_t i = 0; i < found; i++) {
        if (chain[i].size != sent[i].size || memcmp(chain[i].data, sent[i].data, sent[i].size) != 0)
            return;
    }
    proven_digest(bytes, size, digest);
    proven_remember(digest);
}
