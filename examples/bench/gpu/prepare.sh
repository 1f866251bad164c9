#!/bin/sh
# Packs what measure.sh needs on a machine with a GPU and no network into FOLDER/piece-*: `sh prepare.sh FOLDER` (README.md tells how).
# Needs a network here, and a Python ($PYTHON) in which models/export is installed; $TOOLS holds gst-portable.tar.xz and fatthin.py.
set -eu
to=$1 python=${PYTHON:-python3}
mkdir -p "$to"
to=$(cd "$to" && pwd)
cd "$(dirname "$0")/../../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tools=${TOOLS:-../shared/tools} all=$work/all
mkdir "$all"
pack() { tar c -C "$2" $3 | xz -T2 -9 >"$all/$1.tar.xz"; }

cargo bench --locked -p gst-plugin-listen --bench gpu --no-run
program=$(find target/release/deps -maxdepth 1 -name 'gpu-*' -perm -u+x -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2)
strip -o "$work/gpu" "$program"
pack program "$work" gpu
cp "$tools/gst-portable.tar.xz" "$all/"

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
  "$python" "$tools/fatthin.py" "$capi/libonnxruntime_providers_cuda.so" "$work/libonnxruntime_providers_cuda.so" 90
  xz -9e -c "$work/libonnxruntime_providers_cuda.so" >"$all/libonnxruntime_providers_cuda.so.xz"
}
rm -f "$to"/piece-*
ls -l "$all" >&2
tar c -C "$all" . | split -d -b "${PIECE:-36}m" - "$to/piece-"
