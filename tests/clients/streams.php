<?php
// Fetches / through PHP's https stream wrapper and prints the body.
// Usage: streams.php HOST PORT verify|noverify 1.2|1.3 CAFILE
ini_set('display_errors', 'stderr');
[, $host, $port, $verify, $tls, $cafile] = $argv;
$methods = ['1.2' => STREAM_CRYPTO_METHOD_TLSv1_2_CLIENT, '1.3' => STREAM_CRYPTO_METHOD_TLSv1_3_CLIENT];
$ssl = ['crypto_method' => $methods[$tls]];
if ($verify === 'verify') {
    $ssl += ['cafile' => $cafile];
} else {
    $ssl += ['verify_peer' => false, 'verify_peer_name' => false];
}
$context = stream_context_create(['ssl' => $ssl, 'http' => ['timeout' => 10]]);
$body = file_get_contents("https://$host:$port/", false, $context);
if ($body === false) {
    exit(1);
}
echo $body;
