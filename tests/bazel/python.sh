#!/bin/sh
# The interpreter of Bazel's targets: .venv's, wherever Bazel has linked this file.
exec "$(dirname "$(readlink -f "$0")")/../../.venv/bin/python" "$@"
