/* threads CERTIFICATE KEY COUNT MILLISECONDS PINS quiet|swap|rewrite: handshakes in COUNT threads at once, which share the contexts.
 * Meanwhile, every 10 ms, PINS is left alone ("quiet"); made a link to PINS.a and PINS.b in turn ("swap"); or replaced by a new copy of
 * PINS.a ("rewrite"). Prints the handshakes per second. */

#include "bench.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#define THREADS_MAX 64
#define PERIOD 10000 /* microseconds */

static struct contexts contexts;
static atomic_bool over;
static atomic_long done;
static const char *pins;
static bool rewrites;

static void *work(void *arg)
{
    while (!atomic_load_explicit(&over, memory_order_relaxed)) {
        part(shake(contexts, NULL));
        atomic_fetch_add_explicit(&done, 1, memory_order_relaxed);
    }
    return arg;
}

static void copy(const char *from, const char *to)
{
    char buffer[65536];
    FILE *in = fopen(from, "r");
    FILE *out = fopen(to, "w");
    size_t length;

    if (in == NULL || out == NULL)
        die("copying the pins");
    while ((length = fread(buffer, 1, sizeof(buffer), in)) > 0)
        (void)fwrite(buffer, 1, length, out);
    (void)fclose(in);
    if (fclose(out) != 0)
        die("copying the pins");
}

static void *replace(void *arg)
{
    char other[2][4096];
    char new[4096];

    (void)snprintf(other[0], sizeof(other[0]), "%s.a", pins);
    (void)snprintf(other[1], sizeof(other[1]), "%s.b", pins);
    (void)snprintf(new, sizeof(new), "%s.new", pins);
    for (int i = 0; !atomic_load(&over); i++) {
        if (rewrites)
            copy(other[0], new);
        else if (symlink(other[i & 1], new) != 0)
            die("symlink");
        if (rename(new, pins) != 0)
            die("rename");
        usleep(PERIOD);
    }
    return arg;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS_MAX];
    pthread_t replacer;
    long count = argc > 6 ? atol(argv[3]) : 0;
    bool quiet = argc > 6 && strcmp(argv[6], "quiet") == 0;
    double start;
    double took;

    if (count < 1 || count > THREADS_MAX)
        die("reading the arguments");
    pins = argv[5];
    rewrites = strcmp(argv[6], "rewrite") == 0;
    contexts = make_contexts(argv[1], argv[2], TLS1_3_VERSION);
    part(shake(contexts, NULL));
    if (!quiet && pthread_create(&replacer, NULL, replace, NULL) != 0)
        die("pthread_create");
    start = now();
    for (long i = 0; i < count; i++) {
        if (pthread_create(&threads[i], NULL, work, NULL) != 0)
            die("pthread_create");
    }
    usleep((useconds_t)atol(argv[4]) * 1000);
    atomic_store(&over, true);
    for (long i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    took = now() - start;
    if (!quiet)
        pthread_join(replacer, NULL);
    printf("%.2f\n", (double)atomic_load(&done) / took * 1e9);
    return 0;
}
