# resolving.pl PORT udp|tcp: asks for www.pinned.example with Net::DNS, and gets a page there without a name in TLS.
use strict;
use warnings;
use Net::DNS;
use IO::Socket::SSL;

my ($port, $way) = @ARGV;
my $resolver = Net::DNS::Resolver->new(nameservers => ['127.0.0.1'], usevc => $way eq 'tcp', recurse => 1);
my ($address) = map { $_->address } grep { $_->type eq 'A' } $resolver->query('www.pinned.example', 'A')->answer;
my $connection = IO::Socket::SSL->new(PeerHost => $address, PeerPort => $port, SSL_verify_mode => SSL_VERIFY_NONE, SSL_hostname => '')
    or die "$IO::Socket::SSL::SSL_ERROR\n";
print $connection "GET / HTTP/1.0\r\n\r\n";
print while <$connection>;
