#!/usr/bin/env bash
# Builds clkv in build/ beside the sources. Arguments go to configure.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x configure ] || ./autogen.sh >/dev/null
mkdir -p build
cd build
[ -f config.status ] && [ $# = 0 ] || ../configure --quiet "$@"
make -s -j"$(nproc)"
