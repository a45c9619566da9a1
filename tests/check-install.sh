#!/bin/sh
# Builds the example against an installed clkv, through pkg-config, and runs it; builds and runs a program in
# C++ that uses the header.
# Usage: check-install.sh PKGCONFIG_DIR LIB_DIR SOURCE_DIR [DESTDIR]
# shellcheck disable=SC2086 # compilers and flags are lists of words
set -eu
pc=$1 libdir=$2 src=$3 destdir=${4:-}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
# Behind a DESTDIR the folders that clkv.pc names begin with it.
${SED:-sed} "s|^prefix=|&$destdir|; s|^\([a-z]*dir\)=/|\1=$destdir/|" "$destdir$pc/clkv.pc" >"$dir/clkv.pc"
PKG_CONFIG_PATH=$dir${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
export PKG_CONFIG_PATH
[ "$(pkg-config --modversion clkv)" = "$(${SED:-sed} -n 's/.*VERSION_STRING "\(.*\)"/\1/p' \
	"$src/include/clkv_version.h")" ] || { echo "clkv.pc and clkv_version.h differ"; exit 1; }
flags=$(pkg-config --cflags --libs clkv)
${CC:-cc} ${CFLAGS:-} -std=c99 -Wall -Wextra -Wpedantic -Werror "$src/examples/01_attend.c" $flags \
	-o "$dir/attend"
cat >"$dir/header.cc" <<'END'
#include <clkv.h>
#include <cstdio>

int main()
{
	clkv_geometry geometry = CLKV_INIT(clkv_geometry);
	char text[1024];
	clkv_error error;
	if (geometry.struct_size != sizeof geometry ||
	    clkv_recipe_print("f16", text, sizeof text, &error) != CLKV_OK)
		return 1;
	std::printf("C++: clkv %s, %s\n", clkv_version(), text);
	return 0;
}
END
${CXX:-c++} ${CFLAGS:-} -Wall -Wextra -Wpedantic -Werror "$dir/header.cc" $flags -o "$dir/header"
LD_LIBRARY_PATH=$destdir$libdir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
"$dir/header"
status=0
"$dir/attend" || status=$?
[ $status = 77 ] && { echo "SKIPPED: no OpenCL device to run the example on"; exit 0; }
exit $status
