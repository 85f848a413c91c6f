#!/bin/sh
# Brings the ONNX Runtime shared library into the user's data folder, where
# darkroom looks for it, and prints its path. A second run finds it there and
# does nothing.
#
#   deploy/onnxruntime.sh          the GPU build where nvidia-smi answers, else the CPU build
#   deploy/onnxruntime.sh cpu      the CPU build
#   deploy/onnxruntime.sh gpu      the GPU build (Linux on x86-64; CUDA 13 and cuDNN 9)
#
# It comes through the package client that is there: pip (the wheel is a zip
# file that holds the library; Python's version doesn't matter), else npm, else
# the release archive through curl or wget. Versions and digests are pinned.
# Set DARKROOM_ONNXRUNTIME to a library of your own and nothing is fetched.
set -eu

say() { echo "onnxruntime.sh: $*" >&2; }
fail() { say "$@"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

pip_cpu=1.32.0 pip_gpu=1.31.1 npm_cpu=1.30.0 release=1.30.0

digest() { # of what a channel brings: channel, build, system
	case "$1 $2 $3" in
	"pip cpu linux-x86_64") echo 99e1074c4b2197accd5073052a465361be17b89c093b8ffb6e6bd8f986c52df8 ;;
	"pip cpu linux-aarch64") echo e36c187006e7a7c8b8d6d57f1a209dd63f52430dca6c282b177718ad6b841054 ;;
	"pip cpu darwin-arm64") echo d52510bbbcc880c13b826f7d75cdf33ac5cf0bb864d960000fc29ce73f0cb83e ;;
	"pip gpu linux-x86_64") echo 05d548956197b9d01f59b625de740e0d6be3593f874e241a12dc0362650ecdf7 ;;
	"npm cpu linux-x86_64" | "npm cpu linux-aarch64" | "npm cpu darwin-arm64")
		echo 6e3390d6b783e7be946fad629292799da28d0b42f84856e50d2c1b0383291e75 ;;
	"release cpu linux-x86_64") echo a5ed5a3cac51fbb2e90da632ae43d19212faaa20e76484e62bcb7c23ddb3b3fd ;;
	"release cpu linux-aarch64") echo e16a27a8ed330bbc698df7330b0cf56e722f354e3bcc92118682c74ef3c3e3da ;;
	"release cpu darwin-arm64") echo 6ebb5062a934537c352937821f9fe9718e7de1a2db1122a93dd363ffd53a7012 ;;
	"release gpu linux-x86_64") echo 382d79133112388cf94ce5855789b7c9bef12bef76a08b6b277e5a317213adcd ;;
	esac
}

version() { # the folder's name: channel, build
	case "$1 $2" in
	"pip cpu") echo $pip_cpu ;;
	"pip gpu") echo $pip_gpu-gpu ;;
	"npm cpu") echo $npm_cpu ;;
	"release cpu") echo $release ;;
	"release gpu") echo $release-gpu ;;
	esac
}

library() { # the library in a folder, or nothing
	for file in "$1"/libonnxruntime.so.* "$1"/libonnxruntime.*.dylib; do
		[ -f "$file" ] && echo "$file" && return
	done
	return 0
}

sha256() {
	if have sha256sum; then sha256sum "$1"
	elif have shasum; then shasum -a 256 "$1"
	else openssl dgst -r -sha256 "$1"; fi | cut -d' ' -f1
}

python() {
	if have python3; then python3 "$@"; else command python "$@"; fi
}

pip() {
	if python -m pip --version >/dev/null 2>&1; then python -m pip "$@"
	elif have pip3; then command pip3 "$@"
	else command pip "$@"; fi
}

# Each channel puts one archive into the current folder.
from_pip() { # build
	pip --version >/dev/null 2>&1 || return 1
	{ python -c '' 2>/dev/null || have unzip; } || return 1
	case $system in
	linux-x86_64) set -- "$1" manylinux_2_28_x86_64 ;;
	linux-aarch64) set -- "$1" manylinux_2_28_aarch64 ;;
	darwin-arm64) set -- "$1" macosx_14_0_arm64 ;;
	esac
	package=onnxruntime==$pip_cpu
	[ "$1" = gpu ] && package=onnxruntime-gpu==$pip_gpu
	say "fetching $package with pip"
	pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
		--implementation cp --python-version 3.12 --abi cp312 --platform "$2" --dest . "$package" >&2
}

from_npm() { # build
	[ "$1" = cpu ] && have npm || return 1
	say "fetching onnxruntime-node $npm_cpu with npm"
	npm pack --silent "onnxruntime-node@$npm_cpu" >/dev/null
}

from_release() { # build
	case "$1 $system" in
	"cpu linux-x86_64") set -- linux-x64 ;;
	"cpu linux-aarch64") set -- linux-aarch64 ;;
	"cpu darwin-arm64") set -- osx-arm64 ;;
	"gpu linux-x86_64") set -- linux-x64-gpu_cuda13 ;;
	esac
	url=https://github.com/microsoft/onnxruntime/releases/download/v$release/onnxruntime-$1-$release.tgz
	if have curl; then
		say "fetching $url"
		curl --fail --silent --show-error --location --retry 2 --output release.tgz "$url"
	elif have wget; then
		say "fetching $url"
		wget --quiet --output-document=release.tgz "$url"
	else
		return 1
	fi
}

# unpack puts the libraries of the archive in the current folder into lib/.
unpack() { # archive
	mkdir lib
	case $1 in
	*.whl)
		if python -c '' 2>/dev/null; then
			python - "$1" <<-'END' || return 1
				import os, shutil, sys, zipfile
				wheel = zipfile.ZipFile(sys.argv[1])
				for name in wheel.namelist():
				    base = os.path.basename(name)
				    if base.startswith("libonnxruntime"):
				        with wheel.open(name) as source, open("lib/" + base, "wb") as target:
				            shutil.copyfileobj(source, target)
			END
		else
			unzip -q -j "$1" 'onnxruntime/capi/libonnxruntime*' -d lib || return 1
		fi
		;;
	*)
		tar -xzf "$1" || return 1
		case $system in
		linux-x86_64) bin=linux/x64 ;;
		linux-aarch64) bin=linux/arm64 ;;
		darwin-arm64) bin=darwin/arm64 ;;
		esac
		for file in package/bin/napi-*/$bin/libonnxruntime* onnxruntime-*/lib/libonnxruntime*; do
			case $file in *_static* | *.a) continue ;; esac
			# The release holds links to the library beside it: one name is enough.
			[ -f "$file" ] && [ ! -L "$file" ] && mv "$file" lib/
		done
		;;
	esac
	[ -n "$(library lib)" ]
}

# bring runs as a condition, where set -e means nothing: each step says what
# its failure leads to. A channel that fails gives way to the next.
bring() { # channel, build
	version=$(version "$1" "$2")
	want=$(digest "$1" "$2" "$system")
	[ -n "$version" ] && [ -n "$want" ] || return 1
	rm -rf "$temporary" && mkdir "$temporary" && cd "$temporary"
	"from_$1" "$2" || return 1
	archive=$(ls)
	got=$(sha256 "$archive")
	[ "$got" = "$want" ] || fail "$archive has the SHA-256 $got, but $want is pinned: it was not installed"
	unpack "$archive" || fail "$archive could not be unpacked, or holds no libonnxruntime"

	# One by one, the runtime itself last: whoever finds it finds all of it, and
	# two runs at a time don't hurt each other.
	mkdir -p "$folder/$version"
	core=$(library lib)
	for file in lib/*; do
		[ "$file" = "$core" ] || mv -f "$file" "$folder/$version/" || return 1
	done
	mv -f "$core" "$folder/$version/" || return 1
	library "$folder/$version"
}

if [ -n "${DARKROOM_ONNXRUNTIME:-}" ]; then
	[ -f "$DARKROOM_ONNXRUNTIME" ] || fail "DARKROOM_ONNXRUNTIME=$DARKROOM_ONNXRUNTIME: there is no such file"
	echo "$DARKROOM_ONNXRUNTIME"
	exit
fi

os=$(uname -s | tr '[:upper:]' '[:lower:]') machine=$(uname -m)
case $machine in amd64) machine=x86_64 ;; esac
case "$os-$machine" in linux-arm64) machine=aarch64 ;; esac
system=$os-$machine
case $system in
linux-x86_64 | linux-aarch64 | darwin-arm64) ;;
*) fail "no build of ONNX Runtime is known for $system: bring a library of your own and name it in DARKROOM_ONNXRUNTIME" ;;
esac
if [ "$os" = linux ] && ldd --version 2>&1 | grep -qi musl; then
	fail "this system's C library is musl, and every build of ONNX Runtime needs glibc 2.28 or newer"
fi

case ${1:-} in
cpu) builds=cpu ;;
gpu)
	[ "$system" = linux-x86_64 ] || fail "there is no GPU build for $system"
	builds=gpu
	;;
"")
	builds=cpu
	if [ "$system" = linux-x86_64 ] && nvidia-smi >/dev/null 2>&1; then builds="gpu cpu"; fi
	;;
*) fail "unknown build \"$1\": say cpu or gpu, or nothing" ;;
esac

folder=${XDG_DATA_HOME:-$HOME/.local/share}/darkroom/onnxruntime
mkdir -p "$folder" || fail "can't write to $folder: set XDG_DATA_HOME to a folder that can be written"
temporary=$folder/.fetch-$$
trap 'rm -rf "$temporary"' EXIT
trap 'exit 130' INT TERM

for build in $builds; do
	for channel in pip npm release; do
		version=$(version $channel "$build")
		[ -n "$version" ] || continue
		found=$(library "$folder/$version")
		[ -n "$found" ] && echo "$found" && exit
	done
	for channel in pip npm release; do
		if path=$(bring $channel "$build"); then
			[ "$build" = gpu ] && say "the GPU build wants CUDA 13 and cuDNN 9 on the library path; without them darkroom uses the CPU"
			echo "$path"
			exit
		fi
	done
done
fail "could not fetch ONNX Runtime: install pip, npm, curl or wget and look at the messages above, or name a library of your own in DARKROOM_ONNXRUNTIME"
