/* by_dlsym HOST PORT [library=PATH] [by=dlsym|dlvsym|dlmopen|namespace] [deepbind] [local] [twice]: the plainest client, which is linked with no TLS library and finds every
 * function itself. twice: it does so by two copies of the library.
 * by_dlsym HOST PORT plugin=PATH [deepbind] [by=...]: a plugin does so, which is linked with GnuTLS (this file, with -DPLUGIN).
 * With -DNEXT, an object to be preloaded after the shim: it does so in the program's place, with functions that it finds by RTLD_NEXT. */

#define PATHS_NO_SSL
#include "../paths/paths.h"
#include <dlfcn.h>
#include <gnutls/gnutls.h>
#include <sys/stat.h>

#define FUNCTIONS(f) \
    f(gnutls_certificate_allocate_credentials) f(gnutls_certificate_set_x509_trust_file) f(gnutls_init) f(gnutls_set_default_priority) \
    f(gnutls_priority_set_direct) f(gnutls_credentials_set) f(gnutls_server_name_set) f(gnutls_session_set_verify_cert) f(gnutls_transport_set_int2) \
    f(gnutls_handshake) f(gnutls_record_send) f(gnutls_record_recv) f(gnutls_deinit)

struct functions {
#define MEMBER(name) __typeof__(&name) name;
    FUNCTIONS(MEMBER)
};

static int run(const struct functions *tls, char **argv)
{
    const char *trust = getenv("PATHS_TRUST");
    gnutls_certificate_credentials_t own;
    gnutls_session_t session;
    char answer[4096];
    bool any = false;
    ssize_t got;
    int result;
    int fd = open_socket(argv[1], argv[2], SOCK_STREAM);

    if (tls->gnutls_certificate_allocate_credentials(&own) < 0 || tls->gnutls_init(&session, GNUTLS_CLIENT) < 0)
        die("gnutls_init");
    tls->gnutls_priority_set_direct(session, word(argv, "tls1.2") ? "NORMAL:-VERS-ALL:+VERS-TLS1.2" : "NORMAL", NULL);
    tls->gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, own);
    tls->gnutls_server_name_set(session, GNUTLS_NAME_DNS, PINNED, strlen(PINNED));
    if (trust != NULL && trust[0] != '\0') {
        tls->gnutls_certificate_set_x509_trust_file(own, trust, GNUTLS_X509_FMT_PEM);
        tls->gnutls_session_set_verify_cert(session, PINNED, 0);
    }
    tls->gnutls_transport_set_int2(session, fd, fd);
    result = tls->gnutls_handshake(session);
    printf("gnutls_handshake: %d\n", result);
    if (result < 0 || tls->gnutls_record_send(session, REQUEST, strlen(REQUEST)) < 0)
        return 1;
    while ((got = tls->gnutls_record_recv(session, answer, sizeof(answer))) > 0 || got == GNUTLS_E_AGAIN || got == GNUTLS_E_INTERRUPTED) {
        if (got <= 0)
            continue;
        any = true;
        fwrite(answer, 1, (size_t)got, stdout);
    }
    tls->gnutls_deinit(session);
    close(fd);
    return any ? 0 : 1;
}

#if defined(PLUGIN)
int attack(char **argv);
int attack(char **argv)
{
#define LINKED(name) name,
    const struct functions linked = {FUNCTIONS(LINKED)};

    return run(&linked, argv);
}
#elif defined(NEXT)
static char **words;

__attribute__((constructor)) static void start(int argc, char **argv)
{
    words = argc < 3 ? NULL : argv;
}

/* The program's first call. */
void (*signal(int number, void (*handler)(int)))(int)
{
    struct functions next;

    (void)number;
    (void)handler;
    if (words == NULL)
        return NULL;
#define FOLLOWING(name) next.name = (__typeof__(&name))dlsym(RTLD_NEXT, #name);
    FUNCTIONS(FOLLOWING)
    /* Not in timeout, which starts the program. */
    if (next.gnutls_init != NULL)
        exit(run(&next, words));
    return NULL;
}
#else
static int by_name(char **argv, const char *path)
{
    const char *by = option(argv, "by", "dlsym");
    int mode = RTLD_NOW | (word(argv, "deepbind") ? RTLD_DEEPBIND : 0) | (word(argv, "local") ? RTLD_LOCAL : RTLD_GLOBAL);
    void *library = strcmp(by, "dlmopen") == 0 ? dlmopen(LM_ID_BASE, path, mode)
        : strcmp(by, "namespace") == 0 ? dlmopen(LM_ID_NEWLM, path, mode & ~RTLD_GLOBAL) : dlopen(path, mode);
    struct functions found;
    int (*attack)(char **);

    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 2;
    }
    if (option(argv, "plugin", NULL) != NULL) {
        attack = (int (*)(char **))dlsym(library, "attack");
        return attack != NULL ? attack(argv) : 2;
    }
#define FOUND(name) \
    found.name = (__typeof__(&name))(strcmp(by, "dlvsym") == 0 ? dlvsym(library, #name, "GNUTLS_3_4") : dlsym(library, #name)); \
    if (found.name == NULL) { \
        fprintf(stderr, "%s\n", dlerror()); \
        return 2; \
    }
    FUNCTIONS(FOUND)
    return run(&found, argv);
}

int main(int argc, char **argv)
{
    const char *path = option(argv, "plugin", option(argv, "library", "libgnutls.so.30"));
    int result;

    if (argc < 3)
        return 2;
    result = by_name(argv, path);
    if (result == 0 && word(argv, "twice"))
        result = by_name(argv, "libgnutls.so.30");
    return result;
}
#endif
