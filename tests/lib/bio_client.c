/* bio_client HOST:PORT: a handshake over a connecting BIO; prints "connected" or "refused". For builds with a sanitizer, which is to report no leaks. */

#include <openssl/ssl.h>
#include <stdio.h>

const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

int main(int count, char **arguments)
{
    BIO *bio = BIO_new_ssl_connect(SSL_CTX_new(TLS_client_method()));

    BIO_set_conn_hostname(bio, arguments[count - 1]);
    puts(BIO_do_connect(bio) == 1 ? "connected" : "refused");
    return 0;
}
