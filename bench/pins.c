/* pins make COUNT >FILE, pins read|load|memory|hit|miss FILE COUNT: a pins file with COUNT rules, each a name and a pin. Prints the nanoseconds for
 * only reading it ("read") or loading it ("load"); the bytes of heap per rule, without the digest; or the nanoseconds for finding the rule of a
 * name ("hit") or finding that there is none ("miss"), for names in random order. */

#include "clock.h"
#include "pins.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOOKUPS 2000000
#define NAME "host-0000000.example.net"
#define ABSENT "none-0000000.example.net"
#define DIGITS_AT 5
#define DIGITS 7
#define DIGEST_SIZE 32

/* xorshift64*: the same numbers in every run. */
static uint64_t next_number(void)
{
    static uint64_t state = UINT64_C(0x9e3779b97f4a7c15);

    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * UINT64_C(0x2545f4914f6cdd1d);
}

static void number_name(char *name, uint32_t number)
{
    for (int i = DIGITS_AT + DIGITS - 1; i >= DIGITS_AT; i--, number /= 10)
        name[i] = (char)('0' + number % 10);
}

static void make(uint32_t count)
{
    char name[] = NAME;

    for (uint32_t i = 0; i < count; i++) {
        uint64_t digest[DIGEST_SIZE / 8];
        char base64[64];
        struct text text = text_over(base64, sizeof(base64));

        for (size_t k = 0; k < DIGEST_SIZE / 8; k++)
            digest[k] = next_number();
        text_add_base64(&text, (const uint8_t *)digest, DIGEST_SIZE);
        number_name(name, i);
        printf("%s spki-sha256:%s\n", name, base64);
    }
}

static void read_once(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    char *buffer = NULL;

    if (fd < 0 || fstat(fd, &status) != 0 || (buffer = malloc((size_t)status.st_size)) == NULL)
        die(path);
    if (read(fd, buffer, (size_t)status.st_size) != status.st_size)
        die("a short read");
    close(fd);
    free(buffer);
}

static void report(void *arg, uint32_t line, uint32_t column, const char *message)
{
    (void)arg;
    fprintf(stderr, "pins: %u:%u: %s\n", (unsigned)line, (unsigned)column, message);
}

static struct pins *load(const char *path)
{
    struct pins *pins = pins_load(path, NULL, NULL, report, NULL);

    if (pins == NULL)
        die("the pins file is faulty");
    return pins;
}

/* The pages that the process has in memory, in bytes: the pins are not on the heap. */
static size_t in_use(void)
{
    FILE *file = fopen("/proc/self/statm", "re");
    size_t size, pages;

    if (file == NULL || fscanf(file, "%zu %zu", &size, &pages) != 2)
        die("statm");
    (void)fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void look_up(const struct pins *pins, const char *pattern, uint32_t count, bool expected)
{
    struct host host;

    if (host_parse(pattern, strlen(pattern), &host) != HOST_NAME)
        die("the name");
    for (int i = 0; i < LOOKUPS; i++) {
        number_name(host.name, (uint32_t)(((next_number() >> 32) * count) >> 32));
        if ((pins_lookup(pins, &host).first != NULL) != expected)
            die("a lookup");
    }
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "";
    uint32_t count = argc > 3 ? (uint32_t)atol(argv[3]) : 0;
    struct pins *pins;
    size_t before;
    double start;

    if (strcmp(what, "make") == 0) {
        make((uint32_t)atol(argv[2]));
        return 0;
    }
    if (count == 0)
        die("usage: pins make COUNT, or pins read|load|memory|hit|miss FILE COUNT");
    /* Once before, so that the code is in memory. */
    if (strcmp(what, "memory") == 0)
        (void)load(argv[2]);
    before = in_use();
    start = now();
    if (strcmp(what, "read") == 0) {
        read_once(argv[2]);
        printf("%.0f\n", now() - start);
        return 0;
    }
    pins = load(argv[2]);
    if (strcmp(what, "load") == 0) {
        printf("%.0f\n", now() - start);
    } else if (strcmp(what, "memory") == 0) {
        printf("%.2f\n", (double)(in_use() - before) / count - DIGEST_SIZE);
    } else {
        start = now();
        look_up(pins, strcmp(what, "hit") == 0 ? NAME : ABSENT, count, strcmp(what, "hit") == 0);
        printf("%.2f\n", (now() - start) / LOOKUPS);
    }
    return 0;
}
