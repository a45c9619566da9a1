#!/usr/bin/env bash
# Builds clkv in build/ beside the sources. Arguments go to configure.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x configure ] || ./autogen.sh >/dev/null
mkdir -p build
cd build
if [ ! -f config.status ] || [ $# != 0 ]; then
	../configure --quiet "$@"
fi
make -s -j"$(nproc)"
