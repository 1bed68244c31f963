#include "verify_param.h"

#include <arpa/inet.h>
#include <string.h>
#include <time.h>

/* X509_VERIFY_PARAM in every release of 1.1.1 (crypto/x509/x509_local.h there). */
struct layout {
    char *name;
    time_t check_time;
    uint32_t inheritance;
    unsigned long flags;
    int purpose;
    int trust;
    int depth;
    int auth_level;
    void *policies;
    void *hosts; /* a stack of strings; NULL: none */
    unsigned int host_flags;
    char *peer_name;
    char *email;
    size_t email_length;
    unsigned char *ip; /* NULL: none */
    size_t ip_length;
};

static const struct layout *layout_of(X509_VERIFY_PARAM *param)
{
    return (const struct layout *)(const void *)param;
}

/* Set a name and an address, and check that they are found. A pointer is followed only if it was NULL before. */
static bool prove_layout(const struct ossl *ossl)
{
    static const unsigned char ip[4] = {192, 0, 2, 1};
    static const char host[] = "layout.example";
    X509_VERIFY_PARAM *param;
    bool proven = false;

    if (ossl->X509_VERIFY_PARAM_new == NULL || ossl->X509_VERIFY_PARAM_free == NULL || ossl->X509_VERIFY_PARAM_set1_host == NULL
        || ossl->X509_VERIFY_PARAM_set1_ip == NULL || ossl->OPENSSL_sk_num == NULL || ossl->OPENSSL_sk_value == NULL)
        return false;
    param = ossl->X509_VERIFY_PARAM_new();
    if (param == NULL)
        return false;
    if (layout_of(param)->hosts == NULL && layout_of(param)->ip == NULL && layout_of(param)->ip_length == 0
        && ossl->X509_VERIFY_PARAM_set1_host(param, host, sizeof(host) - 1) == 1
        && ossl->X509_VERIFY_PARAM_set1_ip(param, ip, sizeof(ip)) == 1 && layout_of(param)->hosts != NULL
        && layout_of(param)->ip != NULL && layout_of(param)->ip_length == sizeof(ip)) {
        const char *found = ossl->OPENSSL_sk_num(layout_of(param)->hosts) == 1 ? ossl->OPENSSL_sk_value(layout_of(param)->hosts, 0) : NULL;

        proven = found != NULL && strcmp(found, host) == 0 && memcmp(layout_of(param)->ip, ip, sizeof(ip)) == 0;
    }
    ossl->X509_VERIFY_PARAM_free(param);
    return proven;
}

/* From 4.0 on, names and addresses are stacks of these. No getter gives a second address, and the getter of names relies on a zero after each, which
 * the names that an SSL inherits from its SSL_CTX lack (4.0.3). */
struct stacked {
    char *at;
    size_t length;
};

#define WORDS_BEFORE 6 /* numbers and the policies */
#define WORDS 12 /* of X509_VERIFY_PARAM in 4.0 that are searched; it has more */

/* Return the word of the structure that is the stack of the values set, `first` and then `second`, each of `length` bytes; 0: not found.
 * A pointer is followed only if it was NULL before. */
static int find_stack(const struct ossl *ossl, bool addresses, const char *first, const char *second, size_t length)
{
    X509_VERIFY_PARAM *param = ossl->X509_VERIFY_PARAM_new();
    void *const *words = (void *const *)(const void *)param;
    const char *set[2] = {first, second};
    void *before[WORDS];
    int found = 0;

    if (param == NULL)
        return 0;
    memcpy(before, words, sizeof(before));
    for (int i = 0; i < 2; i++) {
        if ((addresses ? ossl->X509_VERIFY_PARAM_add1_ip(param, (const unsigned char *)set[i], length)
                       : ossl->X509_VERIFY_PARAM_add1_host(param, set[i], length)) != 1)
            set[i] = NULL;
    }
    for (int i = WORDS_BEFORE; i < WORDS && found == 0; i++)
        found = before[i] == NULL && words[i] != NULL ? i : 0;
    for (int i = 0; i < 2 && found != 0; i++) {
        const struct stacked *there = ossl->OPENSSL_sk_num(words[found]) == 2 ? ossl->OPENSSL_sk_value(words[found], i) : NULL;

        if (set[i] == NULL || there == NULL || there->length != length || memcmp(there->at, set[i], length) != 0)
            found = 0;
    }
    ossl->X509_VERIFY_PARAM_free(param);
    return found;
}

static const struct stacked *bytes_at(const struct ossl *ossl, const X509_VERIFY_PARAM *param, int word, int index)
{
    const void *stack = ((void *const *)(const void *)param)[word];

    return stack != NULL && index < ossl->OPENSSL_sk_num(stack) ? ossl->OPENSSL_sk_value(stack, index) : NULL;
}

bool param_is_readable(struct ossl *ossl)
{
    ossl->param_known = prove_layout(ossl);
    if (ossl->X509_VERIFY_PARAM_add1_ip != NULL && ossl->X509_VERIFY_PARAM_add1_host != NULL && ossl->X509_VERIFY_PARAM_new != NULL
        && ossl->X509_VERIFY_PARAM_free != NULL) {
        ossl->param_hosts = find_stack(ossl, false, "a.layout", "b.layout", strlen("a.layout"));
        ossl->param_addresses = find_stack(ossl, true, "\xc0\x00\x02\x01", "\xc0\x00\x02\x02", 4);
    }
    return ossl->X509_VERIFY_PARAM_get0_host != NULL ? ossl->X509_VERIFY_PARAM_get1_ip_asc != NULL : ossl->param_known;
}

const char *param_host(const struct ossl *ossl, X509_VERIFY_PARAM *param, int index, size_t *length)
{
    const struct stacked *bytes;
    const char *host = NULL;

    if (ossl->param_hosts != 0) {
        bytes = bytes_at(ossl, param, ossl->param_hosts, index);
        *length = bytes != NULL ? bytes->length : 0;
        return bytes != NULL ? bytes->at : NULL;
    }
    if (ossl->X509_VERIFY_PARAM_get0_host != NULL)
        host = ossl->X509_VERIFY_PARAM_get0_host(param, index);
    else if (layout_of(param)->hosts != NULL && index < ossl->OPENSSL_sk_num(layout_of(param)->hosts))
        host = ossl->OPENSSL_sk_value(layout_of(param)->hosts, index);
    *length = host != NULL ? strlen(host) : 0;
    return host;
}

static bool print_address(const unsigned char *ip, size_t length, struct text *out)
{
    char printed[INET6_ADDRSTRLEN];

    if (ip == NULL || (length != 4 && length != 16) || inet_ntop(length == 4 ? AF_INET : AF_INET6, ip, printed, sizeof(printed)) == NULL)
        return false;
    text_add(out, "%s", printed);
    return true;
}

bool param_address(const struct ossl *ossl, X509_VERIFY_PARAM *param, int index, struct text *out)
{
    const struct stacked *ip;
    char *address;

    if (ossl->param_addresses != 0) {
        ip = bytes_at(ossl, param, ossl->param_addresses, index);
        return ip != NULL && print_address((const unsigned char *)ip->at, ip->length, out);
    }
    if (index > 0)
        return false;
    /* If there is none, the getter raises an error, which takes longer than everything else here. */
    if (ossl->param_known && layout_of(param)->ip == NULL)
        return false;
    if (ossl->X509_VERIFY_PARAM_get1_ip_asc != NULL) {
        address = ossl->X509_VERIFY_PARAM_get1_ip_asc(param);
        if (address == NULL)
            return false;
        text_add(out, "%s", address);
        ossl->CRYPTO_free(address, "", 0);
        return true;
    }
    return print_address(layout_of(param)->ip, layout_of(param)->ip_length, out);
}
