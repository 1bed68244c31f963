# Fetches / with HTTP::Tiny and prints the body.
# Usage: tiny.pl HOST PORT verify|noverify 1.2|1.3 CAFILE
use strict;
use warnings;
use HTTP::Tiny;

my ($host, $port, $verify, $tls, $cafile) = @ARGV;
my $answer = HTTP::Tiny->new(
    timeout     => 10,
    verify_SSL  => $verify eq 'verify' ? 1 : 0,
    SSL_options => {
        SSL_version => { '1.2' => 'TLSv1_2', '1.3' => 'TLSv1_3' }->{$tls},
        $verify eq 'verify' ? (SSL_ca_file => $cafile) : (),
    },
)->get("https://$host:$port/");
die "$answer->{status}: $answer->{content}\n" unless $answer->{success};
print $answer->{content};
