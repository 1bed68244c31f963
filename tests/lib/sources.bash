# Sources of Debian's, from the mirrors of this machine's apt, kept in the directory $cache.
# shellcheck disable=SC2154 # whoever sources this has set it

# What apt knows of the sources, beside what this machine's apt knows: the same mirrors, and more releases.
prepare_apt() {
    local site codename
    mkdir -p "$cache/apt/lists" "$cache/apt/cache" "$cache/src"
    export APT_CONFIG=$cache/apt/conf
    printf '%s\n' "Dir::State::lists \"$cache/apt/lists\";" "Dir::Cache \"$cache/apt/cache\";" "Dir::Etc::sourcelist \"$cache/apt/sources.list\";" \
        'Dir::Etc::sourceparts "/dev/null";' 'Acquire::Check-Valid-Until "false";' 'APT::Sandbox::User "root";' >"$APT_CONFIG"
    # shellcheck disable=SC2016 # expanded by apt
    env -u APT_CONFIG apt-get indextargets --format '$(SITE) $(ORIGIN) $(CODENAME)' 2>/dev/null | awk '$2 == "Debian"' | sort -u |
        while read -r site _ codename; do
            echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site $codename main"
            [[ $codename == *-* ]] || printf "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site %s main\n" trixie sid experimental
        done | sort -u >"$cache/apt/sources.list"
    apt-get update -qq
}

# source_of PACKAGE PATTERN: unpacks the newest source whose version matches, if it is not there, and prints its directory. A mirror may lag
# behind its own index: then the next older.
source_of() {
    local package=$1 pattern=$2 version at=$cache/src/$1-${2%%[.-]\*}
    if [ ! -e "$at/ready" ]; then
        [ -e "${APT_CONFIG:-}" ] || prepare_apt
        while read -r version; do
            rm -rf "$at" && mkdir -p "$at"
            # shellcheck disable=SC2254 # a pattern
            case $version in $pattern) ;; *) continue ;; esac
            (cd "$at" && apt-get source -qq --download-only "$package=$version" && dpkg-source --no-check -x ./*.dsc tree) >&2 || continue
            echo "${version%-*}" >"$at/version"
            touch "$at/ready"
            break
        done < <(apt-cache showsrc "$package" | sed -n 's/^Version: //p' | sort -rV)
    fi
    [ -e "$at/ready" ] && echo "$at/tree"
}

# version_of PACKAGE PATTERN
version_of() {
    cat "$cache/src/$1-${2%%[.-]\*}/version"
}
