/* plugin HOST PORT OBJECT [deepbind] [by=...] [tls1.2]: a program without OpenSSL that loads OBJECT, under RTLD_DEEPBIND or not, and
 * lets it fetch, with "verify" or "check" by a verification of its own; by dlopen, or by=dlmopen into the same namespace, by=space into a new one, by=handle, by=version (the dlopen that dlsym, or dlvsym, finds in libc's handle),
 * by=dlsym (a dlsym that was found there). With -DPLUGIN it is that object, linked with libssl; and a converter of characters as well, that iconv(3) loads: it
 * fetches from HOST and PORT in the environment and ends the program. */

#ifndef PLUGIN
#define PATHS_NO_SSL
#endif
#include "paths.h"
#include <dlfcn.h>
#ifdef PLUGIN
#include <openssl/x509v3.h>
#endif

int plugin_fetch(char **argv);

#ifdef PLUGIN

/* Both end in a jump, if they are optimized: then what is called sees the return address of their caller. */
static int verify(X509_STORE_CTX *store, void *arg)
{
    (void)arg;
    X509_VERIFY_PARAM_set_purpose(X509_STORE_CTX_get0_param(store), X509_PURPOSE_SSL_SERVER);
    return X509_verify_cert(store);
}

static int check(X509_STORE_CTX *store, void *arg)
{
    (void)arg;
    return X509_check_host(X509_STORE_CTX_get0_cert(store), PINNED, 0, 0, NULL);
}

/* It accepts what its callback has verified, as LuaSec's lsec_continue does. */
static int continue_anyway(int result, X509_STORE_CTX *store)
{
    (void)result;
    (void)store;
    return 1;
}

static int answer(char **argv)
{
    SSL_CTX *ctx = context(argv);
    SSL *ssl;

    if (word(argv, "verify"))
        SSL_CTX_set_cert_verify_callback(ctx, verify, NULL);
    if (word(argv, "check"))
        SSL_CTX_set_cert_verify_callback(ctx, check, NULL);
    if (word(argv, "verify") || word(argv, "check"))
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, word(argv, "verify") ? continue_anyway : NULL);
    ssl = client(ctx, open_socket(argv[1], argv[2], SOCK_STREAM), PINNED);
    if (word(argv, "bio")) {
        BIO *bio = BIO_new(BIO_f_ssl());

        SSL_set_connect_state(ssl);
        BIO_set_ssl(bio, ssl, BIO_NOCLOSE);
        return BIO_puts(bio, REQUEST) > 0 && fetch(ssl) ? 0 : 1;
    }
    return show("SSL_connect", ssl, SSL_connect(ssl)) == 1 && fetch(ssl) ? 0 : 1;
}

int plugin_fetch(char **argv)
{
    int result = answer(argv);

    fflush(stdout); /* in a namespace of its own it has its own libc */
    return result;
}

int gconv(void);
int gconv_init(void *step);

int gconv(void)
{
    return 0;
}

int gconv_init(void *step)
{
    char *argv[] = {(char[]) {"converter"}, getenv("HOST"), getenv("PORT"), NULL};

    (void)step;
    exit(plugin_fetch(argv));
}

#else

#ifdef __aarch64__
#define OLDEST "GLIBC_2.17"
#else
#define OLDEST "GLIBC_2.2.5"
#endif

static void *load(const char *by, const char *object, int mode)
{
    /* Up to glibc 2.33 it has them itself, then they are found in libc, which it is linked to. */
    void *libc = dlopen("libdl.so.2", RTLD_NOW);
    void *(*symbol)(void *, const char *) = dlsym;
    void *(*open_object)(const char *, int) = dlopen;

    if (strcmp(by, "dlmopen") == 0)
        return dlmopen(LM_ID_BASE, object, mode);
    if (strcmp(by, "space") == 0)
        return dlmopen(LM_ID_NEWLM, object, mode);
    if (strcmp(by, "dlsym") == 0)
        symbol = (void *(*)(void *, const char *))dlsym(libc, "dlsym");
    if (strcmp(by, "dlsym") == 0 || strcmp(by, "handle") == 0)
        open_object = (void *(*)(const char *, int))symbol(libc, "dlopen");
    if (strcmp(by, "version") == 0)
        open_object = (void *(*)(const char *, int))dlvsym(libc, "dlopen", OLDEST);
    return open_object(object, mode);
}

int main(int argc, char **argv)
{
    int (*function)(char **);
    void *plugin;

    if (argc < 4)
        return 2;
    plugin = load(option(argv, "by", "dlopen"), argv[3], RTLD_NOW | RTLD_LOCAL | (word(argv, "deepbind") ? RTLD_DEEPBIND : 0));
    if (plugin == NULL || (function = (int (*)(char **))dlsym(plugin, "plugin_fetch")) == NULL) {
        fprintf(stderr, "plugin: %s\n", dlerror());
        return 2;
    }
    return function(argv);
}

#endif
