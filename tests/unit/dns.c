/* Messages of DNS: what was asked, and which addresses an answer gives to which name. */
#include "dns.h"
#include "unit.h"

#include <string.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))
#define BYTES(string) string, sizeof(string) - 1

#define HEADER(answers, authority, additional) "\x12\x34\x81\x80\0\1\0" answers "\0" authority "\0" additional
#define WWW "\3www\6PinNed\7example\0"
#define ASKED WWW "\0\1\0\1"
#define RECORD(type) "\xc0\x0c\0" type "\0\1\0\0\0\x3c"
#define ONE "\0\4\xc0\0\2\1"

static const struct {
    const char *what;
    const char *message;
    size_t size;
    const char *expected; /* "unreadable", or the name that was asked and the addresses, each with its name if that is another */
} answers[] = {
    {"an address", BYTES(HEADER("\1", "\0", "\0") ASKED RECORD("\1") ONE), "www.pinned.example 192.0.2.1"},
    {"several, of both kinds", BYTES(HEADER("\2", "\0", "\0") ASKED RECORD("\1") ONE RECORD("\x1c") "\0\x10\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\7"),
        "www.pinned.example 192.0.2.1 2001:db8::7"},
    {"an alias before it", BYTES(HEADER("\2", "\0", "\0") ASKED RECORD("\5") "\0\7\4host\xc0\x10" "\4host\xc0\x10\0\1\0\1\0\0\0\1" ONE),
        "www.pinned.example 192.0.2.1"},
    {"a record of any other name", BYTES(HEADER("\1", "\0", "\0") ASKED "\5other\0\0\1\0\1\0\0\0\1" ONE), "www.pinned.example 192.0.2.1"},
    {"no answer bit, and an error", BYTES("\x12\x34\1\3\0\1\0\1\0\0\0\0" ASKED RECORD("\1") ONE), "www.pinned.example 192.0.2.1"},
    {"too long an address", BYTES(HEADER("\1", "\0", "\0") ASKED RECORD("\1") "\0\6\xc0\0\2\1\xff\xff"), "www.pinned.example 192.0.2.1"},
    {"too short an address", BYTES(HEADER("\2", "\0", "\0") ASKED RECORD("\1") "\0\3\xc0\0\2" RECORD("\1") ONE), "www.pinned.example 192.0.2.1"},
    {"fewer records than promised", BYTES(HEADER("\7", "\0", "\0") ASKED RECORD("\1") ONE RECORD("\1") "\0\4\xc0\0"), "www.pinned.example 192.0.2.1"},
    {"more records than promised", BYTES(HEADER("\1", "\0", "\0") ASKED RECORD("\1") ONE RECORD("\1") "\0\4\xc0\0\2\2"), "www.pinned.example 192.0.2.1"},
    {"the length of a label that is none", BYTES(HEADER("\1", "\0", "\0") ASKED "\x40\x0c\0\1\0\1\0\0\0\1" ONE), "www.pinned.example 192.0.2.1"},
    {"addresses beyond the answer", BYTES(HEADER("\1", "\1", "\1") ASKED RECORD("\1") ONE RECORD("\1") "\0\4\xc0\0\2\2" RECORD("\1") "\0\4\xc0\0\2\3"),
        "www.pinned.example 192.0.2.1"},
    {"several questions", BYTES("\x12\x34\x81\x80\0\2\0\1\0\0\0\0" ASKED "\1x\0\0\1\0\1" RECORD("\1") ONE), "www.pinned.example 192.0.2.1"},
    {"a question that is a pointer ahead", BYTES(HEADER("\1", "\0", "\0") "\xc0\x22\0\1\0\1" "\xc0\x0c\0\1\0\1\0\0\0\x3c" ONE WWW), "www.pinned.example 192.0.2.1"},
    {"a pointer to itself", BYTES(HEADER("\1", "\0", "\0") "\xc0\x0c\0\1\0\1" RECORD("\1") ONE), " 192.0.2.1 "},
    {"a pointer beyond the end", BYTES(HEADER("\1", "\0", "\0") "\xff\xff\0\1\0\1" RECORD("\1") ONE), " 192.0.2.1 "},
    {"no question", BYTES("\x12\x34\x81\x80\0\0\0\1\0\0\0\0" RECORD("\1") ONE), " 192.0.2.1 "},
    {"the root", BYTES(HEADER("\0", "\0", "\0") "\0\0\1\0\1"), " "},
    {"a dot and a blank within a label", BYTES(HEADER("\0", "\0", "\0") "\5w.w w\0\0\1\0\1"), "w?w?w "},
    {"a header alone", BYTES(HEADER("\0", "\0", "\0")), "unreadable"},
    {"hosts of an SRV record", BYTES(HEADER("\1", "\1", "\1") ASKED RECORD("\x21") "\0\x10\0\0\0\0\1\xbb\1m\6pinned\0" RECORD("\2") "\0\0" "\1m\xc0\x10\0\1\0\1\0\0\0\1" ONE),
        "www.pinned.example m.pinned.example=192.0.2.1"},
    {"hosts of an MX record", BYTES(HEADER("\1", "\0", "\2") ASKED RECORD("\xf") "\0\5\0\1\1m\0" "\1m\0\0\1\0\1\0\0\0\1" ONE "\1m\0\0\1\0\1\0\0\0\1\0\4\xc0\0\2\2"),
        "www.pinned.example m=192.0.2.1 m=192.0.2.2"},
    {"hints", BYTES(HEADER("\1", "\0", "\0") ASKED RECORD("\x41") "\0\x22\0\1\0" "\0\1\0\3\2h2" "\0\4\0\x08\xc0\0\2\1\xc0\0\2\2" "\0\6\0\4\1\2\3\4" "\0\7\0\0"),
        "www.pinned.example 192.0.2.1 192.0.2.2"},
    {"a hint longer than its record, and a record after it", BYTES(HEADER("\2", "\0", "\0") ASKED RECORD("\x40") "\0\x0b\0\1\0" "\0\4\0\x09\xc0\0\2\2" RECORD("\1") ONE),
        "www.pinned.example 192.0.2.1"},
    {"an alias as a service binding", BYTES(HEADER("\2", "\0", "\0") ASKED RECORD("\x41") "\0\5\0\0\1x\0" RECORD("\1") ONE), "www.pinned.example 192.0.2.1"},
    {"the target of a service binding beyond its end", BYTES(HEADER("\2", "\0", "\0") ASKED RECORD("\x41") "\0\4\0\1\7x" RECORD("\1") ONE), "www.pinned.example 192.0.2.1"},
};

static void print_answer(struct dns *dns, struct text *out)
{
    const struct dns_name *name;
    struct host host = {.kind = HOST_ADDRESS};

    text_add(out, "%s", dns->asked.text);
    while ((name = dns_next(dns, host.address)) != NULL) {
        text_add(out, " ");
        if (name != &dns->asked)
            text_add(out, "%s=", name->text);
        host_print_bare(&host, out);
    }
    if (dns->asked.length == 0)
        text_add(out, " ");
}

static void reads_answers(void)
{
    for (size_t i = 0; i < ROWS(answers); i++) {
        const uint8_t *message = (const uint8_t *)answers[i].message;
        char buffer[1024];
        struct text text = text_over(buffer, sizeof(buffer));
        struct dns dns;
        bool begun = dns_begin(&dns, message, answers[i].size);

        if (begun) {
            print_answer(&dns, &text);
            check(dns.id == 0x1234, "%s: the number", answers[i].what);
            if (strchr(buffer, ' ') == NULL)
                text_add(&text, " ");
        } else {
            text_add(&text, "unreadable");
        }
        check(strcmp(buffer, answers[i].expected) == 0, "%s: \"%s\", not \"%s\"", answers[i].what, buffer, answers[i].expected);
    }
}

/* Many pointers, each to the next: all that a message has room for are followed for one name, and not again and again. */
static void bounds_pointers(void)
{
    static uint8_t message[DNS_MESSAGE_MAX] = {0x12, 0x34, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0};
    struct dns dns;
    size_t at = 12;

    for (; at < 16000; at += 2) {
        message[at] = (uint8_t)(0xc0 | (at + 2) >> 8);
        message[at + 1] = (uint8_t)(at + 2);
        if (at == 12) {
            at += 6;
            message[13] = (uint8_t)at;
            at -= 2;
        }
    }
    memcpy(message + at, "\3www", 5);
    check(dns_begin(&dns, message, sizeof(message)) && strcmp(dns.asked.text, "www") == 0, "a long chain of pointers");
}

static const struct {
    const char *what;
    const char *bytes;
    size_t size;
    bool may_be;
} queries[] = {
    {"a query", BYTES("\x12\x34\1\0\0\1\0\0\0\0\0\0" ASKED), true},
    {"with authentic data and checking disabled asked for", BYTES("\x12\x34\1\x30\0\1\0\0\0\0\0\1" ASKED), true},
    {"an answer", BYTES(HEADER("\0", "\0", "\0") ASKED), false},
    {"a notification", BYTES("\x12\x34\x20\0\0\1\0\0\0\0\0\0" ASKED), false},
    {"with an answer section", BYTES("\x12\x34\1\0\0\1\0\1\0\0\0\0" ASKED), false},
    {"without a question", BYTES("\x12\x34\1\0\0\0\0\0\0\0\0\0" ASKED), false},
    {"too short", BYTES("\x12\x34\1\0\0\1\0\0\0\0\0\0\0\0\1\0"), false},
    {"a request of HTTP", BYTES("GET / HTTP/1.1\r\n\r\n"), false},
};

int main(void)
{
    reads_answers();
    bounds_pointers();
    for (size_t i = 0; i < ROWS(queries); i++)
        check(dns_may_be_query((const uint8_t *)queries[i].bytes, queries[i].size) == queries[i].may_be, "%s", queries[i].what);
    return unit_end("dns");
}
