/* by_dlsym HOST PORT [dlvsym] [SSL_connect|SSL_do_handshake|SSL_read] [text=TEXT] [library=PATH]...: a client that is linked
 * with no OpenSSL: it loads one under RTLD_LOCAL and finds every function by name. Without SSL_connect and so on SSL_write is
 * the first call. With several libraries it makes a connection with each, in that order. It sends TEXT, else a request, and
 * prints the answer to that.
 *
 * by_dlsym errors: what dlsym, dlvsym and dlerror say of symbols that are not there.
 *
 * by_dlsym session: writes a session and reads it again. by_dlsym memory: has OpenSSL use functions of the program's own for
 * memory, which it permits before its first use only.
 *
 * With -DOWN it exports functions of the same names, as a program does that is linked with a TLS library of its own.
 *
 * With -DHELPER it is an object to preload, that interposes SSL_connect and gethostname and passes on to the next; or to the library in $HELPER_LIBRARY. */

#define PATHS_NO_SSL
#include "paths.h"
#include <dlfcn.h>

#ifdef HELPER

#ifdef __x86_64__
#define BASE_OF_LIBC "GLIBC_2.2.5"
#else
#define BASE_OF_LIBC "GLIBC_2.17"
#endif

int SSL_connect(SSL *ssl)
{
    const char *library = getenv("HELPER_LIBRARY");
    int (*next)(SSL *) = dlsym(library != NULL ? dlopen(library, RTLD_NOW) : RTLD_NEXT, "SSL_connect");

    fprintf(stderr, "helper: SSL_connect\n");
    return next != NULL && next != SSL_connect ? next(ssl) : -1;
}

int gethostname(char *name, size_t length)
{
    int (*next)(char *, size_t) = dlsym(RTLD_NEXT, "gethostname");
    int (*versioned)(char *, size_t) = dlvsym(RTLD_NEXT, "gethostname", BASE_OF_LIBC);

    fprintf(stderr, "helper: gethostname %s\n", versioned == next ? "the same" : "another");
    return next != NULL && next != gethostname ? next(name, length) : -1;
}

#else

#ifdef OPENSSL_SHLIB_VERSION
#define LIBRARY(name) name ".so." NUMBER_OF(OPENSSL_SHLIB_VERSION)
#define NUMBER_OF(number) NUMBER(number)
#define NUMBER(number) #number
#define BASE "OPENSSL_" NUMBER_OF(OPENSSL_SHLIB_VERSION) ".0.0"
#else
#define LIBRARY(name) name ".so.1.1"
#define BASE "OPENSSL_1_1_0"
#endif

#ifdef OWN

int SSL_connect(SSL *ssl)
{
    (void)ssl;
    return 1017;
}

int SSL_write(SSL *ssl, const void *bytes, int size)
{
    (void)ssl;
    (void)bytes;
    return size;
}

#endif

static bool versioned;

static void *find(void *library, const char *name)
{
    void *found = versioned ? dlvsym(library, name, BASE) : dlsym(library, name);

    if (found == NULL) {
        fprintf(stderr, "by_dlsym: %s\n", dlerror());
        exit(2);
    }
    return found;
}

static void tell(const char *what, void *found)
{
    const char *error = dlerror();

    printf("%s: %s, %s\n", what, found != NULL ? "found" : "missing", error != NULL ? error : "no error");
}

static int errors(void *libssl)
{
    void *libcrypto = dlopen(LIBRARY("libcrypto"), RTLD_NOW | RTLD_LOCAL);

    tell("of no library", dlsym(libssl, "SSL_of_nobody"));
    tell("of another library", dlsym(libcrypto, "SSL_connect"));
    tell("of another version", dlvsym(libssl, "SSL_connect", "OPENSSL_9.9.9"));
    tell("of a newer library", dlsym(libssl, "SSL_write_ex2"));
    tell("in the default scope", dlsym(RTLD_DEFAULT, "SSL_of_nobody"));
    tell("in the next scope", dlsym(RTLD_NEXT, "SSL_of_nobody"));
    tell("there", dlsym(libssl, "SSL_connect"));
    dlsym(libssl, "SSL_of_nobody");
    tell("there, after one that is not", dlsym(libssl, "SSL_connect"));
    return 0;
}

#define FIND(result, name, ...) result (*name)(__VA_ARGS__) = (result(*)(__VA_ARGS__))find(libssl, #name)

static int session(void *libssl)
{
    static const unsigned char suite[] = {0xc0, 0x2f}, key[48] = {1};
    FIND(const void *, TLS_client_method, void);
    FIND(void *, SSL_CTX_new, const void *);
    FIND(void *, SSL_new, void *);
    FIND(void *, SSL_SESSION_new, void);
    FIND(int, SSL_SESSION_set1_master_key, void *, const unsigned char *, size_t);
    FIND(int, SSL_SESSION_set_protocol_version, void *, int);
    FIND(int, SSL_SESSION_set_cipher, void *, const void *);
    FIND(const void *, SSL_CIPHER_find, void *, const unsigned char *);
    FIND(int, i2d_SSL_SESSION, void *, unsigned char **);
    FIND(void *, d2i_SSL_SESSION, void **, const unsigned char **, long);
    void *ssl = SSL_new(SSL_CTX_new(TLS_client_method()));
    void *made = SSL_SESSION_new();
    unsigned char *der = NULL;
    const unsigned char *at;
    int length;

    SSL_SESSION_set1_master_key(made, key, sizeof(key));
    SSL_SESSION_set_protocol_version(made, TLS1_2_VERSION);
    SSL_SESSION_set_cipher(made, SSL_CIPHER_find(ssl, suite));
    length = i2d_SSL_SESSION(made, &der);
    at = der;
    printf("written: %d, read: %d\n", length > 0, d2i_SSL_SESSION(NULL, &at, length) != NULL);
    return 0;
}

static void *own_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return malloc(size);
}

static void *own_realloc(void *at, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return realloc(at, size);
}

static void own_free(void *at, const char *file, int line)
{
    (void)file;
    (void)line;
    free(at);
}

static int memory(void *libssl)
{
    FIND(void *, SSL_CTX_new, const void *);
    FIND(int, CRYPTO_set_mem_functions, void *(*)(size_t, const char *, int), void *(*)(void *, size_t, const char *, int),
        void (*)(void *, const char *, int));
    FIND(const void *, TLS_client_method, void);

    printf("CRYPTO_set_mem_functions: %d\n", CRYPTO_set_mem_functions(own_malloc, own_realloc, own_free));
    printf("SSL_CTX_new: %d\n", SSL_CTX_new(TLS_client_method()) != NULL);
    return 0;
}

/* Return true if the server answered. */
static bool converse(void *libssl, char **argv)
{
    FIND(const void *, TLS_client_method, void);
    FIND(void *, SSL_CTX_new, const void *);
    FIND(int, SSL_CTX_load_verify_locations, void *, const char *, const char *);
    FIND(void, SSL_CTX_set_verify, void *, int, void *);
    FIND(void *, SSL_new, void *);
    FIND(long, SSL_ctrl, void *, int, long, void *);
    FIND(int, SSL_set_fd, void *, int);
    FIND(void, SSL_set_connect_state, void *);
    FIND(int, SSL_connect, void *);
    FIND(int, SSL_do_handshake, void *);
    FIND(int, SSL_write, void *, const void *, int);
    FIND(int, SSL_read, void *, void *, int);
    void *ctx = SSL_CTX_new(TLS_client_method());
    void *ssl;
    const char *trust = getenv("PATHS_TRUST");
    const char *text = option(argv, "text", NULL);
    char answer[4096];
    bool any = false;
    int got;

    if (trust != NULL) {
        SSL_CTX_load_verify_locations(ctx, trust, NULL);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    }
    ssl = SSL_new(ctx);
    SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, (char[]) {PINNED});
    SSL_set_fd(ssl, open_socket(argv[1], argv[2], SOCK_STREAM));
    SSL_set_connect_state(ssl);
    if (word(argv, "SSL_connect"))
        printf("SSL_connect: %d\n", SSL_connect(ssl));
    if (word(argv, "SSL_do_handshake"))
        printf("SSL_do_handshake: %d\n", SSL_do_handshake(ssl));
    if (word(argv, "SSL_read"))
        printf("SSL_read of nothing: %d\n", SSL_read(ssl, answer, 0));
    if (text != NULL)
        return SSL_write(ssl, text, (int)strlen(text)) > 0;
    got = SSL_write(ssl, REQUEST, (int)strlen(REQUEST));
    printf("SSL_write: %d\n", got);
    while ((got = SSL_read(ssl, answer, sizeof(answer))) > 0) {
        any = true;
        fwrite(answer, 1, (size_t)got, stdout);
    }
    return any;
}

static void *load(const char *path)
{
    void *libssl = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (libssl == NULL)
        die(dlerror());
    /* Else this would be no test. */
    if (dlsym(RTLD_DEFAULT, "SSL_free") != NULL)
        die("SSL_free is in the default scope");
    return libssl;
}

int main(int argc, char **argv)
{
    bool all = true;
    bool any = false;

    if (argc < 2)
        return 2;
    if (word(argv, "errors"))
        return errors(load(LIBRARY("libssl")));
    versioned = word(argv, "dlvsym");
    if (word(argv, "session"))
        return session(load(LIBRARY("libssl")));
    if (word(argv, "memory"))
        return memory(load(LIBRARY("libssl")));
    for (int i = 3; i < argc; i++) {
        if (strncmp(argv[i], "library=", 8) == 0) {
            const char *(*version)(int);
            void *libssl = load(argv[i] + 8);

            version = (const char *(*)(int))dlsym(libssl, "OpenSSL_version");
            printf("%s\n", version(0));
            all = converse(libssl, argv) && all;
            any = true;
        }
    }
    return any ? !all : !converse(load(LIBRARY("libssl")), argv);
}

#endif
