#!/bin/sh
# Measures what prepare.sh packed, on a machine with a GPU and no network: `sh measure.sh FOLDER_OF_PREPARE OUT`. README.md tells how.
# A quick try on a CPU: PROVIDER=cpu BATCHES=1,2 ELEMENTS=1,2 WORKERS=1 SECONDS_EACH=1 EXITS=3 PEAK=512 sh measure.sh …
set -u
from=$(cd "$1" && pwd) out=$2
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-python3} provider=${PROVIDER:-cuda}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
lines=$out/measured.jsonl
: >"$lines"
say() { printf '%s %s\n' "$(date +%T)" "$*" >&2; }

say "unpacking"
cat "$from"/piece-* | tar x -C "$work" || exit 1
for packed in "$work"/*.tar.xz; do tar xJf "$packed" -C "$work" || exit 1; done
if [ "$provider" = cuda ]; then
  # ONNX Runtime's own libraries where they were carried, else those of the machine's Python; CUDA's are that Python's.
  site=$("$python" -c 'import os, onnxruntime; print(os.path.dirname(os.path.dirname(onnxruntime.__file__)))')
  [ -d "$work/ort" ] || { mkdir "$work/ort" && cp "$site"/onnxruntime/capi/libonnxruntime*.so* "$work/ort/"; }
  xz -dc "$work/libonnxruntime_providers_cuda.so.xz" >"$work/ort/libonnxruntime_providers_cuda.so" || exit 1
  cuda=$(find "$site/nvidia" -name lib -type d | paste -sd: -)
  GST_LISTEN_ONNXRUNTIME=$(find "$work/ort" -name 'libonnxruntime.so.*' | head -n 1)
  export GST_LISTEN_ONNXRUNTIME CUDA_MODULE_LOADING=LAZY
  nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm --format=csv,noheader >&2
fi
gst=$work/gst
# Not exported: the machine's own Python must not see these libraries.
gpu() {
  env LD_LIBRARY_PATH="$gst/lib:${cuda:-}:${LD_LIBRARY_PATH:-}" GST_PLUGIN_SYSTEM_PATH_1_0="$gst/plugins" GST_PLUGIN_PATH_1_0="" \
    GST_PLUGIN_SCANNER_1_0="$gst/bin/gst-plugin-scanner" GST_REGISTRY="$work/registry.bin" "$work/gpu" "$@"
}

say "the card's own peak"
"$python" "$here/peak.py" "${PEAK:-8192}" >>"$lines"
for package in vit vit-pooled; do
  for precision in fp32 fp16; do
    say "$package $precision: beside the CPU"
    gpu agree "$provider" "$work/$package" "$precision" 8 >>"$lines"
    say "$package $precision: speed"
    gpu measure "$provider" "$work/$package" "$precision" "${BATCHES:-1,4,16,64,128}" "${ELEMENTS:-1,16,256}" "${WORKERS:-1,2}" "${SECONDS_EACH:-1}" >>"$lines"
    cp "$lines" "$out/measured.part" # what there is, if time runs out
  done
done
say "exits"
clean=0 of=${EXITS:-20} n=0
while [ $n -lt "$of" ]; do
  n=$((n + 1))
  gpu exit "$provider" "$work/vit" fp16 4 >/dev/null 2>"$out/exit-$n.txt" && clean=$((clean + 1)) && rm "$out/exit-$n.txt"
done
printf '{"what": "exits", "package": "vit", "precision": "fp16", "clean": %d, "of": %d}\n' "$clean" "$of" >>"$lines"
rm -f "$out/measured.part"
"$python" "$here/table.py" "$lines" | tee "$out/table.md"
