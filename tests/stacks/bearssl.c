/* bearssl HOST PORT: a client of BearSSL that trusts whatever key the server has, and says "secret". */

#include <bearssl.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static br_x509_decoder_context decoder;
static const br_x509_pkey *key;
static int number;

static void start_chain(const br_x509_class **ctx, const char *name)
{
    (void)ctx;
    (void)name;
    number = 0;
}

static void start_cert(const br_x509_class **ctx, uint32_t length)
{
    (void)ctx;
    (void)length;
    if (number == 0)
        br_x509_decoder_init(&decoder, NULL, NULL);
}

static void append(const br_x509_class **ctx, const unsigned char *bytes, size_t length)
{
    (void)ctx;
    if (number == 0)
        br_x509_decoder_push(&decoder, bytes, length);
}

static void end_cert(const br_x509_class **ctx)
{
    (void)ctx;
    if (number++ == 0)
        key = br_x509_decoder_get_pkey(&decoder);
}

static unsigned end_chain(const br_x509_class **ctx)
{
    (void)ctx;
    return key != NULL ? 0 : BR_ERR_X509_BAD_SIGNATURE;
}

static const br_x509_pkey *get_key(const br_x509_class *const *ctx, unsigned *usages)
{
    (void)ctx;
    if (usages != NULL)
        *usages = BR_KEYTYPE_KEYX | BR_KEYTYPE_SIGN;
    return key;
}

static const br_x509_class trusting = {sizeof(br_x509_class *), start_chain, start_cert, append, end_cert, end_chain, get_key};

static int receive(void *fd, unsigned char *bytes, size_t size)
{
    ssize_t got = read(*(int *)fd, bytes, size);

    return got > 0 ? (int)got : -1;
}

static int deliver(void *fd, const unsigned char *bytes, size_t size)
{
    ssize_t sent = write(*(int *)fd, bytes, size);

    return sent > 0 ? (int)sent : -1;
}

int main(int argc, char **argv)
{
    static unsigned char buffer[BR_SSL_BUFSIZE_BIDI];
    static br_ssl_client_context client;
    static br_x509_minimal_context minimal;
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    const br_x509_class *verifier = &trusting;
    struct addrinfo *found;
    br_sslio_context io;
    int fd;

    if (argc != 3 || getaddrinfo(argv[1], argv[2], &hints, &found) != 0)
        return 2;
    fd = socket(found->ai_family, found->ai_socktype, 0);
    if (connect(fd, found->ai_addr, found->ai_addrlen) != 0)
        return 2;
    br_ssl_client_init_full(&client, &minimal, NULL, 0);
    br_ssl_engine_set_x509(&client.eng, &verifier);
    br_ssl_engine_set_buffer(&client.eng, buffer, sizeof(buffer), 1);
    if (!br_ssl_client_reset(&client, argv[1], 0))
        return 2;
    br_sslio_init(&io, &client.eng, receive, &fd, deliver, &fd);
    if (br_sslio_write_all(&io, "secret", 6) != 0 || br_sslio_flush(&io) != 0) {
        printf("error %d\n", br_ssl_engine_last_error(&client.eng));
        return 1;
    }
    return 0;
}
