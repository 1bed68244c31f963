/* wolfssl HOST PORT: a client of wolfSSL that verifies nothing and says "secret". */

#include <wolfssl/options.h>

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <wolfssl/ssl.h>

int main(int argc, char **argv)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    WOLFSSL_CTX *ctx;
    WOLFSSL *ssl;
    int fd;

    if (argc != 3 || getaddrinfo(argv[1], argv[2], &hints, &found) != 0)
        return 2;
    fd = socket(found->ai_family, found->ai_socktype, 0);
    if (connect(fd, found->ai_addr, found->ai_addrlen) != 0)
        return 2;
    wolfSSL_Init();
    ctx = wolfSSL_CTX_new(wolfTLSv1_2_client_method());
    wolfSSL_CTX_set_verify(ctx, WOLFSSL_VERIFY_NONE, NULL);
    ssl = wolfSSL_new(ctx);
    (void)wolfSSL_UseSNI(ssl, WOLFSSL_SNI_HOST_NAME, argv[1], (unsigned short)strlen(argv[1]));
    wolfSSL_set_fd(ssl, fd);
    if (wolfSSL_connect(ssl) != WOLFSSL_SUCCESS) {
        printf("handshake %d\n", wolfSSL_get_error(ssl, -1));
        return 1;
    }
    return wolfSSL_write(ssl, "secret", 6) == 6 ? 0 : 1;
}
