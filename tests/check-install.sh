#!/bin/sh
# Builds the examples against an installed clkv, through pkg-config, and runs them; builds and runs a program in
# C++ that uses the header, and one of stores where libclkv-share was installed, with archives too if those were; builds and
# runs both through CMake, where that is there; follows the links of the installed pages.
# Usage: check-install.sh PKGCONFIG_DIR LIB_DIR SOURCE_DIR DOC_DIR [DESTDIR]
# shellcheck disable=SC2086 # compilers and flags are lists of words
set -eu
pc=$1 libdir=$2 src=$3 docdir=$4 destdir=${5:-}
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
# Behind a DESTDIR the folders that clkv.pc names begin with it.
share=
[ ! -f "$destdir$pc/clkv-share.pc" ] || share=clkv-share
for name in clkv $share; do
	${SED:-sed} "s|^prefix=|&$destdir|; s|^\([a-z]*dir\)=/|\1=$destdir/|" "$destdir$pc/$name.pc" >"$dir/$name.pc"
done
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

cat >"$dir/store.c" <<'END'
#include <clkv.h>
#include <clkv/share.h>
#include <stdio.h>

static int show(void *opaque, const clkv_share_entry *entry)
{
	++*(int *)opaque;
	return entry->bytes == 0;
}

int main(int argc, char **argv)
{
	clkv_share *share = NULL;
	clkv_error error = {0};
	int n = 0;
	if (argc != 3 || clkv_share_open(argv[2], NULL, &share, &error) != CLKV_OK ||
	    clkv_share_list(share, 1, show, &n, &error) != CLKV_OK || n != 0) {
		fprintf(stderr, "%s: %d chunks\n", error.text, n);
		return 1;
	}
	clkv_share_close(share);
	printf("stores, %s: clkv %s\n", argv[1], clkv_version());
	return 0;
}
END
# PROGRAM FLAG...: the program of stores
build_store()
{
	program=$1
	shift
	${CC:-cc} ${CFLAGS:-} -std=c99 -Wall -Wextra -Wpedantic -Werror "$dir/store.c" "$@" -o "$dir/$program"
}
archive=$destdir$libdir/libclkv-share.a
if [ -n "$share" ] && { [ ! -f "$archive" ] || [ -e "${archive%.a}.so" ]; }; then
	build_store store $(pkg-config --cflags --libs clkv-share)
	"$dir/store" shared "$dir/chunks"
fi
if [ -n "$share" ] && [ -f "$archive" ]; then
	build_store store_static $(pkg-config --static --cflags --libs clkv-share |
		${SED:-sed} 's/-lclkv\(-share\)\{0,1\}\>/-l:libclkv\1.a/g')
	if ldd "$dir/store_static" | grep libclkv; then
		echo "a program of archives needs a library of clkv"
		exit 1
	fi
	"$dir/store_static" static "$dir/chunks"
fi

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
if(${share:+1}0 AND NOT TARGET clkv::share)
  message(FATAL_ERROR "no clkv::share beside clkv::clkv")
endif()
if(TARGET clkv::share)
  add_executable(store "$dir/store.c")
  target_link_libraries(store clkv::share)
endif()
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
	[ -z "$share" ] || "$dir/cmake/build/store" CMake "$dir/chunks"
fi

for example in "$dir"/0*; do
	status=0
	"$example" || status=$?
	[ $status != 77 ] || { echo "SKIPPED: no OpenCL device to run the examples on"; exit 0; }
	[ $status = 0 ] || exit $status
done
