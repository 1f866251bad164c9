#!/bin/sh
# Packs what measure.sh needs on a machine with a GPU and no network: `sh prepare.sh FOLDER` (README.md). Needs a network here, and a Python
# ($PYTHON) in which models/export is installed; $PORTABLE is gst-portable.tar.xz, $FATTHIN fatthin.py (shared/tools).
set -eu
to=$1 python=${PYTHON:-python3}
mkdir -p "$to"
to=$(cd "$to" && pwd)
cd "$(dirname "$0")/../../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
pack() { tar c -C "$2" --sort=name --mtime=@0 --owner=0 --group=0 $3 | xz -T2 -9 >"$to/$1.tar.xz"; }

cargo bench --locked -p gst-plugin-listen --bench gpu --no-run
program=$(find target/release/deps -maxdepth 1 -name 'gpu-*' -perm -u+x -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2)
strip -o "$work/gpu" "$program"
pack program "$work" gpu
cp "${PORTABLE:-../shared/tools/gst-portable.tar.xz}" "$to/"

"$python" examples/bench/gpu/make.py "$work/models" ${SIZE:-}
pack packages "$work/models" "vit vit-pooled"

[ "${PROVIDER:-cuda}" = cpu ] || {
  # The version that the GPU machine's Python has: its libonnxruntime and this provider must be of one build.
  version=${ORT:-1.30.0}
  "$python" -m pip download -q --no-deps --only-binary=:all: --python-version 3.12 --platform manylinux_2_28_x86_64 \
    --platform manylinux_2_27_x86_64 -d "$work/wheel" "onnxruntime-gpu==$version"
  "$python" -m zipfile -e "$work"/wheel/*.whl "$work/wheel"
  capi=$work/wheel/onnxruntime/capi
  mkdir "$work/ort"
  cp "$capi"/libonnxruntime.so.1* "$capi/libonnxruntime_providers_shared.so" "$work/ort/"
  pack onnxruntime "$work" ort
  "$python" "${FATTHIN:-../shared/tools/fatthin.py}" "$capi/libonnxruntime_providers_cuda.so" "$work/libonnxruntime_providers_cuda.so" 90
  xz -9e -c "$work/libonnxruntime_providers_cuda.so" >"$to/libonnxruntime_providers_cuda.so.xz"
}
du -ab "$to" | sort -n >&2
