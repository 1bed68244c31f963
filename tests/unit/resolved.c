/* The names that were resolved, by address. The table cannot be emptied: what fills it runs in a child. */
#include "resolved.h"
#include "unit.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))

static void address_of(const char *string, uint8_t out[static 16])
{
    if (!host_parse_address(string, strlen(string), out))
        abort();
}

static void remember(const char *name, const char *string)
{
    uint8_t address[16];

    address_of(string, address);
    resolved_remember(name, address);
}

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* The names of the address in the order of the alphabet, parted by blanks. */
static void names_of(const char *string, struct text *out)
{
    uint8_t address[16];
    uintptr_t cursor = 0;
    struct host host;
    char names[16][300];
    size_t count = 0;

    address_of(string, address);
    while (resolved_next(address, &cursor, &host) && count < ROWS(names)) {
        struct text text = text_over(names[count], sizeof(names[count]));

        host_print(&host, &text);
        count++;
    }
    qsort(names, count, sizeof(names[0]), compare);
    for (size_t i = 0; i < count; i++)
        text_add(out, "%s%s", i == 0 ? "" : " ", names[i]);
}

static void test_names(void)
{
    static const struct {
        const char *name;
        const char *address;
    } remembered[] = {
        {"a.example", "192.0.2.1"},
        {"b.example", "192.0.2.1"},
        {"c.example", "192.0.2.1"},
        {"a.example", "192.0.2.2"},
        {"a.example", "2001:db8::1"},
        {"b.example", "2001:db8::1"},
        {"mapped.example", "::ffff:192.0.2.3"},
        /* Again, and in other spellings. */
        {"a.example", "192.0.2.1"},
        {"A.Example", "192.0.2.1"},
        {"a.example.", "192.0.2.1"},
        {"a.example", "::ffff:192.0.2.1"},
        {"b.example", "2001:0DB8::1"},
        {"localhost", "127.0.0.1"},
        {"192.0.2.4", "192.0.2.4"},
        {"", "192.0.2.5"},
        {"exam ple", "192.0.2.5"},
        {"a.example\n", "192.0.2.5"},
    };
    static const struct {
        const char *why;
        const char *address;
        const char *names;
    } table[] = {
        {"several names of an address, each once", "192.0.2.1", "a.example b.example c.example"},
        {"another address of one of them", "192.0.2.2", "a.example"},
        {"an IPv6 address", "2001:db8::1", "a.example b.example"},
        {"IPv4-mapped is IPv4", "192.0.2.3", "mapped.example"},
        {"one label", "127.0.0.1", "localhost"},
        {"an address that was given for a name", "192.0.2.4", ""},
        {"what is no name is not remembered", "192.0.2.5", ""},
        {"an address that nothing resolved to", "192.0.2.6", ""},
        {"an IPv6 address that nothing resolved to", "2001:db8::2", ""},
        {"the zeroed address", "::", ""},
    };
    uint8_t address[16];
    uintptr_t cursor = 0;
    struct host host;

    address_of("192.0.2.1", address);
    check(!resolved_next(address, &cursor, &host), "the table begins empty");
    for (size_t i = 0; i < ROWS(remembered); i++)
        remember(remembered[i].name, remembered[i].address);
    for (size_t i = 0; i < ROWS(table); i++) {
        char buffer[1000];
        struct text text = text_over(buffer, sizeof(buffer));

        names_of(table[i].address, &text);
        check(strcmp(buffer, table[i].names) == 0, "resolved: %s: [%s]", table[i].why, buffer);
    }
    cursor = 0;
    check(resolved_next(address, &cursor, &host) && host.kind == HOST_NAME && host.port == 0, "a name has no port");
}

/* A name stays with its own address, though many share a bucket. */
static void test_many(void)
{
    unsigned right = 0;

    for (unsigned i = 0; i < 20000; i++) {
        char name[40];
        uint8_t address[16] = {0x20, 0x01, 0x0d, 0xb8, 1};

        (void)snprintf(name, sizeof(name), "n%u.example", i);
        memcpy(address + 8, &i, sizeof(i));
        resolved_remember(name, address);
    }
    for (unsigned i = 0; i < 20000; i++) {
        char name[40];
        uint8_t address[16] = {0x20, 0x01, 0x0d, 0xb8, 1};
        uintptr_t cursor = 0;
        struct host host;

        (void)snprintf(name, sizeof(name), "n%u.example", i);
        memcpy(address + 8, &i, sizeof(i));
        if (resolved_next(address, &cursor, &host) && strcmp(host.name, name) == 0 && !resolved_next(address, &cursor, &host))
            right++;
    }
    check(right == 20000, "each of 20000 addresses has its own name alone: %u", right);
}

/* Run `fill` in a child with a table of its own; it returns how many of its expectations failed. */
static void in_child(int (*fill)(void), const char *why)
{
    int status = -1;
    pid_t child;

    (void)fflush(stdout);
    child = fork();
    if (child == 0) {
        int failed = fill();

        (void)fflush(stdout);
        _exit(failed);
    }
    check(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: %d", why,
        status);
}

/* The table as it is in the parent is seen in the child. */
static int fill_nothing(void)
{
    char buffer[1000];
    struct text text = text_over(buffer, sizeof(buffer));

    names_of("192.0.2.1", &text);
    return strcmp(buffer, "a.example b.example c.example") != 0;
}

static int expect(bool holds, const char *what)
{
    if (!holds)
        printf("not ok in a child: %s\n", what);
    return !holds;
}

enum knowledge { UNKNOWN = 0, KNOWN, LOST, KNOWN_AND_LOST };

static void numbered(uint8_t set, unsigned number, uint8_t address[static 16])
{
    memset(address, 0, 16);
    memcpy(address, "\x20\x01\x0d\xb8", 4);
    address[4] = set;
    memcpy(address + 8, &number, sizeof(number));
}

/* What is known of the address: this name (another one ends the test), and whether some were lost. */
static enum knowledge known(const uint8_t address[static 16], const char *name)
{
    uintptr_t cursor = 0;
    struct host host;
    int knowledge = UNKNOWN;

    while (resolved_next(address, &cursor, &host)) {
        if (host.kind == HOST_NAME && strcmp(host.name, name) != 0)
            abort();
        knowledge |= host.kind == HOST_NAME ? KNOWN : LOST;
    }
    return (enum knowledge)knowledge;
}

static unsigned count(uint8_t set, unsigned from, unsigned to, const char *name, enum knowledge knowledge)
{
    unsigned found = 0;

    for (unsigned i = from; i < to; i++) {
        uint8_t address[16];

        numbered(set, i, address);
        found += known(address, name) == knowledge;
    }
    return found;
}

/* More than the table holds: the newest are known, and only what had to give way is in doubt. */
static int fill_entries(void)
{
    uint8_t address[16];
    int failed = 0;

    for (unsigned i = 0; i < 100000; i++) {
        numbered(2, i, address);
        resolved_remember("e.example", address);
    }
    failed += expect(count(2, 0, 50000, "e.example", LOST) == 50000, "the oldest are in doubt");
    failed += expect(count(2, 70000, 100000, "e.example", KNOWN) > 29900, "the newest are known, and not in doubt");
    failed += expect(count(2, 70000, 100000, "e.example", UNKNOWN) + count(2, 70000, 100000, "e.example", LOST) == 0, "all of them");
    failed += expect(count(3, 0, 10000, "e.example", UNKNOWN) > 9900, "what was never resolved is not in doubt");
    remember("late.example", "192.0.2.9");
    address_of("192.0.2.9", address);
    failed += expect(known(address, "late.example") == KNOWN, "what is resolved then is known");
    remember("late.example", "192.0.2.1");
    address_of("192.0.2.1", address);
    failed += expect(known(address, "late.example") == KNOWN_AND_LOST, "an address with lost names stays in doubt, whatever it gets");
    return failed;
}

/* The longest names need more room than there is for the entries. */
static int fill_names(void)
{
    char name[HOST_NAME_MAX_LENGTH + 1];
    uint8_t address[16];
    int failed = 0;

    for (unsigned i = 0; i < 20000; i++) {
        memset(name, 'x', sizeof(name) - 1);
        name[sizeof(name) - 1] = '\0';
        name[snprintf(name, sizeof(name), "n%u.", i)] = 'x';
        numbered(4, i, address);
        resolved_remember(name, address);
        if (i % 100 == 0 || i > 19000)
            failed += expect(known(address, name) == KNOWN, "the newest is known");
    }
    numbered(4, 100, address);
    failed += expect(known(address, "gone") == LOST, "the oldest is in doubt");
    return failed;
}

/* What is in the table already needs no room. */
static int fill_again(void)
{
    for (unsigned i = 0; i < 200000; i++)
        remember(i % 2 == 0 ? "a.example" : "B.EXAMPLE.", "192.0.2.1");
    return fill_nothing();
}

/* A name that is resolved again and again stays, whatever else is resolved. */
static int fill_beside(void)
{
    uint8_t address[16];
    int failed = 0;

    for (unsigned i = 0; i < 200000; i++) {
        char name[40];

        (void)snprintf(name, sizeof(name), "n%u.example", i);
        numbered(5, i, address);
        resolved_remember(name, address);
        if (i % 10000 == 0)
            remember("stays.example", "192.0.2.10");
        if (i == 100000)
            remember("goes.example", "192.0.2.11");
    }
    address_of("192.0.2.10", address);
    failed += expect(known(address, "stays.example") == KNOWN, "a name that is resolved again is known, and not in doubt");
    address_of("192.0.2.11", address);
    failed += expect(known(address, "goes.example") == LOST, "one that is not has given way");
    return failed;
}

/* What had to give way long ago is no longer in doubt, and nothing else is for good. */
static int fill_for_long(void)
{
    uint8_t address[16];
    int failed = 0;

    for (unsigned i = 0; i < 1000000; i++) {
        numbered(7, i, address);
        resolved_remember("long.example", address);
        /* A connection to an address in doubt does not make room for others. */
        if (i > 500000 && i % 4 == 0) {
            numbered(7, 450000, address);
            failed += known(address, "long.example") == KNOWN;
        }
    }
    failed += expect(count(7, 0, 100000, "long.example", UNKNOWN) > 98000, "the oldest are forgotten");
    failed += expect(count(7, 960000, 967000, "long.example", LOST) == 7000, "what gave way just now is in doubt");
    failed += expect(count(7, 910000, 960000, "long.example", LOST) == 50000, "and what did before");
    failed += expect(count(7, 970000, 1000000, "long.example", KNOWN) > 29900, "the newest are known");
    failed += expect(count(3, 0, 100000, "long.example", UNKNOWN) > 99000, "what was never resolved is not in doubt");
    return failed;
}

/* A name that cannot be read. */
static int fill_unreadable(void)
{
    static const struct {
        const char *name;
        enum knowledge knowledge;
    } table[] = {
        {"b\303\274cher.example", LOST},
        {"a..example", LOST},
        {"exam ple", LOST},
        {"127.1", UNKNOWN},
        {"2130706433", UNKNOWN},
        {"0x7f000001", UNKNOWN},
        {"0177.0.0.1", UNKNOWN},
        {"127.0.0.1.", UNKNOWN},
        {"1.2.3.4.5", LOST},
        {"", UNKNOWN},
    };
    uint8_t address[16];
    int failed = 0;

    for (unsigned i = 0; i < ROWS(table); i++) {
        numbered(21, i, address);
        resolved_remember(table[i].name, address);
        failed += expect(known(address, "") == table[i].knowledge, table[i].name);
    }
    return failed;
}

/* Answers as large as DNS has them. */
static int fill_answers(void)
{
    uint8_t address[16];
    int failed = 0;

    for (unsigned i = 0; i < 9 * 4096; i++) {
        numbered(6, i, address);
        resolved_remember("huge.example", address);
    }
    remember("next.example", "192.0.2.12");
    address_of("192.0.2.12", address);
    failed += expect(known(address, "next.example") == KNOWN, "after nine large answers a name is known");
    failed += expect(count(6, 5 * 4096, 9 * 4096, "huge.example", KNOWN) > 4 * 4096 - 50, "of the last answers, each address");
    address_of("192.0.2.13", address);
    failed += expect(known(address, "") == UNKNOWN, "and nothing is in doubt that was never there");
    return failed;
}

#define THREADS 4
static _Atomic unsigned torn;

/* Each fills the table several times over, and reads what all of them write: a name is always its address's, and what is gone is in doubt. */
static void *fill_in_thread(void *arg)
{
    unsigned thread = (unsigned)(uintptr_t)arg;

    for (unsigned i = 0; i < 40000; i++) {
        char name[80];
        uint8_t address[16];
        unsigned other = i > 20 ? i - i % 20 : 0;

        (void)snprintf(name, sizeof(name), "a-name-of-some-length-%u-%u.example", thread, i);
        numbered((uint8_t)(8 + thread), i, address);
        resolved_remember(name, address);
        if (known(address, name) == UNKNOWN)
            torn++;
        (void)snprintf(name, sizeof(name), "a-name-of-some-length-%u-%u.example", (thread + 1) % THREADS, other);
        numbered((uint8_t)(8 + (thread + 1) % THREADS), other, address);
        (void)known(address, name);
    }
    return NULL;
}

static int fill_in_threads(void)
{
    pthread_t threads[THREADS];

    for (uintptr_t i = 0; i < THREADS; i++) {
        if (pthread_create(&threads[i], NULL, fill_in_thread, (void *)i) != 0)
            abort();
    }
    for (int i = 0; i < THREADS; i++)
        (void)pthread_join(threads[i], NULL);
    return expect(torn == 0, "whoever has just resolved a name finds it, or is in doubt");
}

/* A child that was forked while others were writing goes on. */
__attribute__((unused)) static int fill_after_fork(void)
{
    pthread_t thread;
    int failed = 0;

    if (pthread_create(&thread, NULL, fill_in_thread, NULL) != 0)
        abort();
    for (int i = 0; i < 5; i++) {
        int status = -1;
        pid_t child = fork();

        if (child == 0) {
            uint8_t address[16];

            for (unsigned k = 0; k < 40000; k++) {
                numbered(20, k, address);
                resolved_remember("child.example", address);
            }
            _exit(known(address, "child.example") == KNOWN ? 0 : 1);
        }
        failed += expect(waitpid(child, &status, 0) == child && status == 0, "a child of a process with threads");
    }
    (void)pthread_join(thread, NULL);
    return failed;
}

int main(void)
{
    test_names();
    in_child(fill_nothing, "a child has the names of its parent");
    in_child(fill_again, "the same names again");
    in_child(fill_entries, "more addresses than the table holds");
    in_child(fill_names, "more names than the table holds");
    in_child(fill_beside, "a name that is resolved again");
    in_child(fill_for_long, "a million addresses");
    in_child(fill_unreadable, "names that cannot be read");
    in_child(fill_answers, "nine answers of 64 KiB");
    in_child(fill_in_threads, "four threads");
#ifndef __SANITIZE_THREAD__ /* it takes the parent's threads for leaked ones of the child */
    in_child(fill_after_fork, "children of a process with threads");
#endif
    test_many();
    return unit_end("resolved");
}
