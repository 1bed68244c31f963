/* plugin HOST PORT OBJECT [deepbind] [tls1.2]: a program without OpenSSL that loads OBJECT, under RTLD_DEEPBIND or not, and
 * lets it fetch. With -DPLUGIN it is that object, linked with libssl; and a converter of characters as well, that iconv(3) loads: it
 * fetches from HOST and PORT in the environment and ends the program. */

#ifndef PLUGIN
#define PATHS_NO_SSL
#endif
#include "paths.h"
#include <dlfcn.h>

int plugin_fetch(char **argv);

#ifdef PLUGIN

int plugin_fetch(char **argv)
{
    SSL *ssl = client(context(argv), open_socket(argv[1], argv[2], SOCK_STREAM), PINNED);

    if (word(argv, "bio")) {
        BIO *bio = BIO_new(BIO_f_ssl());

        SSL_set_connect_state(ssl);
        BIO_set_ssl(bio, ssl, BIO_NOCLOSE);
        return BIO_puts(bio, REQUEST) > 0 && fetch(ssl) ? 0 : 1;
    }
    return show("SSL_connect", ssl, SSL_connect(ssl)) == 1 && fetch(ssl) ? 0 : 1;
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

int main(int argc, char **argv)
{
    int (*function)(char **);
    void *plugin;

    if (argc < 4)
        return 2;
    plugin = dlopen(argv[3], RTLD_NOW | RTLD_LOCAL | (word(argv, "deepbind") ? RTLD_DEEPBIND : 0));
    if (plugin == NULL || (function = (int (*)(char **))dlsym(plugin, "plugin_fetch")) == NULL) {
        fprintf(stderr, "plugin: %s\n", dlerror());
        return 2;
    }
    return function(argv);
}

#endif
