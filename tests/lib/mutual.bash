# Helpers of the tests with client certificates, here called identities, and servers that request them. Sourced after lib/programs.

PASSPHRASE=julio
CLIENTS=$BATS_TEST_DIRNAME/clients

# mutual_lab: the lab of this file, with client1 to client4, whose keys are encrypted; for setup_file
mutual_lab() {
    export BATS_TEST_TIMEOUT=${SHIM_TEST_TIMEOUT:-120}
    lab_make "$BATS_FILE_TMPDIR/lab"
    CA=$LAB/ca.pem
    export LAB CA
    (umask 077 && echo "$PASSPHRASE" >"$LAB/pass")
    for name in client1 client2 client3 client4; do
        identity "$name"
    done
}

# identity NAME [SUBJECT]: a client's certificate in $LAB/NAME.pem, and its key, encrypted, in $LAB/NAME.key; $LAB/NAME.plain is open
identity() {
    lab_cert "$1" "${2:-/CN=$1}" 'extendedKeyUsage=clientAuth'
    mv "$LAB/$1.key" "$LAB/$1.plain"
    openssl pkey -in "$LAB/$1.plain" -aes256 -passout "pass:$PASSPHRASE" -out "$LAB/$1.key"
    chmod 0600 "$LAB/$1.key" "$LAB/$1.plain"
}

# as NAME: the fields of a rule with that client certificate
as() {
    echo "client-cert=$LAB/$1.pem client-key=$LAB/$1.key client-key-pass-file=$LAB/pass"
}

# own NAME: the options with which curl itself presents that client certificate
own() {
    echo "--cert $LAB/$1.pem --key $LAB/$1.key --pass $PASSPHRASE"
}

# serial NAME: of a certificate, in hex
serial() {
    openssl x509 -in "$LAB/$1.pem" -noout -serial | cut -d= -f2
}

# fingerprint NAME: the SHA-256 digest of a certificate in base64
fingerprint() {
    openssl x509 -in "$LAB/$1.pem" -outform DER | openssl dgst -sha256 -binary | base64 -w0
}

# certificate_list NAME...: $LAB/crl.pem, in which these are revoked
certificate_list() {
    local name ca=(openssl ca -config "$LAB/list.cnf" -cert "$CA" -keyfile "$LAB/ca.key" -batch)
    printf '%s\n' '[ca]' 'default_ca = own' '[own]' "database = $LAB/list.txt" "crlnumber = $LAB/list.number" 'default_md = sha256' \
        'default_crl_days = 30' >"$LAB/list.cnf"
    : >"$LAB/list.txt"
    echo 01 >"$LAB/list.number"
    for name; do
        "${ca[@]}" -revoke "$LAB/$name.pem" 2>>"$LAB/openssl.log" || return 1
    done
    "${ca[@]}" -gencrl -out "$LAB/crl.pem" 2>>"$LAB/openssl.log"
}

# asking_nginx NAME [LINE]: an nginx with $LAB/NAME.pem that requires a client certificate of the CA, and returns its subject;
# sets $PORT
asking_nginx() {
    lab_nginx "$1" "ssl_client_certificate $CA; ssl_verify_client on; ssl_verify_depth 2; ${2:-}
        return 200 \"you are \$ssl_client_s_dn, serial \$ssl_client_serial, over \$ssl_protocol\\n\";"
}

# fastify: a Fastify server with $LAB/good.pem that does the same; sets $PORT
fastify() {
    local built=$BATS_TEST_DIRNAME/../build/fastify log
    [ -e "$built/server.js" ] || explain 'make servers brings it'
    log=$(mktemp "$LAB/fastify-XXXXXX")
    node "$built/server.js" "$LAB/good.pem" "$LAB/good.key" "$CA" >"$log" 2>&1 </dev/null 3>&- &
    echo $! >>"$LAB/pids"
    lab_wait grep -qE '^[0-9]+$' "$log" || { cat "$log" && return 1; }
    PORT=$(cat "$log")
}

# apache LINE...: an Apache with PHP and $LAB/good.pem, whose pages / and /private/ show the client's subject, and these lines in its
# configuration; sets $PORT, and $SITE to its directory
apache() {
    local modules=/usr/lib/apache2/modules module
    # Not in the lab, which only this user may search; its children run as another.
    SITE=$(mktemp -d)
    echo "$SITE" >>"$LAB/sites"
    chmod 0755 "$SITE"
    mkdir "$SITE/pages" "$SITE/pages/private"
    # shellcheck disable=SC2016,SC2028 # it is PHP
    echo '<?php echo "you are ", $_SERVER["SSL_CLIENT_S_DN"] ?? "nobody", ", over ", $_SERVER["SSL_PROTOCOL"], "\n";' |
        tee "$SITE/pages/index.php" >"$SITE/pages/private/index.php"
    PORT=$(lab_free_port)
    {
        for module in mpm_prefork authz_core dir mime socache_shmcb ssl; do
            echo "LoadModule ${module}_module $modules/mod_$module.so"
        done
        echo "LoadModule php_module $(echo "$modules"/libphp*.so)"
        cat <<CONF
ServerName localhost
ServerRoot $SITE
PidFile $SITE/pid
ErrorLog $SITE/error.log
LogLevel info
Mutex file:$SITE default
TypesConfig /etc/mime.types
User www-data
Group www-data
StartServers 2
Listen 127.0.0.1:$PORT
DocumentRoot $SITE/pages
DirectoryIndex index.php
AddHandler application/x-httpd-php .php
SSLEngine on
SSLSessionCache shmcb:$SITE/sessions
SSLCertificateFile $LAB/good.pem
SSLCertificateKeyFile $LAB/good.key
SSLCACertificateFile $CA
SSLProtocol -all +TLSv1.2 +TLSv1.3
SSLOptions +StdEnvVars
<Directory $SITE/pages>
    Require all granted
</Directory>
CONF
        printf '%s\n' "$@"
    } >"$SITE/apache.conf"
    # In a process group of its own: it ends its whole group.
    setsid apache2 -f "$SITE/apache.conf" -DFOREGROUND >"$SITE/out" 2>&1 </dev/null 3>&- &
    echo $! >>"$LAB/pids"
    lab_wait lab_listens "$PORT" || { cat "$SITE/out" "$SITE/error.log" && return 1; }
}

# mutual_stop: for teardown_file
mutual_stop() {
    lab_stop
    [ ! -f "$LAB/sites" ] || xargs rm -rf <"$LAB/sites"
}

# curious NAME [OPTION...]: an openssl s_server with $LAB/NAME.pem that requests a client certificate and logs which it receives, in
# $CURIOUS; sets $ASKED, its port
curious() {
    CURIOUS=$(mktemp "$LAB/curious-XXXXXX")
    openssl s_server -accept 127.0.0.1:0 -cert "$LAB/$1.pem" -key "$LAB/$1.key" -CAfile "$CA" -verify 2 -www "${@:2}" >"$CURIOUS" 2>&1 \
        </dev/null 3>&- &
    echo $! >>"$LAB/pids"
    lab_wait grep -q '^ACCEPT' "$CURIOUS" || return 1
    ASKED=$(sed -n 's/^ACCEPT .*:\([0-9]*\)$/\1/p;T;q' "$CURIOUS")
}

# shown: whose certificates the last curious server received. Before 3.2, openssl puts blanks round the =.
shown() { sed -n 's/^depth=0 CN \{0,1\}= \{0,1\}//p' "$CURIOUS" | sort -u; }

# got NAME: that one was among them
got() { shown | grep -qx "$1"; }

# got_nothing: none of the program under test was. It serves one connection after the other, so one of our own, with client4's, comes after
# all that could have been there.
got_nothing() {
    # shellcheck disable=SC2046 # words
    bare curl -sSk $(own client4) -o "$LAB/own" "https://localhost:$ASKED/" || return 1
    lab_wait got client4 || return 1
    equals "$(shown)" client4
}

# fetch bare|shim CLIENT PORT VERSION [OPTION...]: runs a client that has no client certificate; sets $STATUS, $OUT and $ERR.
# Those named -k verify nothing.
fetch() {
    local way=$1 client=$2 port=$3 version=$4
    shift 4
    case $client in
    curl) set -- curl -sS --cacert "$CA" "--tlsv$version" --tls-max "$version" "$@" "https://localhost:$port${PAGE:-/}" ;;
    'curl -k') set -- curl -sSk "--tlsv$version" --tls-max "$version" "$@" "https://localhost:$port${PAGE:-/}" ;;
    python) set -- /usr/bin/python3 "$CLIENTS/http_client.py" localhost "$port" verify "$version" "$CA" ;;
    ruby) set -- ruby "$CLIENTS/http.rb" localhost "$port" verify "$version" "$CA" ;;
    'ruby -k') set -- ruby "$CLIENTS/http.rb" localhost "$port" noverify "$version" "$CA" ;;
    'php streams') set -- php "$CLIENTS/streams.php" localhost "$port" verify "$version" "$CA" ;;
    'php curl') set -- php "$CLIENTS/curl.php" localhost "$port" verify "$version" "$CA" ;;
    *) return 1 ;;
    esac
    capture "$way" PINSHIM_LOG_LEVEL=all timeout -k 1 20 "$@"
}

# offered NAME: the last line in $ERR about an accepted server says that this client certificate was offered
offered() {
    has "$(lines accepted | tail -n 1)" "client certificate \"CN=$1\" offered"
}

# refused_server: the shim has refused the server, the client failed, and no page was received
refused_server() {
    [ "$STATUS" -ne 0 ] || explain 'the exit status tells of success' || return 1
    lacks "$OUT" 'you are'
    equals "$(count_lines refused)" 1
}
