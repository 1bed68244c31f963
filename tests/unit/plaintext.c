/* What may be sent in the clear before TLS. */
#include "plaintext.h"
#include "unit.h"

#include <string.h>

#define ROWS(table) (sizeof(table) / sizeof((table)[0]))
#define BYTES(literal) (literal), sizeof(literal) - 1

static const struct row {
    const char *bytes;
    size_t size;
    const char *what;
} allowed[] = {
    {BYTES("\26\3\1\0\5\1ello\24\3\3\0\1\1\27\3\3\0\0\25\3\3\0\2\1\0"), "records of TLS"},
    {BYTES("\200\34\1\3\3\0\3\0\0\0\20\0\0\57challengechallen\26\3\3\0\5\1ello"), "SSL 2.0's ClientHello, then records"},
    {BYTES("\25\3\3\0\2\2\50"), "an alert"},
    {BYTES("\26\3\3\0\5\2ello\27\3\3\0\5hello"), "a server"},
    {BYTES("EHLO here\r\nSTARTTLS\r\n\26\3\1\0\5\1ello\27\3\3\0\5hello"), "records of TLS after STARTTLS"},
    {BYTES("\0\0\0\10\4\322\26\57"), "PostgreSQL, SSLRequest"},
    {BYTES("\0\0\0\10\4\322\26\60\0\0\0\10\4\322\26\57"), "PostgreSQL, GSSENCRequest, then SSLRequest"},
    {BYTES("\40\0\0\1\205\256\377\31\0\0\0\1\377\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), "MySQL"},
    {BYTES("\40\0\0\1\205\256\377\31\0\0\0\1\55\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\35\0\0\0"), "MariaDB"},
    {BYTES("\22\1\0\14\0\0\1\0abcd\22\1\0\10\0\0\0\0"), "TDS"},
    {BYTES("\3\0\0\53\46\340\0\0\0\0\0Cookie: mstshash=u\r\n\1\0\10\0\3\0\0\0xxxx"), "RDP"},
    {BYTES("EHLO [127.0.0.1]\r\nSTARTTLS\r\n"), "SMTP"},
    {BYTES("EHLO host-1.example.com\r\nRSET\r\nQUIT\r\n"), "SMTP, without STARTTLS"},
    {BYTES("ehlo localhost\nstarttls\n"), "SMTP in lower case, without CR"},
    {BYTES("LHLO a_b\r\n"), "LMTP"},
    {BYTES("HELO\r\n"), "a greeting without a name"},
    {BYTES("A001 CAPABILITY\r\nA002 STARTTLS\r\n"), "IMAP, as curl"},
    {BYTES(". STARTTLS\r\n"), "IMAP, as openssl s_client"},
    {BYTES("a CAPABILITY\r\n0001 STARTTLS\r\n1 LOGOUT\r\n00 NOOP\r\n"), "IMAP, with other tags"},
    {BYTES("ABCD12 CAPABILITY\r\n"), "IMAP, as Python"},
    {BYTES("CAPA\r\nSTLS\r\nQUIT\r\n"), "POP3"},
    {BYTES("FEAT\r\nAUTH TLS\r\nAUTH SSL\r\nAUTH TLS-C\r\n"), "FTP"},
    {BYTES("CAPABILITY\r\nSTARTTLS\r\nLOGOUT\r\n"), "ManageSieve"},
    {BYTES("CAPABILITIES\r\nMODE READER\r\nSTARTTLS\r\n"), "NNTP"},
    {BYTES("<?xml version='1.0'?><stream:stream to='a.example' xmlns=\"jabber:client\" x='>'>"), "XMPP, the header"},
    {BYTES("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>\n"), "XMPP, starttls"},
    {BYTES("<starttls></starttls></stream:stream>"), "XMPP, the end"},
    {BYTES("\60\35\2\1\1\167\30\200\0261.3.6.1.4.1.1466.20037"), "LDAP, StartTLS"},
    {BYTES("\60\204\0\0\0\45\2\1\1\167\204\0\0\0\34\200\204\0\0\0\0261.3.6.1.4.1.1466.20037"), "LDAP, StartTLS with long lengths"},
    {BYTES("\60\40\2\4\1\2\3\4\167\30\200\0261.3.6.1.4.1.1466.20037"), "LDAP, StartTLS with a long identifier"},
    {BYTES("\60\5\2\1\1\102\0"), "LDAP, unbinding"},
    {BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 40000 443\r\n\26\3\1\0\5\1ello"), "the PROXY protocol, then a record of TLS"},
    {BYTES("PROXY TCP6 2001:db8::1 2001:DB8::2 40000 443\r\nEHLO here\r\n"), "the PROXY protocol, then SMTP"},
    {BYTES("PROXY UNKNOWN\r\n\26\3\1\0\5\1ello"), "the PROXY protocol without addresses"},
    {BYTES("\r\n\r\n\0\r\nQUIT\n\41\21\0\14\300\0\2\1\300\0\2\2\234\100\1\273\26\3\1\0\5\1ello"), "the PROXY protocol, version 2, then a record of TLS"},
    {BYTES("\r\n\r\n\0\r\nQUIT\n\40\0\0\0\26\3\1\0\5\1ello"), "the PROXY protocol, version 2, without addresses"},
}, forbidden[] = {
    {BYTES("PROXY TCP4 192.0.2.1 192.0.2.2 40000 443\r\nGET / HTTP/1.0\r\n"), "the PROXY protocol, then HTTP"},
    {BYTES("PROXY TCP4 hunter2\r\n"), "the PROXY protocol, with something else in it"},
    {BYTES("PROXY TCP4 1111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111\r\n"), "the PROXY protocol, too long"},
    {BYTES("PROXY SECRET\r\n"), "the PROXY protocol, with another word"},
    {BYTES("\r\n\r\n\0\r\nQUIT\n\41\21\2\11"), "the PROXY protocol, version 2, too long"},
    {BYTES("\r\n\r\n\0\r\nQUIT\n\61\21\0\14"), "the PROXY protocol, a later version"},
    {BYTES("\0\0\0\10\4\322\26\56\0\0\0\0\0\0\0\0"), "PostgreSQL, CancelRequest"},
    {BYTES("\0\0\0\125\0\3\0\0user\0bob\0"), "PostgreSQL, StartupMessage"},
    {BYTES("p\0\0\0\15secret\0"), "PostgreSQL, a password"},
    {BYTES("\0\0\0\10\4\322\26\57\0\0\0\125\0\3\0\0user\0"), "PostgreSQL, StartupMessage after SSLRequest"},
    {BYTES("\124\0\0\1\205\246\377\31\0\0\0\1\377\0\0\0"), "MySQL, HandshakeResponse"},
    {BYTES("\40\0\0\1\205\246\377\31\0\0\0\1\377\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), "MySQL, without CLIENT_SSL"},
    {BYTES("\40\0\0\1\205\256\377\31\0\0\0\1\377\0\0\0\0\0\0\0\0\0\0\0\0\0secret\0\0\0\0"), "MySQL, with something else in it"},
    {BYTES("\20\1\0\14\0\0\1\0abcd"), "TDS, LOGIN7"},
    {BYTES("\3\0\0\14\2\360\200secret"), "RDP, data"},
    {BYTES("\3\0\1\54\46\340\0\0\0\0\0"), "RDP, a request that is too long"},
    {BYTES("\22\1\377\377\0\0\1\0"), "TDS, a packet that is too long"},
    {BYTES("EHLO localhost\r\nAUTH PLAIN AGJvYgBzZWNyZXQ=\r\n"), "SMTP, AUTH"},
    {BYTES("MAIL FROM:<a@example.com>\r\n"), "SMTP, MAIL"},
    {BYTES("EHLO bob secret\r\n"), "SMTP, a greeting with more than a name"},
    {BYTES("EHLOsecret\r\n"), "SMTP, a longer word"},
    {BYTES("A001 LOGIN bob secret\r\n"), "IMAP, LOGIN"},
    {BYTES("A001 AUTHENTICATE PLAIN\r\n"), "IMAP, AUTHENTICATE"},
    {BYTES("A001 STARTTLS secret\r\n"), "IMAP, STARTTLS with more"},
    {BYTES("A001  STARTTLS\r\n"), "IMAP, with two blanks"},
    {BYTES("USER bob\r\n"), "POP3, USER"},
    {BYTES("PASS starttls\r\n"), "POP3, PASS"},
    {BYTES("AUTH TLS-X\r\n"), "FTP, AUTH of another kind"},
    {BYTES("AUTHINFO USER bob\r\n"), "NNTP, AUTHINFO"},
    {BYTES("GET / HTTP/1.1\r\n"), "HTTP"},
    {BYTES("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>"), "XMPP, auth"},
    {BYTES("<iq type='set'>"), "XMPP, iq"},
    {BYTES("<stream:streams>"), "XMPP, a longer name"},
    {BYTES("<starttls>secret"), "XMPP, text"},
    {BYTES("<starttls x='<a>'>"), "XMPP, an element within another"},
    {BYTES("\60\14\2\1\1\140\7\2\1\3\4\0\200\0"), "LDAP, a bind"},
    {BYTES("\60\35\2\1\1\167\30\200\0261.3.6.1.4.1.1466.20036"), "LDAP, another extended request"},
    {BYTES("\60\36\2\1\1\167\30\200\0261.3.6.1.4.1.1466.20037x"), "LDAP, StartTLS and more"},
    {BYTES("\60\40\2\1\1\167\33\200\0261.3.6.1.4.1.1466.20037\201\1x"), "LDAP, StartTLS with a value"},
    {BYTES("\60\6\2\1\1\102\1x"), "LDAP, unbinding with a value"},
    {BYTES("\60\5\2\377\377\377\377\377\377\377\377"), "LDAP, a length without end"},
    {BYTES("\27\3\3\0\6secret"), "a record of data without a ClientHello"},
    {BYTES("\25\3\3\0\6secret"), "a long alert"},
    {BYTES("\24\3\3\0\6secret"), "a record of another kind"},
    {BYTES("\26\3\3\0\6secret"), "a handshake that begins with no hello"},
    {BYTES("STARTTLS\r\n\27\3\3\0\6secret"), "a record of data after STARTTLS"},
    {BYTES("\25\3\3\0\2\2\50\27\3\3\0\6secret"), "a record of data after an alert"},
    {BYTES("\200\34\1\3\3\0\3\0\0\0\20\0\0\57challengechallensecret"), "more after SSL 2.0's ClientHello"},
    {BYTES("\200\42\1\3\3\0\3\0\0\0\20\0\0\57challengechallensecret"), "SSL 2.0's ClientHello with more in it"},
    {BYTES("\201\5secret"), "a frame of WebSocket"},
    {BYTES("\26\3\1\0\5\1ello\200\34\1\3\3\0\3\0\0\0\20\0\0\57challengechallen"), "SSL 2.0's ClientHello after TLS has begun"},
    {BYTES("\26\3\1\0\5\1elloNOOP\r\n"), "what could come before TLS, after it has begun"},
    {BYTES("\25\3\3\0\2\2\50USER secret\r\n"), "a word behind an alert"},
    {BYTES("\26\3\5\0\5\1ello"), "a record of a version that does not exist"},
    {BYTES("\27\3\3\110\1"), "a record that is longer than any"},
    {BYTES("NOO\26\3\1\0\5\1ello"), "a record within a line"},
    {BYTES("secret\r\n"), "a word"},
};

/* Feed the bytes in pieces of `piece`; return how many pieces were allowed before the first that was not. */
static bool feed(const struct row *row, size_t piece, size_t *good)
{
    struct plaintext state = {0};

    for (*good = 0; *good < row->size; *good += piece) {
        size_t size = row->size - *good < piece ? row->size - *good : piece;

        if (!plaintext_allows(&state, (const uint8_t *)row->bytes + *good, size))
            return false;
    }
    return true;
}

int main(void)
{
    struct plaintext state = {0};
    char line[] = "NOOP\r\n";
    size_t good;

    for (size_t i = 0; i < ROWS(allowed); i++) {
        for (size_t piece = 1; piece <= allowed[i].size; piece++)
            check(feed(&allowed[i], piece, &good), "%s, in pieces of %zu", allowed[i].what, piece);
    }
    for (size_t i = 0; i < ROWS(forbidden); i++) {
        for (size_t piece = 1; piece <= forbidden[i].size; piece++)
            check(!feed(&forbidden[i], piece, &good), "%s, in pieces of %zu", forbidden[i].what, piece);
    }
    /* Byte by byte, no more than this goes out of what a word says. */
    check(!feed(&(struct row) {BYTES("secretword\r\n"), ""}, 1, &good) && good <= 4, "a word that is sent byte by byte is stopped early");
    check(plaintext_allows(&state, (const uint8_t *)"\26\3\1\0\5\1e", 7) && state.secured, "a record that is sent in part");
    state.owed = 3;
    check(plaintext_allows(&state, (const uint8_t *)"xyzllo\27\3\3\0\0", 11) && state.length == 0 && state.owed == 0, "what is owed comes again");
    state = (struct plaintext) {0};
    for (int i = 0; i < 20; i++)
        check(plaintext_allows(&state, (const uint8_t *)line, strlen(line)) == (i < 16), "no more lines than sixteen: %d", i);
    state = (struct plaintext) {0};
    for (int i = 0; i < 16; i++)
        check(plaintext_allows(&state, (const uint8_t *)line, strlen(line)), "sixteen lines");
    check(plaintext_allows(&state, (const uint8_t *)"\26\3\1\0\5\1ello", 10), "and TLS");
    for (int i = 0; i < 1000; i++)
        check(plaintext_allows(&state, (const uint8_t *)"\27\3\3\0\1x", 6), "records without end");
    state = (struct plaintext) {.secured = true};
    check(plaintext_allows(&state, (const uint8_t *)"\27\3\3\0\5hello", 10), "a record after a ClientHello that was not seen here");
    return unit_end("plaintext");
}
