#include "told.h"

#include "decide.h"
#include "refuse.h"

#include <errno.h>
#include <string.h>

#define EXPECTED 16
#define PEERS 4096

/* Certificates that peers of this thread's connections have presented, by their signatures. */
static _Thread_local struct expected {
    uint64_t signature; /* 0: none */
    gnutls_session_t session; /* it may be gone by now */
} expected[EXPECTED];
static _Thread_local unsigned next_expected;

/* Those of all threads. Where two share a place, the older one is forgotten. */
static _Atomic uint64_t peers[PEERS];

/* Leaves that the program has checked for a name, a bit for each; none is ever forgotten. */
#define CHECKED (1 << 16)
static _Atomic uint64_t checked[CHECKED / 64];

static void remember_checked(uint64_t signature)
{
    unsigned bit = (unsigned)(signature >> 13) % CHECKED;

    atomic_fetch_or(&checked[bit / 64], (uint64_t)1 << bit % 64);
}

static uint64_t signature_of_der(struct bytes der)
{
    struct bytes certificate = der_take_content(&der, DER_SEQUENCE);
    struct bytes bits;

    (void)!der_take(&certificate, DER_SEQUENCE).length;
    (void)!der_take(&certificate, DER_SEQUENCE).length;
    bits = der_take_content(&certificate, DER_BIT_STRING);
    return bits.at != NULL && bits.length > 1 ? digest_short(bits.at + 1, bits.length - 1) : 0;
}

static uint64_t signature_of(const struct gtls *gtls, gnutls_x509_crt_t crt)
{
    char bytes[2048];
    size_t size = sizeof(bytes);

    return gtls->gnutls_x509_crt_get_signature(crt, bytes, &size) >= 0 ? digest_short(bytes, size) : 0;
}

bool gtls_told_knows(struct bytes leaf)
{
    unsigned bit = (unsigned)(signature_of_der(leaf) >> 13) % CHECKED;

    return (atomic_load(&checked[bit / 64]) & (uint64_t)1 << bit % 64) != 0;
}

void gtls_told_expect(struct conn *conn, const struct certificate *leaf)
{
    const struct expected *last = &expected[(next_expected - 1) % EXPECTED];
    uint64_t signature = leaf != NULL ? signature_of_der(leaf->der) : 0;

    conn->signature = signature;
    if (signature == 0)
        return;
    atomic_store_explicit(&peers[signature / 2 % PEERS], signature, memory_order_relaxed);
    if (last->signature != signature || last->session != conn->session)
        expected[next_expected++ % EXPECTED] = (struct expected) {signature, conn->session};
}

/* Find this thread's connections whose peers have presented the certificate. It is checked for one of those whose program has given no name, and they are
 * all taken for it; if there is none, for the last of the others. Return how many were written. */
static size_t find_conns(uint64_t signature, struct conn *out[static EXPECTED])
{
    struct conn *last = NULL;
    size_t count = 0;

    for (unsigned i = 1; i <= EXPECTED; i++) {
        const struct expected *one = &expected[(next_expected - i) % EXPECTED];
        struct conn *conn = one->signature == signature ? gtls_conn_of(one->session) : NULL;

        if (conn == NULL || conn->signature != signature)
            continue;
        last = last != NULL ? last : conn;
        if (conn->facts.sni.length == 0 && conn->facts.named.length == 0)
            out[count++] = conn;
    }
    if (count == 0 && last != NULL)
        out[count++] = last;
    return count;
}

/* The handshake is over: judge the peer for all that is known of the target now. */
static bool judge_again(struct conn *conn)
{
    struct gathered gathered;
    bool continues;

    gtls_decide_presented(conn, &gathered);
    continues = gtls_decide(conn, &gathered.presented, true) != DECISION_REFUSE;
    gtls_decide_forget(conn, &gathered);
    if (!continues)
        (void)gtls_refuse(conn);
    return continues;
}

bool gtls_told_data(struct conn *conn, const gnutls_typed_vdata_st *data, unsigned count)
{
    int saved = errno;
    bool continues = conn->phase != PHASE_REFUSED;

    if (continues && gtls_facts_note_data(conn->gtls, &conn->facts, data, count)) {
        remember_checked(conn->signature);
        if (conn->phase == PHASE_CONFIRMED)
            continues = judge_again(conn);
        else
            gtls_conn_keep_leaf(conn, NULL); /* a verdict that came before the name does not count */
    }
    errno = saved;
    return continues;
}

/* The certificate is that of another thread's connection, which may be in use or end at any moment: it is judged for this alone, and what it presented
 * besides is not known. */
static bool judge_apart(const struct gtls *gtls, struct bytes der, const struct told *told)
{
    struct certificate leaf = {.owners = 1, .der = der};
    const struct presented presented = {.leaf = &leaf};
    struct evaluation *evaluation = evaluation_new();
    struct logged logged = {.refusal = false};
    bool continues;

    if (evaluation == NULL)
        return false;
    evaluation->target.named = true;
    evaluation->target_final = true;
    memset(&evaluation->address, 0, sizeof(evaluation->address));
    target_add_told(&evaluation->target, told);
    continues = evaluate(&gtls->tls, &presented, evaluation) == VERDICT_ACCEPT
        || evaluation_decide(&gtls->tls, &presented, evaluation, false, &logged) != DECISION_REFUSE;
    evaluation_end(evaluation);
    evaluation_free(evaluation);
    gtls_certs_forget_one(gtls, &leaf);
    return continues;
}

bool gtls_told_apart(const struct gtls *gtls, gnutls_x509_crt_t crt, const gnutls_datum_t *der, const gnutls_typed_vdata_st *data, unsigned count)
{
    gnutls_datum_t exported = {NULL, 0};
    struct facts facts = {.random_known = false};
    bool continues = true;
    int saved = errno;
    struct conn *conns[EXPECTED];
    uint64_t signature;
    size_t found;

    if (data == NULL || count == 0 || (crt == NULL && der == NULL))
        return true;
    signature = crt != NULL ? signature_of(gtls, crt) : signature_of_der((struct bytes) {der->data, der->size});
    found = signature != 0 ? find_conns(signature, conns) : 0;
    for (size_t i = 0; i < found; i++)
        continues &= gtls_told_data(conns[i], data, count);
    if (found == 0 && signature != 0 && atomic_load_explicit(&peers[signature / 2 % PEERS], memory_order_relaxed) == signature
        && gtls_facts_note_data(gtls, &facts, data, count)) {
        remember_checked(signature);
        if (crt == NULL)
            exported = *der;
        continues = (crt == NULL || gtls->gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_DER, &exported) >= 0)
            && judge_apart(gtls, (struct bytes) {exported.data, exported.size}, &facts.told);
        if (crt != NULL && exported.data != NULL)
            (*gtls->free)(exported.data);
    }
    gtls_facts_forget(&facts);
    errno = saved;
    return continues;
}

bool gtls_told_name(const struct gtls *gtls, gnutls_x509_crt_t crt, const gnutls_datum_t *der, const char *name)
{
    const gnutls_typed_vdata_st data = {.type = GNUTLS_DT_DNS_HOSTNAME, .data = (unsigned char *)(uintptr_t)name};

    return gtls_told_apart(gtls, crt, der, &data, name != NULL ? 1 : 0);
}
