#include "tls_library.h"

#include <ctype.h>
#include <string.h>

/* Each text that is searched for is in two parts, for elf_find. */
struct mark {
    char first;
    const char *rest;
};

/* The name of libssl's ex_data in an X509_STORE_CTX, 1.0.2 to 4.0; no program has a reason to contain it. */
static const struct mark openssl = {'S', "SL for verify callback"};
/* File names in its error messages. */
static const struct mark boringssl = {'s', "sl_key_share.cc"};
static const struct mark gnutls = {'E', "nabled GnuTLS "}; /* what it logs first */
static const struct mark go_tls = {'c', "rypto/tls.(*Conn).clientHandshake"};
static const struct mark libssl = {'l', "ibssl.so"};

static bool has(const struct elf *elf, struct mark mark)
{
    return elf_find(elf, mark.first, mark.rest, NULL) != NULL;
}

/* The source files of a Rust crate are named in its panics: rustls-0.23.4/src/..., or rustls/src/... */
static bool has_rustls(const struct elf *elf)
{
    const char *end = (const char *)elf->bytes + elf->size;

    for (const char *at = elf_find(elf, 'r', "ustls", NULL); at != NULL; at = elf_find(elf, 'r', "ustls", at)) {
        if (end - at > 11 && (strncmp(at + 6, "/src/", 5) == 0 || (at[6] == '-' && isdigit((unsigned char)at[7]))))
            return true;
    }
    return false;
}

/* Find "NAME 1.2.3" with a date after it, as in OPENSSL_VERSION_TEXT. */
static bool find_version(const struct elf *elf, struct mark name, char version[static 40])
{
    const char *end = (const char *)elf->bytes + elf->size;
    size_t skip = 1 + strlen(name.rest);

    for (const char *at = elf_find(elf, name.first, name.rest, NULL); at != NULL; at = elf_find(elf, name.first, name.rest, at)) {
        char text[64] = "";
        size_t length;

        memcpy(text, at + skip, (size_t)(end - at) - skip < sizeof(text) - 1 ? (size_t)(end - at) - skip : sizeof(text) - 1);
        length = strspn(text, "0123456789.abcdefghijklmnopqrstuvwxyz-+");
        if (!isdigit((unsigned char)text[0]) || strchr(text, '.') == strrchr(text, '.') || length > 30)
            continue;
        if (text[length] != ' ' && text[length] != '\0')
            continue;
        memcpy(version, text, length);
        version[length] = '\0';
        return true;
    }
    return false;
}

static const struct library *by_name(const struct libraries *libraries, const char *name)
{
    for (const struct library *library = libraries->first; library != NULL; library = library->next) {
        if (strcmp(library_name(library), name) == 0 || (library->elf.soname != NULL && strcmp(library->elf.soname, name) == 0))
            return library;
    }
    return NULL;
}

/* Read the version text in the object. Return true if it is OpenSSL's, and false with a name if it is a fork's. */
static bool read_kin(const struct elf *elf, struct tls *out)
{
    if (find_version(elf, (struct mark) {'O', "penSSL "}, out->version)) {
        out->name = "OpenSSL";
        return true;
    }
    if (find_version(elf, (struct mark) {'L', "ibreSSL "}, out->version))
        out->name = "LibreSSL";
    else if (has(elf, boringssl))
        out->name = "BoringSSL";
    return false;
}

/* Find out which fork of OpenSSL an object with SSL_CTX_new is: its version is in the object or in its libcrypto. */
static bool name_kin(const struct libraries *libraries, const struct library *library, struct tls *out)
{
    const char *needed;

    if (read_kin(&library->elf, out))
        return true;
    for (size_t i = 0; out->name == NULL && (needed = elf_needed(&library->elf, i)) != NULL; i++) {
        const struct library *part = strncmp(needed, "libcrypto", 9) == 0 ? by_name(libraries, needed) : NULL;

        if (part != NULL && read_kin(&part->elf, out))
            return true;
    }
    return false;
}

#define OPTIONAL(name, result, parameters)
#define NEEDED(name, result, parameters) #name,
static const char *const needed_of_openssl[] = {
#include "ossl_symbols.h"
    NULL,
};
static const char *const needed_of_gnutls[] = {
#include "gtls_symbols.h"
    NULL,
};
#undef NEEDED
#undef OPTIONAL

/* Return the first function that neither the library nor a libcrypto that it is linked to has, of those that the shim cannot do without; NULL: it has all. */
static const char *lacking(const struct libraries *libraries, const struct library *library, const char *const *needed)
{
    for (; *needed != NULL; needed++) {
        bool there = elf_defines(&library->elf, *needed);
        const char *name;

        for (size_t k = 0; !there && (name = elf_needed(&library->elf, k)) != NULL; k++) {
            const struct library *part = strncmp(name, "libcrypto", 9) == 0 ? by_name(libraries, name) : NULL;

            there = part != NULL && elf_defines(&part->elf, *needed);
        }
        if (!there)
            break;
    }
    return *needed;
}

/* Find an object that exports libcrypto's functions before the libcrypto that libssl is linked to: libssl and the shim use those. */
static const struct library *other_crypto(const struct libraries *libraries)
{
    for (const struct library *library = libraries->first; library != NULL; library = library->next) {
        if (elf_defines(&library->elf, "X509_free"))
            return strncmp(library_name(library), "libcrypto", 9) != 0 ? library : NULL;
    }
    return NULL;
}

static const char *other_by_name(const char *file)
{
    static const struct {
        const char *prefix;
        const char *name;
    } others[] = {
        {"libgnutls.so", "GnuTLS"},
        {"libssl3.so", "NSS"},
        {"libmbedtls.so", "Mbed TLS"},
        {"libwolfssl.so", "wolfSSL"},
        {"libs2n.so", "s2n"},
        {"libbearssl.so", "BearSSL"},
        {"libbotan-", "Botan"},
        {"librustls.so", "rustls"},
        {"libsoup-", "GIO (GnuTLS as a rule)"},
        {"libmono-btls", "BoringSSL"},
    };

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (strncmp(file, others[i].prefix, strlen(others[i].prefix)) == 0)
            return others[i].name;
    }
    return NULL;
}

/* From Go 1.18 on, its version is in its build information, after a header of 32 bytes and the version's length. */
static void go_version(const struct elf *elf, char version[static 40])
{
    size_t size;
    const uint8_t *info = elf_section(elf, ".go.buildinfo", &size);

    if (info == NULL || size < 33 || (info[15] & 2) == 0 || info[32] > 30 || size - 33 < info[32])
        return;
    memcpy(version, info + 33, info[32]);
    version[info[32]] = '\0';
    for (char *at = version; *at != '\0'; at++) {
        if (!isgraph((unsigned char)*at))
            *at = '?';
    }
}

static bool is_go(const struct elf *elf)
{
    size_t size;

    return elf_section(elf, ".go.buildinfo", &size) != NULL || elf_section(elf, ".gopclntab", &size) != NULL;
}

struct tls tls_of(const struct libraries *libraries, const struct library *library, bool program)
{
    const struct elf *elf = &library->elf;
    struct tls tls = {.kind = TLS_NONE};

    tls.name = other_by_name(library_name(library));
    if (tls.name != NULL) {
        tls.kind = TLS_OTHER;
        if (strcmp(tls.name, "GnuTLS") == 0) {
            tls.kind = lacking(libraries, library, needed_of_gnutls) == NULL ? TLS_GNUTLS : TLS_OTHER;
            (void)find_version(elf, gnutls, tls.version);
        }
        return tls;
    }
    /* If it contains libcrypto as well, calls within it cannot be interposed. */
    if (!program && elf_defines(elf, "SSL_CTX_new") && elf_defines(elf, "SSL_connect") && !elf_defines(elf, "X509_verify_cert")) {
        tls.kind = name_kin(libraries, library, &tls) ? TLS_OPENSSL : TLS_OTHER;
        if (tls.name == NULL)
            tls.name = "a library with the functions of OpenSSL";
        if (tls.kind == TLS_OPENSSL) {
            tls.lacks = lacking(libraries, library, needed_of_openssl);
            tls.kind = tls.lacks != NULL ? TLS_UNUSABLE : TLS_OPENSSL;
            tls.crypto = other_crypto(libraries);
        }
        return tls;
    }
    if (has(elf, openssl)) {
        tls.kind = TLS_INSIDE;
        tls.name = "OpenSSL";
        tls.inside = true;
        (void)find_version(elf, (struct mark) {'O', "penSSL "}, tls.version);
        /* If it exports them, libssl itself calls the shim. */
        if (elf_defines(elf, "SSL_get_ex_data_X509_STORE_CTX_idx")) {
            tls.lacks = lacking(libraries, library, needed_of_openssl);
            tls.kind = tls.lacks == NULL ? TLS_OPENSSL : TLS_INSIDE;
        }
    } else if (has(elf, boringssl)) {
        tls.kind = TLS_OTHER;
        tls.name = "BoringSSL";
    } else if (is_go(elf) && (program || has(elf, go_tls))) {
        tls.kind = TLS_UNSEEN;
        tls.name = has(elf, go_tls) ? "Go's crypto/tls" : "Go";
        go_version(elf, tls.version);
    } else if (has_rustls(elf)) {
        tls.kind = TLS_OTHER;
        tls.name = "rustls";
    }
    return tls;
}

bool tls_is_named(const struct elf *elf)
{
    return has(elf, libssl);
}
