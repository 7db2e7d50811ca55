#!/usr/bin/env bash
# Make or update a virtual environment from the lock file that fits this system.
#
#   requirements/venv.sh DIRECTORY      (PYTHON=/path/to/python chooses the interpreter)
#   requirements/venv.sh --lock         prints the lock file that fits
#
# TFX is compiled code: its wheels decide by the C library which version, and so which Python, fits.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)

fail() {
    printf 'error: %s\n' "$1" >&2
    shift
    if (($#)); then printf '  %s\n' "$@" >&2; fi
    exit 1
}

glibc=$(getconf GNU_LIBC_VERSION 2>/dev/null | awk '{print $2}') || true
[[ -n $glibc ]] || fail "this system has no GNU C library, and TFX has wheels for no other." \
    "Use a container of Debian 13 or Ubuntu 24.04."
if [[ $(printf '2.39\n%s\n' "$glibc" | sort -V | head -n 1) == 2.39 ]]; then
    lock=$here/glibc-2.39.txt
    versions=(3.13 3.12 3.11)
else
    lock=$here/glibc-2.36.txt
    versions=(3.10)
fi

if [[ ${1:?usage: requirements/venv.sh DIRECTORY | --lock} == --lock ]]; then
    echo "$lock"
    exit
fi
venv=$1

# The version of an interpreter that starts, "" of one that does not (a pyenv shim may not).
version_of() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true
}

fits() {
    local version
    version=$(version_of "$1")
    [[ -n $version && " ${versions[*]} " == *" $version "* ]]
}

candidates() {
    local version
    for version in "${versions[@]}"; do
        echo "python$version"
        compgen -G "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version.*/bin/python" | sort -rV || true
        echo "/usr/local/bin/python$version"
        uv python find --no-python-downloads "$version" 2>/dev/null || true
    done
    echo python3
}

find_python() {
    local python
    if [[ -n ${PYTHON:-} ]]; then
        fits "$PYTHON" || fail "PYTHON=$PYTHON is Python '$(version_of "$PYTHON")'." \
            "With glibc $glibc TFX needs Python ${versions[*]}."
        echo "$PYTHON"
        return
    fi
    while read -r python; do
        if fits "$python"; then
            echo "$python"
            return
        fi
    done < <(candidates)
    # uv brings an interpreter of its own where the network allows.
    if uv python install "${versions[0]}" >/dev/null 2>&1; then
        uv python find "${versions[0]}"
        return
    fi
    fail "no Python ${versions[*]} found; with glibc $glibc TFX needs one of these." \
        "Debian 13, Ubuntu 24.04:  apt-get install python3 python3-venv python3-dev g++" \
        "Others:                   pyenv install ${versions[0]}" \
        "                          or: pip install uv && uv python install ${versions[0]}" \
        "Then, if it is not on PATH: make .venv PYTHON=/path/to/python${versions[0]}"
}

if ! fits "$venv/bin/python"; then
    python=$(find_python)
    echo "Python: $("$python" -c 'import sys; print(sys.executable)'); lock file: ${lock##*/}"
    "$python" -m venv --clear "$venv" || fail "$python cannot make a virtual environment." \
        "Debian, Ubuntu: apt-get install python3-venv"
fi
python=$venv/bin/python

# pyfarmhash, which TFX 1.21 needs, has no wheel: it is compiled once.
if grep -q '^pyfarmhash==' "$lock" && ! "$python" -c 'import farmhash' 2>/dev/null; then
    header=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include") + "/Python.h")')
    if ! command -v g++ >/dev/null || [[ ! -f $header ]]; then
        fail "pyfarmhash is compiled on install: that needs g++ and $header." \
            "Debian, Ubuntu: apt-get install g++ python3-dev"
    fi
fi

if "$python" -m pip install --quiet "$(sed -n 's/^\(uv==[^ ]*\).*/\1/p' "$lock")"; then
    install=("$python" -m uv pip install --python "$python")
else
    echo "uv cannot be installed here; going on with pip." >&2
    install=("$python" -m pip install)
fi
# Else every process compiles what it imports, where Python is told to write no bytecode (as in most
# images): TensorFlow takes twice as long then.
export UV_COMPILE_BYTECODE=1
# The lock file is complete: no resolution is needed, and none may add to it.
"${install[@]}" --no-deps --requirement "$lock"
"${install[@]}" --no-deps --no-build-isolation --editable "$here/.."
