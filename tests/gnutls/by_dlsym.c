/* by_dlsym HOST PORT [library=PATH] [by=dlsym|dlvsym|dlmopen|namespace] [deepbind] [local] [twice]: the plainest client, which is linked with no TLS library and finds every
 * function itself. twice: it does so by two copies of the library.
 * by_dlsym HOST PORT beside=PATH [late] [closed] [wide] [apart] [...]: three clients, of the one library, of this one and of the one, whatever becomes of each. This one is opened
 * before the other is used, or late; closed: both are closed and opened again after each client; wide: this one is global; apart: it is in a namespace of its own. A
 * line tells where the other library's code has run.
 * by_dlsym HOST PORT beside=PATH serves=PREFIX [...]: a client of the one and a server of the other, that shows PREFIX.pem, within this process; then the reverse.
 * by_dlsym HOST PORT count=COUNT library=PREFIX [beside=PATH] [stale]: a client of each of PREFIX1 to PREFIXCOUNT, which is opened before, and closed after it, and whether it is still
 * there then; with beside, a client of that one each time, too, by functions that were found at first. stale: a function of the one that was closed is called.
 * by_dlsym HOST PORT plugin=PATH [beside=PATH] [passed] [deepbind] [by=...]: a plugin does so, which is linked with GnuTLS (this file, with -DPLUGIN); passed: the
 * program calls the plugin's functions.
 * With -DNEXT, an object to be preloaded after the shim: it does so in the program's place, with functions that it finds by RTLD_NEXT. */

#define PATHS_NO_SSL
#include "../paths/paths.h"
#include <dlfcn.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <sys/stat.h>

#define FUNCTIONS(f) \
    f(gnutls_certificate_allocate_credentials) f(gnutls_certificate_set_x509_trust_file) f(gnutls_init) f(gnutls_set_default_priority) \
    f(gnutls_priority_set_direct) f(gnutls_credentials_set) f(gnutls_server_name_set) f(gnutls_session_set_verify_cert) f(gnutls_transport_set_int2) \
    f(gnutls_handshake) f(gnutls_record_send) f(gnutls_record_recv) f(gnutls_deinit) f(gnutls_certificate_free_credentials) \
    f(gnutls_certificate_set_x509_key_file) f(gnutls_certificate_set_verify_function) f(gnutls_error_is_fatal) f(gnutls_global_set_log_level) \
    f(gnutls_global_set_log_function)

struct functions {
#define MEMBER(name) __typeof__(&name) name;
    FUNCTIONS(MEMBER)
};

static int accept_all(gnutls_session_t session)
{
    (void)session;
    return 0;
}

/* A session on the descriptor; serves NULL: a client's. */
static gnutls_session_t start(const struct functions *tls, char **argv, const char *serves, int fd, gnutls_certificate_credentials_t *own)
{
    const char *trust = getenv("PATHS_TRUST");
    gnutls_session_t session;
    char paths[2][4096];

    if (tls->gnutls_certificate_allocate_credentials(own) < 0 || tls->gnutls_init(&session, serves != NULL ? GNUTLS_SERVER : GNUTLS_CLIENT) < 0)
        die("gnutls_init");
    tls->gnutls_priority_set_direct(session, word(argv, "tls1.2") ? "NORMAL:-VERS-ALL:+VERS-TLS1.2" : "NORMAL", NULL);
    tls->gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, *own);
    tls->gnutls_transport_set_int2(session, fd, fd);
    if (serves != NULL) {
        snprintf(paths[0], sizeof(paths[0]), "%s.pem", serves);
        snprintf(paths[1], sizeof(paths[1]), "%s.key", serves);
        if (tls->gnutls_certificate_set_x509_key_file(*own, paths[0], paths[1], GNUTLS_X509_FMT_PEM) < 0)
            die(serves);
        return session;
    }
    tls->gnutls_server_name_set(session, GNUTLS_NAME_DNS, PINNED, strlen(PINNED));
    if (trust != NULL && trust[0] != '\0') {
        tls->gnutls_certificate_set_x509_trust_file(*own, trust, GNUTLS_X509_FMT_PEM);
        tls->gnutls_session_set_verify_cert(session, PINNED, 0);
    } else {
        tls->gnutls_certificate_set_verify_function(*own, accept_all);
    }
    return session;
}

static void end(const struct functions *tls, gnutls_session_t session, gnutls_certificate_credentials_t own, int fd)
{
    tls->gnutls_deinit(session);
    tls->gnutls_certificate_free_credentials(own);
    close(fd);
}

static int run(const struct functions *tls, char **argv)
{
    gnutls_certificate_credentials_t own;
    char answer[4096];
    bool any = false;
    ssize_t got;
    int fd = open_socket(argv[1], argv[2], SOCK_STREAM);
    gnutls_session_t session = start(tls, argv, NULL, fd, &own);
    int result = tls->gnutls_handshake(session);

    printf("gnutls_handshake: %d\n", result);
    if (result >= 0 && tls->gnutls_record_send(session, REQUEST, strlen(REQUEST)) >= 0) {
        while ((got = tls->gnutls_record_recv(session, answer, sizeof(answer))) > 0 || got == GNUTLS_E_AGAIN || got == GNUTLS_E_INTERRUPTED) {
            if (got <= 0)
                continue;
            any = true;
            fwrite(answer, 1, (size_t)got, stdout);
        }
    }
    end(tls, session, own, fd);
    return any ? 0 : 1;
}

#if defined(PLUGIN)
int attack(char **argv, struct functions *passed);
int attack(char **argv, struct functions *passed)
{
#define LINKED(name) name,
    const struct functions linked = {FUNCTIONS(LINKED)};

    if (passed != NULL)
        *passed = linked;
    return passed != NULL ? 0 : run(&linked, argv);
}
#elif defined(NEXT)
static char **words;

__attribute__((constructor)) static void begin(int argc, char **argv)
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
static struct library {
    void *handle;
    struct functions functions;
    int (*attack)(char **, struct functions *); /* a plugin's; NULL: it is none */
    unsigned logged;
} libraries[2];

static void log_first(int level, const char *text)
{
    (void)level;
    (void)text;
    libraries[0].logged++;
}

static void log_second(int level, const char *text)
{
    (void)level;
    (void)text;
    libraries[1].logged++;
}

static void open_library(char **argv, const char *path, struct library *library)
{
    const char *by = option(argv, "by", "dlsym");
    bool beside = library == &libraries[1];
    bool local = beside ? !word(argv, "wide") : word(argv, "local");
    int mode = RTLD_NOW | (word(argv, "deepbind") ? RTLD_DEEPBIND : 0) | (local ? RTLD_LOCAL : RTLD_GLOBAL);

    library->handle = strcmp(by, "dlmopen") == 0 ? dlmopen(LM_ID_BASE, path, mode)
        : strcmp(by, "namespace") == 0 || (beside && word(argv, "apart")) ? dlmopen(LM_ID_NEWLM, path, mode & ~RTLD_GLOBAL) : dlopen(path, mode);
    if (library->handle == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(2);
    }
    if (option(argv, "plugin", NULL) != NULL) {
        library->attack = (int (*)(char **, struct functions *))dlsym(library->handle, "attack");
        if (word(argv, "passed"))
            library->attack(argv, &library->functions);
        return;
    }
#define FOUND(name) \
    library->functions.name = \
        (__typeof__(&name))(strcmp(by, "dlvsym") == 0 ? dlvsym(library->handle, #name, "GNUTLS_3_4") : dlsym(library->handle, #name)); \
    if (library->functions.name == NULL) { \
        fprintf(stderr, "%s\n", dlerror()); \
        exit(2); \
    }
    FUNCTIONS(FOUND)
}

static int use(char **argv, struct library *library)
{
    return library->attack != NULL && !word(argv, "passed") ? library->attack(argv, NULL) : run(&library->functions, argv);
}

/* The same, where the other library's code must not run: it would log something. */
static int use_alone(char **argv, struct library *library)
{
    struct library *other = &libraries[library == libraries];
    int result;

    for (int i = 0; i < 2 && library->attack == NULL; i++) {
        if (libraries[i].handle == NULL)
            continue;
        libraries[i].functions.gnutls_global_set_log_function(i == 0 ? log_first : log_second);
        libraries[i].functions.gnutls_global_set_log_level(9);
        libraries[i].logged = 0;
    }
    result = use(argv, library);
    printf("%s: %d%s\n", library == libraries ? "the one" : "the other", result, other->logged > 0 ? ", and the wrong one" : "");
    return result;
}

static int use_both(char **argv, const char *path, const char *beside)
{
    int result = 0;

    for (int i = 0; i < 3; i++) {
        if (i == (word(argv, "late") ? 1 : 0) || (i > 0 && word(argv, "closed")))
            open_library(argv, beside, &libraries[1]);
        if (i > 0 && word(argv, "closed"))
            open_library(argv, path, &libraries[0]);
        result |= use_alone(argv, &libraries[i % 2]);
        for (int k = 0; k < 2 && word(argv, "closed"); k++) {
            if (libraries[k].handle != NULL)
                dlclose(libraries[k].handle);
            libraries[k].handle = NULL;
        }
    }
    return result;
}

static bool is_mapped(const char *path)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[8192];
    bool is = false;

    while (maps != NULL && fgets(line, sizeof(line), maps) != NULL)
        is |= strstr(line, path) != NULL;
    if (maps == NULL || fclose(maps) != 0)
        die("/proc/self/maps");
    return is;
}

static int use_in_turn(char **argv, int count, const char *prefix, const char *beside)
{
    gnutls_certificate_credentials_t own;
    int result = 0;

    if (beside != NULL)
        open_library(argv, beside, &libraries[1]);
    for (int i = 1; i <= count; i++) {
        char path[4096];

        snprintf(path, sizeof(path), "%s%d", prefix, i);
        open_library(argv, path, &libraries[0]);
        result |= run(&libraries[0].functions, argv);
        if (dlclose(libraries[0].handle) != 0 || dlerror() != NULL)
            die("dlclose");
        printf("%s\n", is_mapped(path) ? "still there" : "gone");
        if (word(argv, "stale"))
            printf("stale: %d\n", libraries[0].functions.gnutls_certificate_allocate_credentials(&own));
        if (beside != NULL)
            result |= run(&libraries[1].functions, argv);
    }
    return result;
}

static int try_handshake(const struct functions *tls, gnutls_session_t session, int before)
{
    return before == 0 || (before < 0 && tls->gnutls_error_is_fatal(before)) ? before : tls->gnutls_handshake(session);
}

/* What the server reads, or that it has read nothing. */
static int between(char **argv, const struct functions *client, const struct functions *server, const char *serves)
{
    gnutls_certificate_credentials_t own[2];
    gnutls_session_t session[2];
    char got[64] = "";
    int results[2] = {GNUTLS_E_AGAIN, GNUTLS_E_AGAIN};
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) != 0)
        die("socketpair");
    session[0] = start(client, argv, NULL, ends[0], &own[0]);
    session[1] = start(server, argv, serves, ends[1], &own[1]);
    for (int i = 0; i < 100; i++) {
        results[0] = try_handshake(client, session[0], results[0]);
        results[1] = try_handshake(server, session[1], results[1]);
    }
    if (results[0] == 0)
        client->gnutls_record_send(session[0], REQUEST, strlen(REQUEST));
    server->gnutls_record_recv(session[1], got, sizeof(got) - 1);
    printf("the server got \"%.11s\"\n", got);
    end(client, session[0], own[0], ends[0]);
    end(server, session[1], own[1], ends[1]);
    return got[0] != '\0' ? 0 : 1;
}

int main(int argc, char **argv)
{
    const char *path = option(argv, "plugin", option(argv, "library", "libgnutls.so.30"));
    const char *beside = option(argv, "beside", NULL);
    const char *serves = option(argv, "serves", NULL);
    int result;

    if (argc < 3)
        return 2;
    if (option(argv, "count", NULL) != NULL)
        return use_in_turn(argv, atoi(option(argv, "count", "0")), path, beside);
    open_library(argv, path, &libraries[0]);
    if (serves != NULL) {
        open_library(argv, beside, &libraries[1]);
        result = between(argv, &libraries[0].functions, &libraries[1].functions, serves);
        return result | between(argv, &libraries[1].functions, &libraries[0].functions, serves);
    }
    if (beside != NULL)
        return use_both(argv, path, beside);
    result = use(argv, &libraries[0]);
    if (result == 0 && word(argv, "twice")) {
        open_library(argv, "libgnutls.so.30", &libraries[0]);
        result = use(argv, &libraries[0]);
    }
    return result;
}
#endif
