#include "param.h"

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

/* Set a name and an address and look for them. A pointer is followed only if it was NULL before. */
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

bool param_is_readable(struct ossl *ossl)
{
    ossl->param_known = prove_layout(ossl);
    return ossl->X509_VERIFY_PARAM_get0_host != NULL ? ossl->X509_VERIFY_PARAM_get1_ip_asc != NULL : ossl->param_known;
}

const char *param_host(const struct ossl *ossl, X509_VERIFY_PARAM *param, int index)
{
    if (ossl->X509_VERIFY_PARAM_get0_host != NULL)
        return ossl->X509_VERIFY_PARAM_get0_host(param, index);
    if (layout_of(param)->hosts == NULL || index >= ossl->OPENSSL_sk_num(layout_of(param)->hosts))
        return NULL;
    return ossl->OPENSSL_sk_value(layout_of(param)->hosts, index);
}

bool param_address(const struct ossl *ossl, X509_VERIFY_PARAM *param, struct text *out)
{
    char printed[INET6_ADDRSTRLEN];
    size_t length;
    char *address;

    /* Where there is none, the getter raises an error, which takes longer than all that is done here. */
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
    length = layout_of(param)->ip_length;
    if (layout_of(param)->ip == NULL || (length != 4 && length != 16)
        || inet_ntop(length == 4 ? AF_INET : AF_INET6, layout_of(param)->ip, printed, sizeof(printed)) == NULL)
        return false;
    text_add(out, "%s", printed);
    return true;
}
