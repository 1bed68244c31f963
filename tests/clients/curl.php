<?php
// Fetches / with PHP's curl extension, which PHP loads with RTLD_DEEPBIND, and prints the body.
// Usage: curl.php HOST PORT verify|noverify 1.2|1.3 CAFILE
ini_set('display_errors', 'stderr');
[, $host, $port, $verify, $tls, $cafile] = $argv;
$versions = [
    '1.2' => CURL_SSLVERSION_TLSv1_2 | CURL_SSLVERSION_MAX_TLSv1_2,
    '1.3' => CURL_SSLVERSION_TLSv1_3 | CURL_SSLVERSION_MAX_TLSv1_3,
];
$curl = curl_init("https://$host:$port/");
curl_setopt_array($curl, [
    CURLOPT_RETURNTRANSFER => true,
    CURLOPT_TIMEOUT => 10,
    CURLOPT_SSLVERSION => $versions[$tls],
]);
if ($verify === 'verify') {
    curl_setopt($curl, CURLOPT_CAINFO, $cafile);
} else {
    curl_setopt_array($curl, [CURLOPT_SSL_VERIFYPEER => false, CURLOPT_SSL_VERIFYHOST => 0]);
}
$body = curl_exec($curl);
if ($body === false) {
    fwrite(STDERR, curl_error($curl) . "\n");
    exit(1);
}
echo $body;
