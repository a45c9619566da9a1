#!/usr/bin/env bash
# Installs what clkv needs on Debian and what is not there yet. Needs root only if something is missing.
set -euo pipefail
packages=(
	gcc g++ make autoconf automake libtool pkg-config          # build
	ocl-icd-opencl-dev opencl-headers libclblast-dev libpcre2-dev
	check pocl-opencl-icd                                       # tests
	gnuplot-nox python3-pip unzip ca-certificates               # plots, the test model
)
missing=()
for p in "${packages[@]}"; do
	dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing+=("$p")
done
[ ${#missing[@]} = 0 ] && exit 0
as_root=()
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null || { echo "setup.sh: root must install: ${missing[*]}" >&2; exit 1; }
	as_root=(sudo)
fi
echo "setup.sh: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
