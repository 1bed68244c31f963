#!/usr/bin/env bats
# Goal: each method of deployment in docs/fleet.md works as described: the package, the container image, the systemd drop-in, the whole host
# and the pods of a cluster; and so do its commands for distributing, evaluating and rolling back a pins file.
# Slow, and needs root: "make fleet".

# Each bats test runs in a subshell of its own: what it sets is for itself.
# shellcheck disable=SC2030,SC2031,SC2153

load lib/programs

TOP=$BATS_TEST_DIRNAME/..
OBJECT=/usr/lib/$(gcc -print-multiarch)/libpinshim.so

setup_file() {
    [ "$(id -u)" -eq 0 ] || { echo 'enters whole systems: run it as root' >&2; return 1; }
    programs_lab
    export BATS_TEST_TIMEOUT=600
    SMALL=$("$TOP/tests/systems" bookworm-small)
    export SMALL
    mkdir "$BATS_FILE_TMPDIR/deb"
    PACKAGE=$("$TOP/packaging/deb" "$BATS_FILE_TMPDIR/deb")
    export PACKAGE
    export FETCH=(curl -sS --max-time 20)
}

teardown_file() {
    lab_stop
}

setup() {
    BOOTED=
}

teardown() {
    if [ -n "$BOOTED" ]; then
        kill "$BOOTED"
        wait "$BOOTED" || true
    fi
}

# system: a small Debian with the package, in $ROOT
system() {
    ROOT=$BATS_TEST_TMPDIR/root
    cp -a "$SMALL" "$ROOT"
    cp "$PACKAGE" "$ROOT/tmp/pinshim.deb"
    cp "$LAB/ca.pem" "$ROOT/tmp/ca.pem"
    cp /etc/hosts "$ROOT/etc/hosts"
    inside dpkg --install /tmp/pinshim.deb >"$BATS_TEST_TMPDIR/dpkg" 2>&1 || explain "$(cat "$BATS_TEST_TMPDIR/dpkg")"
}

# inside COMMAND...: as root in $ROOT, with nothing in its environment; as_user: as a user without rights
inside() {
    chroot "$ROOT" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

as_user() {
    chroot --userspec=65534:65534 "$ROOT" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

# fetch PORT: the words of a client whose server has a certificate of the lab's CA, for the name localhost
fetch() {
    FETCH=(curl -sS --max-time 20 --cacert /tmp/ca.pem "https://localhost:$1/")
}

# gets NAME COMMAND...: it receives the body of that server, and the shim logs nothing (what run says of curl's GnuTLS is no log)
gets() {
    capture "${@:2}"
    equals "$STATUS: $OUT" "0: hello from $1"
    lacks "$ERR" 'pinshim['
}

# stopped RULE COMMAND...: it receives nothing, and one line names the rule
stopped() {
    capture "${@:2}"
    equals "$STATUS: $OUT" '60: '
    equals "$(count_lines refused)" 1
    has "$ERR" "refused localhost:$IMPOSTOR: no pin of $1 matched"
}

# good_pins FILE
good_pins() {
    mkdir -p "$(dirname "$1")"
    echo "localhost spki-sha256:$PIN_GOOD" >"$1"
}

digests() {
    (cd "$1" && sha256sum ./*.deb)
}

@test "the package is clean for lintian" {
    capture lintian --allow-root --tag-display-limit 0 --fail-on error,warning "${PACKAGE%.deb}.changes"
    equals "$STATUS: $OUT" '0: '
}

@test "the package is the same, bit by bit, from another directory, another day, another user's settings" {
    local copy=$BATS_TEST_TMPDIR/another/directory out=$BATS_TEST_TMPDIR/out.deb
    mkdir -p "$copy" "$out"
    tar -C "$TOP" -c --exclude=./build . | tar -C "$copy" -xm
    # shellcheck disable=SC2016 # expanded by the inner shell
    capture env TZ=Asia/Tokyo LC_ALL=C.UTF-8 USER=other HOME=/nonexistent CFLAGS=-O0 \
        bash -c 'umask 077 && exec faketime -m "+400 days" "$0" "$1"' "$copy/packaging/deb" "$out"
    equals "$STATUS" 0
    [ "$(digests "$out" | wc -l)" -eq 2 ] || explain "not the package and its debugging symbols: $(ls "$out")"
    equals "$(digests "$out")" "$(digests "$BATS_FILE_TMPDIR/deb")"
}

@test "the package is installed, used and removed, and starts nothing by itself" {
    system
    good_pins "$ROOT/etc/pinshim/pins"
    [ ! -e "$ROOT/etc/ld.so.preload" ] || explain 'the package preloads itself'
    equals "$(inside dpkg -L pinshim | grep -E '^/(etc|lib/systemd|usr/lib/systemd)' || true)" ''
    fetch "$IMPOSTOR"
    gets impostor inside "${FETCH[@]}"

    equals "$(inside pinshim --version)" "pinshim $(cat "$TOP/VERSION")"
    inside test -s "$OBJECT"
    stopped /etc/pinshim/pins:1 inside LD_PRELOAD="$OBJECT" "${FETCH[@]}"
    # The loader puts the directory of the program's architecture for $LIB.
    # shellcheck disable=SC2016 # not the shell
    stopped /etc/pinshim/pins:1 inside 'LD_PRELOAD=/usr/$LIB/libpinshim.so' "${FETCH[@]}"
    stopped /etc/pinshim/pins:1 inside LD_PRELOAD=libpinshim.so "${FETCH[@]}"
    stopped /etc/pinshim/pins:1 as_user LD_PRELOAD=libpinshim.so "${FETCH[@]}"
    equals "$(inside ldconfig -p | grep -c "libpinshim\.so")" 1
    stopped /etc/pinshim/pins:1 inside pinshim run -- "${FETCH[@]}"
    fetch "$GOOD"
    gets good inside pinshim run -- "${FETCH[@]}"

    inside dpkg --purge pinshim
    equals "$(find "$ROOT/usr" -name '*pinshim*')" ''
    equals "$(inside ldconfig -p | grep -F pinshim || true)" ''
}

@test "a whole host: every program that starts, set-user-ID ones with the defaults; and out again" {
    system
    fetch "$IMPOSTOR"
    good_pins "$ROOT/etc/pinshim/pins"
    echo "localhost spki-sha256:$PIN_IMPOSTOR" >"$ROOT/tmp/other"
    cp "$ROOT/usr/bin/curl" "$ROOT/usr/bin/setuid-curl"
    chmod 4755 "$ROOT/usr/bin/setuid-curl"
    local setuid=(/usr/bin/setuid-curl "${FETCH[@]:1}")
    # The environment does not reach it.
    gets impostor as_user LD_PRELOAD="$OBJECT" "${setuid[@]}"
    gets impostor as_user LD_PRELOAD=libpinshim.so "${setuid[@]}"
    # Its name alone does, where the object has that bit as well: the package's has not.
    chmod u+s "$ROOT$OBJECT"
    stopped /etc/pinshim/pins:1 as_user LD_PRELOAD=libpinshim.so "${setuid[@]}"
    chmod u-s "$ROOT$OBJECT"

    echo "$OBJECT" >"$ROOT/etc/ld.so.preload"
    stopped /etc/pinshim/pins:1 as_user "${FETCH[@]}"
    stopped /etc/pinshim/pins:1 as_user "${setuid[@]}"
    gets impostor as_user PINSHIM_PINS=/tmp/other "${FETCH[@]}"
    stopped /etc/pinshim/pins:1 as_user PINSHIM_PINS=/tmp/other PINSHIM_MODE=report PINSHIM_LOG=none "${setuid[@]}"
    fetch "$GOOD"
    gets good as_user "${FETCH[@]}"

    # Without pins no TLS; with an object that is gone, no pinning.
    mv "$ROOT/etc/pinshim/pins" "$ROOT/etc/pinshim/away"
    capture as_user "${FETCH[@]}"
    equals "$STATUS" 60
    has "$ERR" 'fault'
    fetch "$IMPOSTOR"
    echo 'int main(void) { return 7; }' | gcc -static -o "$ROOT/usr/bin/static" -x c -
    mv "$ROOT$OBJECT" "$ROOT$OBJECT.away"
    capture as_user "${FETCH[@]}"
    equals "$STATUS: $OUT" '0: hello from impostor'
    has "$ERR" "object '$OBJECT' from /etc/ld.so.preload cannot be preloaded"
    # Not by env, which is dynamic.
    capture chroot --userspec=65534:65534 "$ROOT" /usr/bin/static
    equals "$STATUS: $ERR" '7: '
    : >"$ROOT/etc/ld.so.preload"
    gets impostor as_user "${FETCH[@]}"
}

# image: builds it, once for this file. In: the options that every call of buildah needs.
image() {
    local context=$BATS_FILE_TMPDIR/image
    # vfs and chroot need nothing of the kernel but what a container of CI has as well.
    In=(--root "$BATS_FILE_TMPDIR/storage" --runroot "$BATS_FILE_TMPDIR/runroot" --storage-driver vfs)
    [ ! -e "$context/ready" ] || return 0
    mkdir -p "$context"
    tar -C "$SMALL" -cf "$context/root.tar" .
    bud base "$TOP/packaging/container/base.Containerfile" "$context"
    rm "$context/root.tar"
    bud pinned "$TOP/packaging/container/Containerfile" --build-arg BASE=localhost/base "$BATS_FILE_TMPDIR/deb"
    touch "$context/ready"
}

# bud NAME FILE ARGUMENT...
bud() {
    capture buildah "${In[@]}" bud --isolation chroot -t "$1" -f "${@:2}"
    equals "$STATUS" 0
}

# container IMAGE: a new one, in $CONTAINER
container() {
    CONTAINER=$(buildah "${In[@]}" from --pull-never "localhost/$1")
}

# contained COMMAND...: in the container, with $PINS_DIR as /etc/pinshim
contained() {
    buildah "${In[@]}" run --isolation chroot -v "$LAB/ca.pem:/tmp/ca.pem:ro" -v "$PINS_DIR:/etc/pinshim:ro" "${CONTAINED[@]}" \
        "$CONTAINER" -- "$@"
}

@test "the image starts its command by pinshim run, and none that is neither judged nor guarded" {
    local entrypoint
    CONTAINED=()
    image
    container pinned
    # buildah does not run the entrypoint by itself.
    mapfile -t entrypoint < <(buildah "${In[@]}" inspect --type image localhost/pinned | jq -r '.OCIv1.config.Entrypoint[]')
    equals "${entrypoint[*]}" '/usr/bin/pinshim run --'
    PINS_DIR=$BATS_TEST_TMPDIR/pins
    good_pins "$PINS_DIR/pins"
    fetch "$GOOD"
    gets good contained "${entrypoint[@]}" "${FETCH[@]}"
    fetch "$IMPOSTOR"
    stopped /etc/pinshim/pins:1 contained "${entrypoint[@]}" "${FETCH[@]}"
    gets impostor contained "${FETCH[@]}"
    # By its name alone, as root and as a user without rights.
    stopped /etc/pinshim/pins:1 contained env LD_PRELOAD=libpinshim.so "${FETCH[@]}"
    CONTAINED=(--user 65534)
    stopped /etc/pinshim/pins:1 contained env LD_PRELOAD=libpinshim.so "${FETCH[@]}"
    CONTAINED=()

    # Not started: the program is static, the pins are gone.
    echo 'int main(void) { return 0; }' | gcc -static -o "$PINS_DIR/static" -x c -
    capture contained /etc/pinshim/static
    equals "$STATUS" 0
    capture contained "${entrypoint[@]}" /etc/pinshim/static
    has "$ERR" 'exit status 125'
    rm "$PINS_DIR/pins"
    capture contained "${entrypoint[@]}" "${FETCH[@]}"
    has "$ERR" 'exit status 125'
    has "$ERR" 'pinshim: '
    equals "$OUT" ''
}

# alpine: an image like Alpine, with musl and busybox, and a client for musl; in place of its apk a script that unpacks. And the package as Alpine's abuild makes it,
# from the functions of its recipe. Both once for this file, as the image "musl-pinned".
alpine() {
    local context=$BATS_FILE_TMPDIR/alpine root=$BATS_FILE_TMPDIR/alpine/root musl=$TOP/build/musl
    image
    [ ! -e "$context/ready" ] || return 0
    mkdir -p "$root"/{bin,sbin,lib,usr/bin,usr/lib,tmp,etc,proc,dev,sys,run}
    cp -L "/lib/ld-musl-$(uname -m).so.1" "$root/lib/"
    cp -L "$musl"/lib*.so.[0-9]* "$musl/libcompat.so" "$root/usr/lib/"
    cp "$musl/paths/connect" "$root/usr/bin/"
    cp "$TOP/tests/musl/apk" "$root/sbin/"
    cp "$(command -v busybox)" "$root/bin/busybox"
    for name in sh tar gzip cp rm env ls cat; do ln -s busybox "$root/bin/$name"; done
    tar -C "$root" -cf "$context/root.tar" .
    bud musl "$TOP/packaging/container/base.Containerfile" "$context"
    rm "$context/root.tar"
    mkdir -p "$context/apk"/{src,pkg}
    startdir=$TOP/packaging/alpine srcdir=$context/apk/src pkgdir=$context/apk/pkg CC=$(realpath "$musl/cc") sh -euc '
        export CC
        . "$startdir/APKBUILD"
        test "$pkgver" = "$(cat "$builddir/VERSION")"
        build
        check
        package
        tar -C "$pkgdir" -czf "$srcdir/../$pkgname-$pkgver-r$pkgrel.apk" .' >"$context/log" 2>&1 || { cat "$context/log"; return 1; }
    bud musl-pinned "$TOP/packaging/container/Containerfile" --build-arg BASE=localhost/musl --build-arg 'PACKAGE=pinshim-*.apk' "$context/apk"
    touch "$context/ready"
}

# What a client for musl does in it; the pins are those of a name that the client has in the SNI.
musl_client() {
    echo "www.pinned.example spki-sha256:$PIN_GOOD" >"$PINS_DIR/pins"
    FETCH=(/usr/bin/connect 127.0.0.1 "$1")
}

@test "the recipe for Alpine has the version of this tree, and no mistakes that a linter finds" {
    capture shellcheck -s sh -e SC2034,SC2154,SC2148 "$TOP/packaging/alpine/APKBUILD"
    equals "$STATUS: $OUT" '0: '
    equals "$(sed -n 's/^pkgver=//p' "$TOP/packaging/alpine/APKBUILD")" "$(cat "$TOP/VERSION")"
}

@test "the image on Alpine starts its command by pinshim run, and none that is neither judged nor guarded" {
    CONTAINED=()
    alpine
    container musl-pinned
    PINS_DIR=$BATS_TEST_TMPDIR/pins
    mkdir -p "$PINS_DIR"
    musl_client "$IMPOSTOR"
    capture contained "${FETCH[@]}"
    has "$OUT" 'hello from impostor'
    capture contained /usr/bin/pinshim run -- "${FETCH[@]}"
    lacks "$OUT" 'hello from'
    equals "$(count_lines refused)" 1
    capture contained env LD_PRELOAD=libpinshim.so "${FETCH[@]}"
    equals "$(count_lines refused)" 1
    musl_client "$GOOD"
    capture contained /usr/bin/pinshim run -- "${FETCH[@]}"
    has "$OUT" 'hello from good'
    capture contained /usr/bin/pinshim run -- /bin/busybox true
    has "$ERR" 'exit status 125'
    capture contained /usr/bin/pinshim doctor "${FETCH[@]}"
    has "$OUT" '/usr/bin/connect: judged: its TLS is OpenSSL'
}

@test "the drop-in has nothing that systemd does not know" {
    local unit=$BATS_TEST_TMPDIR/demo.service
    printf '[Service]\nExecStart=/usr/bin/curl https://localhost/\n' >"$unit"
    mkdir "$unit.d"
    cp "$TOP/packaging/systemd/pinshim.conf" "$unit.d/"
    capture systemd-analyze verify "$unit"
    equals "$STATUS: $OUT$ERR" '0: '
    # It does look at the drop-in.
    echo 'Assertion=none' >>"$unit.d/pinshim.conf"
    capture systemd-analyze verify "$unit"
    has "$ERR" 'Assertion'
}

# service NAME: a unit in $ROOT that connects to the impostor, hardened as docs/fleet.md says, and writes into /var/log/NAME
service() {
    cat >"$ROOT/etc/systemd/system/$1.service" <<UNIT
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=$(printf '%s ' /usr/bin/curl "${FETCH[@]:1}")
StandardOutput=append:/var/log/$1
StandardError=append:/var/log/$1
DynamicUser=yes
NoNewPrivileges=yes
MemoryDenyWriteExecute=yes
ProtectSystem=strict
ProtectHome=yes
SystemCallFilter=@system-service
AmbientCapabilities=CAP_NET_BIND_SERVICE
CapabilityBoundingSet=CAP_NET_BIND_SERVICE
UNIT
}

# drop_in NAME: the drop-in for that unit
drop_in() {
    mkdir "$ROOT/etc/systemd/system/$1.service.d"
    cp "$TOP/packaging/systemd/pinshim.conf" "$ROOT/etc/systemd/system/$1.service.d/"
}

@test "systemd starts a hardened service with the drop-in under the shim, and does not start it without object or pins" {
    local name log=$BATS_TEST_TMPDIR/root/var/log
    system
    good_pins "$ROOT/etc/pinshim/pins"
    fetch "$IMPOSTOR"
    cp "$ROOT/tmp/ca.pem" "$ROOT/etc/"
    FETCH=("${FETCH[@]//tmp/etc}")
    for name in bare pinned without-object without-pins; do
        service "$name"
        [ "$name" = bare ] || drop_in "$name"
    done
    sed -i 's|^AssertPathExists=.*|&.gone|' "$ROOT/etc/systemd/system/without-object.service.d/pinshim.conf"
    sed -i 's|^AssertFileNotEmpty=.*|&.gone|' "$ROOT/etc/systemd/system/without-pins.service.d/pinshim.conf"
    # One after the other, so that the last has ended when the target is reached.
    cat >"$ROOT/etc/systemd/system/last.service" <<'UNIT'
[Unit]
DefaultDependencies=no
Wants=bare.service pinned.service without-object.service without-pins.service
After=bare.service pinned.service without-object.service without-pins.service
[Service]
Type=oneshot
ExecStart=/usr/bin/touch /var/log/last
UNIT
    "$BATS_TEST_DIRNAME/lib/boot" "$ROOT" last.service >"$BATS_TEST_TMPDIR/boot" 2>&1 </dev/null 3>&- &
    BOOTED=$!
    # shellcheck disable=SC2016 # expanded by the inner shell
    timeout 120 bash -c 'until [ -e "$0" ]; do sleep 0.1; done' "$log/last" || explain "$(cat "$BATS_TEST_TMPDIR/boot")"
    equals "$(cat "$log/bare")" 'hello from impostor'
    [ ! -e "$log/without-object" ] && [ ! -e "$log/without-pins" ] || explain 'started without object or pins'
    lacks "$(cat "$log/pinned")" 'hello from'
    equals "$(jq -Rr 'fromjson? | [.verdict, .rule] | @tsv' <"$log/pinned")" $'refused\t/etc/pinshim/pins:1'
}

# workloads: one of each kind, with and without what the shim brings, in $BATS_TEST_TMPDIR/app
workloads() {
    local kind api indent version
    version=$(kubectl version --client -o json | jq -r '.clientVersion.minor')
    [ "${version%+}" -ge 22 ] || skip "kubectl 1.$version knows no replacements"
    APP=$BATS_TEST_TMPDIR/app
    mkdir "$APP"
    cp "$TOP/packaging/kubernetes/example/pins" "$APP/"
    sed 's/deployment.yaml/workloads.yaml/; s|\.\./component|component|' "$TOP/packaging/kubernetes/example/kustomization.yaml" \
        >"$APP/kustomization.yaml"
    ln -s "$(realpath "$TOP/packaging/kubernetes/component")" "$APP/component"
    for kind in Deployment StatefulSet DaemonSet Job CronJob; do
        case $kind in *Job) api=batch/v1 ;; *) api=apps/v1 ;; esac
        printf -- '---\napiVersion: %s\nkind: %s\nmetadata: {name: app}\nspec:\n' "$api" "$kind"
        indent=
        if [ "$kind" = CronJob ]; then
            printf '  jobTemplate:\n    spec:\n'
            indent='    '
        fi
        printf '%s  template:\n%s    spec:\n' "$indent" "$indent"
        sed "s/^/$indent/" <<'SPEC'
      containers:
        - name: web
          image: web
          env: [{name: KEPT, value: "yes"}, {name: LD_PRELOAD, value: /other.so}]
          volumeMounts: [{name: data, mountPath: /data}]
        - {name: bare, image: bare}
      volumes: [{name: data, emptyDir: {}}]
SPEC
        # Not in all of them.
        [ "$kind" = Job ] || echo "$indent      initContainers: [{name: migrate, image: web, env: [{name: KEPT, value: 'yes'}]}]"
    done >"$APP/workloads.yaml"
}

# render DIRECTORY: the test is for a kubectl that knows components and replacements
render() {
    kubectl kustomize --load-restrictor=LoadRestrictionsNone "$1"
}

@test "kustomize gives every container of every workload the object and the pins" {
    workloads
    render "$APP" >"$BATS_TEST_TMPDIR/rendered"
    capture /usr/bin/python3 "$BATS_TEST_DIRNAME/lib/pods.py" check "$BATS_TEST_TMPDIR/rendered" "$APP/component/parts.yaml"
    equals "$STATUS" 0
    equals "$(wc -l <<<"$OUT")" 5
    equals "$(grep -vc 'migrate web bare' <<<"$OUT")" 1
    # The name is the same for every content: the pods that run see the change.
    equals "$(grep -c '^  name: pinshim-pins$' "$BATS_TEST_TMPDIR/rendered")" 1
    pins "$(cat "$APP/pins")"
    capture "$TOP/build/pinshim" lint "$PINS"
    equals "$STATUS" 0
}

@test "the Kyverno policy gives a labelled pod what the component gives" {
    workloads
    render "$APP" >"$BATS_TEST_TMPDIR/rendered"
    mkdir "$BATS_TEST_TMPDIR/kyverno"
    cd "$BATS_TEST_TMPDIR/kyverno"
    /usr/bin/python3 "$BATS_TEST_DIRNAME/lib/pods.py" patches "$TOP/packaging/kubernetes/kyverno.yaml" "$APP/workloads.yaml"
    render . >pods
    capture /usr/bin/python3 "$BATS_TEST_DIRNAME/lib/pods.py" same "$BATS_TEST_TMPDIR/rendered" pods
    equals "$STATUS" 0
    # Called again, it changes nothing.
    mkdir again
    cd again
    /usr/bin/python3 "$BATS_TEST_DIRNAME/lib/pods.py" patches "$TOP/packaging/kubernetes/kyverno.yaml" ../pods
    render . >pods
    capture /usr/bin/python3 "$BATS_TEST_DIRNAME/lib/pods.py" same ../pods pods
    equals "$STATUS" 0
}

# parts PATH...: a value of what a pod is given
parts() {
    /usr/bin/python3 "$BATS_TEST_DIRNAME/lib/pods.py" get "$TOP/packaging/kubernetes/component/parts.yaml" template spec "$@"
}

@test "what a pod is given works in containers: the object is copied, and pins, as a ConfigMap has them, hold" {
    local object=$BATS_TEST_TMPDIR/object command environment user
    image
    PINS_DIR=$BATS_TEST_TMPDIR/pins
    good_pins "$PINS_DIR/..2026/pins"
    ln -s ..2026 "$PINS_DIR/..data"
    ln -s ..data/pins "$PINS_DIR/pins"
    mkdir -m 0777 "$object"
    user=$(parts initContainers 0 securityContext runAsUser)
    mapfile -t command < <(parts initContainers 0 command | jq -r '.[]')
    mapfile -t environment < <(parts containers 0 env | jq -r '.[] | "\(.name)=\(.value)"')
    [ "${#command[@]}" -eq 3 ] && [ "${#environment[@]}" -eq 3 ]

    container pinned
    CONTAINED=(-v "$object:/opt/pinshim" --user "$user")
    capture contained "${command[@]}"
    equals "$STATUS" 0
    container base
    CONTAINED=(-v "$object:/opt/pinshim:ro" --user 65534)
    fetch "$GOOD"
    gets good contained env "${environment[@]}" "${FETCH[@]}"
    fetch "$IMPOSTOR"
    gets impostor contained "${FETCH[@]}"
    capture contained env "${environment[@]}" "${FETCH[@]}"
    equals "$OUT" ''
    equals "$(jq -Rr 'fromjson? | [.verdict, .target, .rule] | @tsv' <<<"$ERR")" $'refused\tlocalhost:'"$IMPOSTOR"$'\t/etc/pinshim/pins:1'

    # The same object in an image with musl.
    alpine
    container musl
    PINS_DIR=$BATS_TEST_TMPDIR/other
    mkdir "$PINS_DIR"
    musl_client "$GOOD"
    capture contained env "${environment[@]}" "${FETCH[@]}"
    has "$OUT" 'hello from good'
    musl_client "$IMPOSTOR"
    capture contained "${FETCH[@]}"
    has "$OUT" 'hello from impostor'
    capture contained env "${environment[@]}" "${FETCH[@]}"
    lacks "$OUT" 'hello from'
    equals "$(jq -Rr 'fromjson? | [.verdict, .target, .rule] | @tsv' <<<"$ERR")" $'refused\twww.pinned.example:'"$IMPOSTOR"$'\t/etc/pinshim/pins:1'
}

# documented NAME: the commands under that mark in docs/fleet.md
documented() {
    awk -v mark="<!-- run: $1 -->" '$0 == mark { on = 1; next } on && /^    / { print substr($0, 5); some = 1; next } on && some { exit }' \
        "$TOP/docs/fleet.md"
}

# follow NAME [SHELL-COMMANDS]: does as they say, in $WORK, with its etc in place of /etc/pinshim, $VERSION for the version there, and the
# server's name in place of the example's
follow() {
    local commands
    commands=$(documented "$1" | sed "s|/etc/pinshim|$WORK/etc|g; s/=2026-11-21$/=$VERSION/; s/api\.example\.com/www.pinned.example/")
    [ -n "$commands" ] || explain "docs/fleet.md has no commands under $1"
    capture env PATH="$(realpath "$TOP/build"):$PATH" bash -c "cd '$WORK'; ${2:-}
$commands"
}

# machine NAME PORT: one connection of a machine, which logs to a file of its own
machine() {
    capture env LD_PRELOAD="$SHIM_SO:$NAMES" PINSHIM_PINS="$WORK/etc/pins" PINSHIM_LOG="$WORK/$1.log" PINSHIM_LOG_FORMAT=json \
        PINSHIM_LOG_LEVEL=all curl -sSk "https://www.pinned.example:$2/"
}

@test "a pins file is carried out, reported, read back, enforced and rolled back by the commands of docs/fleet.md" {
    local running line
    names
    WORK=$BATS_TEST_TMPDIR/fleet VERSION=one
    mkdir "$WORK"
    # A misspelt target has no rule.
    for line in '' '* allow'; do
        printf '%s\n' "www.pined.example spki-sha256:$PIN_GOOD mode=report" "$line" >"$WORK/pins"
        follow put
        machine none "$GOOD"
        equals "$OUT" 'hello from good'
        equals "$(tail -n 1 "$WORK/none.log" | jq -r .verdict)" "$([ -n "$line" ] && echo accepted || echo unpinned)"
        follow ready
        [ "$STATUS" -ne 0 ] || explain 'ready, and there is no rule'
    done
    rm -r "${WORK:?}/none.log" "${WORK:?}/etc"
    # The pin of the second server was forgotten.
    printf '%s\n' "www.pinned.example spki-sha256:$PIN_GOOD mode=report" '* allow' >"$WORK/pins"
    follow put
    equals "$STATUS" 0
    equals "$(readlink "$WORK/etc/pins")" versions/one
    follow ready 'touch empty.log'
    [ "$STATUS" -ne 0 ] || explain 'ready, and no connection was seen'
    machine one "$GOOD"
    equals "$OUT" 'hello from good'
    follow ready
    equals "$STATUS" 0
    machine two "$IMPOSTOR"
    equals "$OUT" 'hello from impostor'
    printf '%s\n' 'a line of the program, and {"verdict' 7 'null' >>"$WORK/two.log"
    follow ready
    [ "$STATUS" -ne 0 ] || explain 'ready, and a server would be refused'

    follow count
    equals "$STATUS" 0
    equals "$(sort -k 3 <<<"$OUT" | tr -s ' \t' ' ')" " 1 www.pinned.example:$GOOD accepted $PIN_GOOD $WORK/etc/pins:1
 1 www.pinned.example:$IMPOSTOR reported $PIN_IMPOSTOR $WORK/etc/pins:1"
    follow machines
    equals "$(sort -k 2 <<<"$OUT")" "www.pinned.example:$GOOD accepted $PIN_GOOD 1 one.log
www.pinned.example:$IMPOSTOR reported $PIN_IMPOSTOR 1 two.log"
    follow faults
    equals "$STATUS: $OUT" '0: '

    # Enforced, and taken back, in a program that runs on.
    coproc AGAIN { exec env LD_PRELOAD="$SHIM_SO:$NAMES" PINSHIM_PINS="$WORK/etc/pins" PINSHIM_LOG="$WORK/three.log" \
        PINSHIM_LOG_FORMAT=json "$PROGRAMS/again" www.pinned.example "$IMPOSTOR" 3>&-; }
    running=$AGAIN_PID
    echo connect >&"${AGAIN[1]}"
    read -r -t 10 line <&"${AGAIN[0]}"
    equals "$line" 1
    follow enforce target=www.pinned.example
    equals "$(cat "$WORK/pins.next")" "www.pinned.example spki-sha256:$PIN_GOOD
* allow"
    mv "$WORK/pins.next" "$WORK/pins"
    VERSION=two
    follow put
    equals "$STATUS" 0
    echo connect >&"${AGAIN[1]}"
    read -r -t 10 line <&"${AGAIN[0]}"
    equals "$line" '-1 certificate verify failed'
    machine two "$IMPOSTOR"
    equals "$OUT" ''
    follow back before=one
    equals "$STATUS" 0
    equals "$(readlink "$WORK/etc/pins")" versions/one
    echo connect >&"${AGAIN[1]}"
    read -r -t 10 line <&"${AGAIN[0]}"
    equals "$line" 1

    # A faulty version does not become the one in force; where one is forced in, the log tells.
    echo 'www.pinned.example nonsense' >"$WORK/pins"
    VERSION=three
    follow put
    [ "$STATUS" -ne 0 ] || explain 'a faulty version was put in force'
    equals "$(readlink "$WORK/etc/pins")" versions/one
    follow back before=three
    echo connect >&"${AGAIN[1]}"
    read -r -t 10 line <&"${AGAIN[0]}"
    equals "$line" 1
    kill "$running"
    follow faults
    has "$OUT" $'three.log\t'
    has "$OUT" 'nonsense'
}
