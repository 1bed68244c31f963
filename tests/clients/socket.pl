# Fetches / over an IO::Socket::SSL and prints the body.
# Usage: socket.pl HOST PORT verify|noverify 1.2|1.3 CAFILE
use strict;
use warnings;
use IO::Socket::SSL;

my ($host, $port, $verify, $tls, $cafile) = @ARGV;
my $socket = IO::Socket::SSL->new(
    PeerHost    => $host,
    PeerPort    => $port,
    Timeout     => 10,
    SSL_version => { '1.2' => 'TLSv1_2', '1.3' => 'TLSv1_3' }->{$tls},
    $verify eq 'verify'
    ? (SSL_verify_mode => SSL_VERIFY_PEER, SSL_ca_file => $cafile, SSL_verifycn_scheme => 'http')
    : (SSL_verify_mode => SSL_VERIFY_NONE),
) or die "no connection: $SSL_ERROR\n";
print $socket "GET / HTTP/1.0\r\nHost: localhost\r\n\r\n";
my $answer = do { local $/; <$socket> };
die "no answer\n" unless defined $answer;
$answer =~ s/\A.*?\r\n\r\n//s;
print $answer;
