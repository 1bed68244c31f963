# Fetches / with LWP and prints the body.
# Usage: lwp.pl HOST PORT verify|noverify 1.2|1.3 CAFILE
use strict;
use warnings;
use IO::Socket::SSL;
use LWP::UserAgent;

my ($host, $port, $verify, $tls, $cafile) = @ARGV;
my $agent = LWP::UserAgent->new(timeout => 10);
$agent->ssl_opts(
    SSL_version => { '1.2' => 'TLSv1_2', '1.3' => 'TLSv1_3' }->{$tls},
    $verify eq 'verify'
    ? (verify_hostname => 1, SSL_ca_file => $cafile)
    : (verify_hostname => 0, SSL_verify_mode => SSL_VERIFY_NONE),
);
my $answer = $agent->get("https://$host:$port/");
# LWP's own failures are a 500 with the reason for a body.
die $answer->status_line . "\n" unless $answer->is_success;
print $answer->decoded_content;
