# A private CA, the certificates of a good server and of an impostor with an equally valid chain, and servers on loopback.
# Sourced by the demo and by the tests. Everything is made in $LAB; lab_stop ends what was started. $LAB_INSIDE is put before each server's command
# (lab_network).

umask 022
LAB_INSIDE=${LAB_INSIDE:-}

# lab_cert NAME SUBJECT [EXTENSION-LINE...]: a key and a certificate of the private CA in $LAB/NAME.key and $LAB/NAME.pem. $KEY_KIND says of
# what kind, as "openssl genpkey" takes it.
lab_cert() {
    local name=$1 subject=$2
    shift 2
    # shellcheck disable=SC2086 # words
    openssl genpkey -algorithm ${KEY_KIND:-EC -pkeyopt ec_paramgen_curve:P-256} -out "$LAB/$name.key" 2>>"$LAB/openssl.log"
    openssl req -new -key "$LAB/$name.key" -subj "$subject" -out "$LAB/$name.csr" 2>>"$LAB/openssl.log"
    if [ $# -eq 0 ]; then
        set -- 'subjectAltName=DNS:localhost,DNS:www.pinned.example,IP:127.0.0.1,IP:::1' 'extendedKeyUsage=serverAuth'
    fi
    printf '%s\n' "$@" >"$LAB/$name.ext"
    openssl x509 -req -in "$LAB/$name.csr" -CA "$LAB/ca.pem" -CAkey "$LAB/ca.key" -set_serial "0x$(openssl rand -hex 8)" -days 30 \
        -extfile "$LAB/$name.ext" -out "$LAB/$name.pem" 2>>"$LAB/openssl.log"
}

# lab_make DIRECTORY: the CA, the good server's certificate and the impostor's
lab_make() {
    LAB=$1
    mkdir -p "$LAB"
    : >"$LAB/pids"
    # Not with -addext: 1.1.1 would add to the extensions of its own configuration.
    printf '%s\n' '[req]' 'distinguished_name = dn' 'x509_extensions = ca' '[dn]' '[ca]' 'basicConstraints = critical,CA:TRUE' \
        'keyUsage = critical,keyCertSign,cRLSign' 'subjectKeyIdentifier = hash' >"$LAB/ca.cnf"
    openssl req -x509 -config "$LAB/ca.cnf" -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$LAB/ca.key" \
        -out "$LAB/ca.pem" -days 30 -subj '/CN=pinshim test CA' 2>>"$LAB/openssl.log"
    lab_cert good /CN=good
    lab_cert impostor /CN=impostor
}

# lab_no_identifiers: extension lines for a certificate without key identifiers, so that only signatures show who issued what. 1.1.1 adds
# none, and does not know the word.
lab_no_identifiers() {
    [[ $(openssl version) == 'OpenSSL 1.'* ]] || printf '%s\n' 'subjectKeyIdentifier=none' 'authorityKeyIdentifier=none'
}

# lab_spki CERTIFICATE [DIGEST]: its SPKI digest in base64
lab_spki() {
    openssl x509 -in "$1" -noout -pubkey | openssl pkey -pubin -outform DER | openssl dgst "-${2:-sha256}" -binary | base64 -w0
}

# lab_fingerprint CERTIFICATE [DIGEST]: its digest in hex with colons, as openssl prints it
lab_fingerprint() {
    openssl x509 -in "$1" -noout -fingerprint "-${2:-sha256}" | cut -d= -f2
}

lab_free_port() {
    $LAB_INSIDE /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# lab_wait COMMAND...: waits until the command succeeds, ten seconds at most
lab_wait() {
    local _
    for _ in $(seq 200); do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.05
    done
    echo "not ready after ten seconds: $*" >&2
    return 1
}

lab_listens() {
    if [ -n "$LAB_INSIDE" ]; then
        $LAB_INSIDE bash -c "exec 9<>/dev/tcp/127.0.0.1/$1" 2>/dev/null
    else
        (exec 9<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
    fi
}

# lab_network: a network of its own, with a loopback device alone, an /etc/resolv.conf that names 127.0.0.1 and an /etc/hosts that lists listed.pinned.test.
# What is started with $LAB_INSIDE before it is in it.
lab_network() {
    # shellcheck disable=SC2016 # the inner shell's
    unshare --net --mount bash -euc '
        ip link set lo up
        printf "nameserver 127.0.0.1\noptions attempts:2 timeout:2\n" >"$1/resolv.conf"
        printf "127.0.0.1 localhost listed.pinned.test\n" >"$1/hosts"
        mount --bind "$1/resolv.conf" /etc/resolv.conf
        mount --bind "$1/hosts" /etc/hosts
        touch "$1/network-is-up"
        exec sleep infinity' bash "$LAB" 3>&- &
    echo $! >>"$LAB/pids"
    lab_wait test -e "$LAB/network-is-up" || return 1
    export LAB_INSIDE="nsenter --target $! --net --mount --root --wd"
}

# lab_nginx NAME [SSL-LINE]: an nginx that shows $LAB/NAME.pem; its port goes into $PORT. Only with NGINX_MASTER=on can it be told to
# read its files again.
lab_nginx() {
    local name=$1 _
    mkdir -p "$LAB/nginx-$name"
    for _ in 1 2 3 4 5; do
        PORT=$(lab_free_port)
        cat >"$LAB/nginx-$name/nginx.conf" <<CONF
daemon off;
master_process ${NGINX_MASTER:-off};
pid $LAB/nginx-$name/pid;
error_log $LAB/nginx-$name/error.log info;
events { worker_connections 512; }
http {
    access_log $LAB/nginx-$name/access.log;
    client_body_temp_path $LAB/nginx-$name/body;
    proxy_temp_path $LAB/nginx-$name/proxy;
    fastcgi_temp_path $LAB/nginx-$name/fastcgi;
    uwsgi_temp_path $LAB/nginx-$name/uwsgi;
    scgi_temp_path $LAB/nginx-$name/scgi;
    server {
        listen 127.0.0.1:$PORT ssl;
        ssl_certificate $LAB/$name.pem;
        ssl_certificate_key $LAB/$name.key;
        ssl_protocols TLSv1.2 TLSv1.3;
        ${2:-}
        location / { default_type text/plain; return 200 "hello from $name\n"; }
    }
}
CONF
        $LAB_INSIDE nginx -c "$LAB/nginx-$name/nginx.conf" >"$LAB/nginx-$name/out" 2>&1 3>&- &
        echo $! >>"$LAB/pids"
        lab_wait lab_listens "$PORT" && return 0
    done
    return 1
}

# lab_s_server NAME [OPTION...]: an "openssl s_server -www" that shows $LAB/NAME.pem; its port goes into $PORT
lab_s_server() {
    local name=$1 log
    shift
    log=$(mktemp "$LAB/s_server-XXXXXX")
    $LAB_INSIDE openssl s_server -accept 127.0.0.1:0 -cert "$LAB/$name.pem" -key "$LAB/$name.key" -www "$@" >"$log" 2>&1 </dev/null 3>&- &
    echo $! >>"$LAB/pids"
    lab_wait grep -q '^ACCEPT' "$log" || return 1
    PORT=$(sed -n 's/^ACCEPT .*:\([0-9]*\)$/\1/p;T;q' "$log")
}

lab_stop() {
    local pid
    [ -f "$LAB/pids" ] || return 0
    while read -r pid; do
        kill "$pid" 2>/dev/null || true
    done <"$LAB/pids"
    : >"$LAB/pids"
}
