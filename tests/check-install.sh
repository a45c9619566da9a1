#!/bin/sh
# Builds the examples against an installed clkv, through pkg-config, and runs them; builds and runs a program in
# C++ that uses the header; builds and runs an example through CMake, where that is there; follows the links of the
# installed pages.
# Usage: check-install.sh PKGCONFIG_DIR LIB_DIR SOURCE_DIR DOC_DIR [DESTDIR]
# shellcheck disable=SC2086 # compilers and flags are lists of words
set -eu
pc=$1 libdir=$2 src=$3 docdir=$4 destdir=${5:-}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
# Behind a DESTDIR the folders that clkv.pc names begin with it.
${SED:-sed} "s|^prefix=|&$destdir|; s|^\([a-z]*dir\)=/|\1=$destdir/|" "$destdir$pc/clkv.pc" >"$dir/clkv.pc"
PKG_CONFIG_PATH=$dir${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}
export PKG_CONFIG_PATH
[ "$(pkg-config --modversion clkv)" = "$(${SED:-sed} -n 's/.*VERSION_STRING "\(.*\)"/\1/p' \
	"$src/include/clkv/version.h")" ] || { echo "clkv.pc and clkv/version.h differ"; exit 1; }
flags=$(pkg-config --cflags --libs clkv)
# each header stands by itself
for header in "$(pkg-config --variable=includedir clkv)"/clkv/*.h; do
	printf '#include "%s"\nint main(void) { return 0; }\n' "$header" >"$dir/header.c"
	${CC:-cc} ${CFLAGS:-} -std=c99 -Wall -Wextra -Wpedantic -Werror $(pkg-config --cflags clkv) -fsyntax-only "$dir/header.c"
done
examples=$destdir$docdir/examples
for example in 01_attend 02_sequences 03_events; do
	${CC:-cc} ${CFLAGS:-} -std=c99 -Wall -Wextra -Wpedantic -Werror "$examples/$example.c" $flags -lm \
		-o "$dir/$example"
done
sh "$src/tests/check-links.sh" "$destdir$docdir"
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

# VERSION: whether CMake takes what is installed for it
cmake_finds()
{
	mkdir -p "$dir/cmake"
	cat >"$dir/cmake/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.7)
project(attend C)
find_package(clkv $1 REQUIRED CONFIG)
add_executable(attend "$(cd "$examples" && pwd)/01_attend.c")
target_link_libraries(attend clkv::clkv)
END
	rm -rf "$dir/cmake/build"
	mkdir "$dir/cmake/build"
	(cd "$dir/cmake/build" && cmake -DCMAKE_C_COMPILER="${CC:-cc}" -DCMAKE_C_FLAGS="${CFLAGS:-}" \
		-Dclkv_DIR="$destdir$libdir/cmake/clkv" .. >log 2>&1)
}
if ! command -v cmake >/dev/null; then
	echo "no cmake here: its package was not tried"
elif [ "$(set -- ${CC:-cc}; echo $#)" != 1 ]; then
	echo "CC is more than a command: CMake's package was not tried"
else
	for version in 0.0.9 0.2 1.0; do
		! cmake_finds $version || { echo "CMake took this version for $version"; exit 1; }
	done
	cmake_finds 0.1 || { cat "$dir/cmake/build/log"; exit 1; }
	cmake --build "$dir/cmake/build" >"$dir/log" 2>&1 || { cat "$dir/log"; exit 1; }
	mv "$dir/cmake/build/attend" "$dir/01_attend_cmake"
fi

for example in "$dir"/0*; do
	status=0
	"$example" || status=$?
	[ $status != 77 ] || { echo "SKIPPED: no OpenCL device to run the examples on"; exit 0; }
	[ $status = 0 ] || exit $status
done
