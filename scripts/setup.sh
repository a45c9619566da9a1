#!/usr/bin/env bash
# Installs what clkv needs on Debian and what is not there yet. Needs root only if something is missing.
#
#   scripts/setup.sh             to build, test and run the main job
#   scripts/setup.sh --python    a virtual environment for the Python package and its tests (doc/python.md), from PyPI, in
#                                CLKV_PYTHON (default ~/.cache/clkv-python)
#   scripts/setup.sh --kvpress   beside that environment one with kvpress and the newest Transformers that it takes
#   scripts/setup.sh --mpi       MPI, for `make check-mpi` (examples/04_mpi_decode.c); configure looks for it, so before that
#   scripts/setup.sh --fuzzing   clang and its libFuzzer, for configure --enable-fuzzing (doc/testing.md)
#   scripts/setup.sh --vendors   what `make check-full` and `make check-valgrind` take beside that, most of it for the
#                                vendor matrix (doc/vendors.md): none of it is needed, so what can't be had is a
#                                word, and its line of the matrix is skipped
set -euo pipefail
packages=(
	gcc g++ make autoconf automake libtool pkg-config          # build
	ocl-icd-opencl-dev opencl-headers libclblast-dev libpcre2-dev liblapacke-dev libhiredis-dev libmd-dev
	check pocl-opencl-icd redis-server stunnel4 openssl         # tests
	gnuplot-nox python3-pip python3-venv unzip ca-certificates  # plots, the test model, llama.cpp
)
vendor_packages=(
	oclgrind                                                    # races
	python3-venv                                                # Intel's runtime for CPUs, from PyPI
	clang-19 lld-19 rocm-device-libs                            # AMD
	libclc-15                                                   # NVIDIA, with ptxas; conflicts with other libclc-N
	clang-15 llvm-spirv-15 spirv-tools                          # SPIR-V
	intel-opencl-icd                                            # Intel GPUs
	valgrind                                                    # make check-valgrind
)

python_packages=(cffi numpy pytest)
transformers_packages=(transformers==5.24.0 filelock 'sympy>=1.13.3' networkx jinja2 fsspec psutil 'gguf>=0.17' matplotlib)
torch_packages=(torch==2.15.0 accelerate)
oldest_transformers=transformers==4.57.6
# kvpress asks for all of peft and for an older pandas, and uses neither where presses are applied
kvpress_packages=('transformers>=5.2,<5.3' datasets 'cachetools>=5.5.2,<6' 'fire<0.7' requests)
kvpress=kvpress==0.5.5
mpi_packages=(openmpi-bin libopenmpi-dev)
fuzzing_packages=(clang-14 libclang-rt-14-dev)

missing_of() { # PACKAGE...
	missing=()
	for p in "$@"; do
		dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing+=("$p")
	done
}

install() { # PACKAGE...
	local as_root=()
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || { echo "setup.sh: root must install: $*" >&2; return 1; }
		as_root=(sudo)
	fi
	echo "setup.sh: installing $*"
	export DEBIAN_FRONTEND=noninteractive
	[ -n "${updated:-}" ] || "${as_root[@]}" apt-get update -qq || return 1
	updated=1
	"${as_root[@]}" apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

install_python() {
	local cache=${CLKV_PYTHON:-${XDG_CACHE_HOME:-$HOME/.cache}/clkv-python}
	local python=$cache/venv/bin/python
	mkdir -p "$cache"
	exec 9>"$cache/lock" # another run may be installing
	flock 9
	[ -x "$python" ] || python3 -m venv "$cache/venv" || return 1
	"$python" -c 'import cffi, numpy, pytest' 2>/dev/null || {
		echo "setup.sh: installing Python packages in $cache"
		"$python" -m pip install --quiet "${python_packages[@]}" || return 1
	}
	"$python" -c 'import pyopencl' 2>/dev/null || "$python" -m pip install --quiet pyopencl ||
		echo "setup.sh: no pyopencl here: its tests are skipped" >&2
	install_transformers "$cache" || echo "setup.sh: no torch or Transformers here: their tests are skipped" >&2
}

# torch's wheel for Linux brings several GB of GPU libraries as its dependencies; tests do with empty ones.
install_transformers() { # CACHE
	local python=$1/venv/bin/python
	"$python" -c 'import torch, transformers, accelerate, gguf, matplotlib' 2>/dev/null || {
		echo "setup.sh: installing torch and Transformers in $1 (2 GB)"
		"$python" -m pip install --quiet "${transformers_packages[@]}" || return 1
		"$python" -m pip install --quiet --no-deps "${torch_packages[@]}" || return 1
		"$(dirname "$0")/torch-stubs.py" "$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/torch/lib" || return 1
	}
	[ -d "$1/transformers-oldest" ] && return
	"$python" -m pip install --quiet --target "$1/part" --upgrade "$oldest_transformers" 2>/dev/null || return 0
	mv "$1/part" "$1/transformers-oldest"
}

# On top of the other environment, whose packages it sees behind its own.
install_kvpress() {
	local cache=${CLKV_PYTHON:-${XDG_CACHE_HOME:-$HOME/.cache}/clkv-python} below
	local pip
	install_python || return 1
	[ ! -d "$cache/kvpress" ] || return 0
	echo "setup.sh: installing kvpress in $cache (400 MB)"
	rm -rf "$cache/kvpress.part"
	python3 -m venv --without-pip "$cache/kvpress.part" || return 1
	below=$("$cache/kvpress.part/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
	"$cache/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' >"$below/below.pth"
	pip=("$cache/venv/bin/python" -m pip --python "$cache/kvpress.part/bin/python" install --quiet)
	"${pip[@]}" "${kvpress_packages[@]}" || return 1
	"${pip[@]}" --no-deps "$kvpress" || return 1
	mv "$cache/kvpress.part" "$cache/kvpress"
}

if [ "${1:-}" = --python ]; then
	install_python
	exit
fi
if [ "${1:-}" = --kvpress ]; then
	install_kvpress || echo "setup.sh: no kvpress here: its lines and tests are skipped" >&2
	exit
fi
if [ "${1:-}" = --mpi ]; then
	missing_of "${mpi_packages[@]}"
	[ ${#missing[@]} = 0 ] || install "${missing[@]}" || echo "setup.sh: no MPI here: make check-mpi is skipped" >&2
	exit
fi
if [ "${1:-}" != --vendors ]; then
	[ "${1:-}" != --fuzzing ] || packages+=("${fuzzing_packages[@]}")
	missing_of "${packages[@]}"
	[ ${#missing[@]} = 0 ] || install "${missing[@]}"
	exit
fi
missing_of "${vendor_packages[@]}"
[ ${#missing[@]} != 0 ] || exit 0
# All at once is quicker; one by one, what can be had comes although another can't.
install "${missing[@]}" && exit
for p in "${missing[@]}"; do
	install "$p" || echo "setup.sh: no $p here: the lines of the matrix that need it are skipped" >&2
done
