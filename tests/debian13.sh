#!/usr/bin/env bash
# Run tests on Debian 13, that is on the lock file for glibc 2.39 and newer, from an older Debian.
#
#   tests/debian13.sh [PYTEST ARGUMENTS]        default: a pipeline run, nets, layers
#
# A Debian 13 root is made once by debootstrap (apt-get install debootstrap; needs root and a Debian
# mirror) and kept in $CONVNETS_DEBIAN13, by default ~/.cache/convnets/debian13. The tree is copied
# into it, `make .venv` runs there as on a bare machine, then pytest. Mounts and processes live in
# namespaces of their own and end with the script.
set -euo pipefail

root=${CONVNETS_DEBIAN13:-${XDG_CACHE_HOME:-$HOME/.cache}/convnets/debian13}
packages=ca-certificates,g++,make,python3,python3-dev,python3-venv

fail() {
    printf 'error: %s\n' "$1" >&2
    exit 1
}

cd "$(dirname "$0")/.."
(($#)) || set -- tests/pipelines/test_whole_run.py::test_ones_own_images \
    tests/keras_models/test_every_net.py tests/keras_models/test_layers*.py
((EUID == 0)) || fail "a Debian 13 root is made and entered by root only."
[[ $root == /* ]] || fail "CONVNETS_DEBIAN13 must be an absolute path, not '$root'."
mkdir -p "$(dirname "$root")"
exec 9>"$root.lock"
flock 9

# The mirror that this machine's own apt uses for Debian, whatever the format of its sources.
mirror() {
    # shellcheck disable=SC2016 # expanded by apt-get
    apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep -m 1 -E '/debian/?$' ||
        fail "apt's sources name no Debian mirror; give one: MIRROR=... $0"
}

if [[ ! -d $root ]]; then
    command -v debootstrap >/dev/null || fail "no debootstrap: apt-get install debootstrap"
    url=${MIRROR:-$(mirror)}
    rm -rf "$root.partial"
    debootstrap --variant=minbase --include="$packages" trixie "$root.partial" "$url" \
        >"$root.log" 2>&1 ||
        fail "debootstrap failed, see $root.log: $(tail -n 1 "$root.log")"
    mv "$root.partial" "$root"
fi

# What the machine needs to reach its package registry, inside as outside.
for file in /etc/resolv.conf /etc/hosts /etc/ssl/certs/ca-certificates.crt \
    /etc/pip.conf /etc/uv/uv.toml; do
    if [[ -f $file ]]; then install -D -m 644 "$file" "$root$file"; fi
done
for file in pip/pip.conf uv/uv.toml; do
    source=${XDG_CONFIG_HOME:-$HOME/.config}/$file
    if [[ -f $source ]]; then install -D -m 644 "$source" "$root/root/.config/$file"; fi
done

# The tree as it is now, less what git ignores; the environment inside stays.
mkdir -p "$root/convnets"
find "$root/convnets" -mindepth 1 -maxdepth 1 ! -name .venv -exec rm -rf {} +
git ls-files -z --cached --others --exclude-standard --deduplicate |
    tar --create --null --files-from - --ignore-failed-read --warning=no-failed-read |
    tar --extract --no-same-owner --directory "$root/convnets"

# shellcheck disable=SC2016 # expanded inside
exec unshare --mount --pid --fork --kill-child --mount-proc="$root/proc" \
    env -u VIRTUAL_ENV -u PYTHON -u PYTHONPATH -u PYENV_ROOT -u UV_CACHE_DIR -u XDG_CACHE_HOME \
    -u XDG_CONFIG_HOME -u TMPDIR HOME=/root LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    chroot "$root" bash -euc '
        mount -t devpts -o newinstance,ptmxmode=0666 devpts /dev/pts
        cd /convnets
        make --no-print-directory .venv >/tmp/venv.log 2>&1 || { cat /tmp/venv.log; exit 1; }
        exec .venv/bin/python -m pytest "$@"
    ' - "$@"
