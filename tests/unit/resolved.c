/* The names that were resolved, by address. The table cannot be emptied: what fills it runs in a child. */
#include "resolved.h"
#include "unit.h"

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
    check(!resolved_overflow(), "and has not overflown");
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
    check(!resolved_overflow(), "a few names are no overflow");
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
    check(!resolved_overflow(), "20000 names are no overflow");
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

/* Remember `name` for address after address until the table says that it is full. Return for how many, 0 where it never does. */
static unsigned fill_with(const char *name)
{
    for (unsigned i = 0; i < 1000000; i++) {
        uint8_t address[16] = {0x20, 0x01, 0x0d, 0xb8, 2};

        memcpy(address + 8, &i, sizeof(i));
        resolved_remember(name, address);
        if (resolved_overflow())
            return i;
    }
    return 0;
}

static int expect(bool holds, const char *what)
{
    if (!holds)
        printf("not ok in a child: %s\n", what);
    return !holds;
}

/* Out of entries: a short name for many addresses. */
static int fill_entries(void)
{
    unsigned room = fill_with("e.example");
    uint8_t address[16] = {0x20, 0x01, 0x0d, 0xb8, 2};
    uintptr_t cursor = 0;
    struct host host;
    unsigned last = room - 1;
    int failed = expect(room > 1000, "there is room for more than 1000 entries");

    memcpy(address + 8, &last, sizeof(last));
    failed += expect(resolved_next(address, &cursor, &host) && strcmp(host.name, "e.example") == 0,
        "the last one that fitted is kept");
    memcpy(address + 8, &room, sizeof(room));
    cursor = 0;
    failed += expect(!resolved_next(address, &cursor, &host), "the first one that did not fit is not there");
    remember("late.example", "192.0.2.1");
    failed += fill_nothing();
    failed += expect(resolved_overflow(), "the overflow stays");
    return failed;
}

/* Out of room for names: long names. */
static int fill_names(void)
{
    char name[HOST_NAME_MAX_LENGTH + 1];
    unsigned room;
    int failed;

    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    room = fill_with(name);
    failed = expect(room > 1000 && room < 10000, "there is room for more than 1000 of the longest names, but not for all");
    failed += fill_nothing();
    return failed;
}

/* What is in the table already needs no room, and is no overflow. */
static int fill_again(void)
{
    int failed = 0;

    for (unsigned i = 0; i < 200000; i++)
        remember(i % 2 == 0 ? "a.example" : "B.EXAMPLE.", "192.0.2.1");
    failed += expect(!resolved_overflow(), "the same name again and again is no overflow");
    failed += fill_nothing();
    return failed;
}

int main(void)
{
    test_names();
    in_child(fill_nothing, "a child has the names of its parent");
    in_child(fill_again, "the same names again");
    in_child(fill_entries, "a table without a free entry");
    in_child(fill_names, "a table without room for names");
    check(!resolved_overflow(), "what a child does stays in the child");
    test_many();
    return unit_end("resolved");
}
