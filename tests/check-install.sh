#!/bin/sh
# Builds the examples against an installed clkv, through pkg-config, in C and in C++, and runs one.
# Usage: check-install.sh PREFIX_PKGCONFIG_DIR LIBDIR SRCDIR
set -eu
pc=$1 libdir=$2 src=$3
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
PKG_CONFIG_PATH=$pc${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
export PKG_CONFIG_PATH
flags=$(pkg-config --cflags --libs clkv)
${CC:-cc} -std=c99 -Wall -Wextra -Wpedantic -Werror "$src/examples/01_attend.c" $flags -lm -o "$dir/attend"
cat >"$dir/header.cc" <<'END'
#include <clkv.h>
int main()
{
	clkv_geometry g = CLKV_INIT(clkv_geometry);
	return clkv_status_string(CLKV_OK) == nullptr || g.struct_size != sizeof g;
}
END
${CXX:-c++} -Wall -Wextra -Wpedantic -Werror "$dir/header.cc" $flags -o "$dir/header"
LD_LIBRARY_PATH=$libdir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
"$dir/header"
status=0
"$dir/attend" || status=$?
[ $status = 77 ] && { echo "SKIPPED: no OpenCL device to run the example on"; exit 0; }
exit $status
