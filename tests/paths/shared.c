/* shared HOST PORT before=PORT [tls1.2]: two processes that share OpenSSL's memory, and with it each SSL, as Kamailio's do. One connects to another server; the
 * other one frees that SSL, makes one at its address, and sends the ClientHello to the server. The first continues the handshake. */

#include "paths.h"
#include <sys/mman.h>
#include <sys/wait.h>

#define ROOM (64UL << 20)

/* What was freed comes first again. */
static struct shared {
    size_t used;
    struct block {
        size_t size;
        struct block *next;
    } *freed;
    SSL *ssl;
} *shared;

static void *get(size_t size, const char *file, int line)
{
    struct block *block;

    (void)file;
    (void)line;
    size = (size + 15) & ~15UL;
    for (struct block **at = &shared->freed; *at != NULL; at = &(*at)->next) {
        if ((block = *at)->size == size) {
            *at = block->next;
            return block + 1;
        }
    }
    block = (struct block *)((char *)shared + shared->used);
    shared->used += sizeof(*block) + size;
    if (shared->used > ROOM)
        die("shared memory");
    block->size = size;
    return block + 1;
}

static void put(void *memory, const char *file, int line)
{
    struct block *block = memory;

    (void)file;
    (void)line;
    if (memory == NULL)
        return;
    block--;
    block->next = shared->freed;
    shared->freed = block;
}

static void *resize(void *memory, size_t size, const char *file, int line)
{
    size_t before = memory != NULL ? ((struct block *)memory)[-1].size : 0;
    void *other = get(size, file, line);

    if (memory != NULL)
        memcpy(other, memory, before < size ? before : size);
    put(memory, file, line);
    return other;
}

static void tell(int fd)
{
    if (write(fd, "", 1) != 1)
        die("write");
}

static void wait_for(int fd)
{
    char told;

    if (read(fd, &told, 1) != 1)
        die("read");
}

static bool deaf;

static int send_on(BIO *bio, const char *bytes, int size)
{
    return (int)write(*(int *)BIO_get_data(bio), bytes, (size_t)size);
}

static int receive_on(BIO *bio, char *bytes, int size)
{
    if (!deaf)
        return (int)read(*(int *)BIO_get_data(bio), bytes, (size_t)size);
    BIO_set_retry_read(bio);
    return -1;
}

static long control(BIO *bio, int what, long number, void *argument)
{
    (void)bio;
    (void)number;
    (void)argument;
    return what == BIO_CTRL_FLUSH;
}

/* A client without a name, on a BIO of the program's own. */
static SSL *make(SSL_CTX *ctx, BIO_METHOD *method, int *fd)
{
    SSL *ssl = client(ctx, -1, NULL);
    BIO *bio = BIO_new(method);

    BIO_set_data(bio, fd);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    return ssl;
}

int main(int argc, char **argv)
{
    int to_child[2], to_parent[2];
    int fd, other, status;
    BIO_METHOD *method;
    const SSL *before;
    SSL_CTX *ctx;
    pid_t child;

    if (argc < 4)
        return 2;
    shared = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        die("mmap");
    shared->used = (sizeof(*shared) + 15) & ~15UL;
    if (CRYPTO_set_mem_functions(get, resize, put) != 1 || pipe(to_child) != 0 || pipe(to_parent) != 0)
        die("CRYPTO_set_mem_functions");
    ctx = context(argv);
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "shared");
    BIO_meth_set_write(method, send_on);
    BIO_meth_set_read(method, receive_on);
    BIO_meth_set_ctrl(method, control);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    fd = open_socket(argv[1], argv[2], SOCK_STREAM);
    other = open_socket(argv[1], option(argv, "before", "0"), SOCK_STREAM);
    child = fork();
    if (child == 0) {
        shared->ssl = make(ctx, method, &other);
        if (SSL_connect(shared->ssl) != 1)
            die("the first connection");
        tell(to_parent[1]);
        wait_for(to_child[0]);
        status = show("SSL_connect", shared->ssl, SSL_connect(shared->ssl)) == 1 && fetch(shared->ssl) ? 0 : 1;
        fflush(stdout);
        _exit(status); /* what libcrypto frees at the end is the other's as well */
    }
    wait_for(to_parent[0]);
    before = shared->ssl;
    SSL_free(shared->ssl);
    shared->ssl = make(ctx, method, &fd);
    if (shared->ssl != before)
        die("it is at another address");
    deaf = true;
    if (SSL_connect(shared->ssl) > 0)
        die("SSL_connect");
    tell(to_child[1]);
    return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 2;
}
