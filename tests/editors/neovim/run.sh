#!/usr/bin/env bash
# The stories of this folder in Neovim 0.11 and 0.12, each in a process of its own. COWRITE_BIN names the server.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
clients=$(realpath -m "${COWRITE_CLIENTS:-$root/target/clients}")
export COWRITE_BIN=${COWRITE_BIN:-${CARGO_TARGET_DIR:-$root/target}/release/cowrite}
export COWRITE_HARNESS=$here/harness.lua

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export TMPDIR=$scratch XDG_STATE_HOME=$scratch XDG_CACHE_HOME=$scratch

failed=0
for nvim in nvim11 nvim12; do
  export NVIM_UNDER_TEST=$clients/bin/$nvim
  for story in edit cancel answer insert range session context review approve save diagnostics; do
    if timeout 60 "$NVIM_UNDER_TEST" --clean --headless -S "$here/$story.lua" </dev/null >"$scratch/out" 2>&1; then
      echo "ok $nvim $story"
    else
      echo "FAILED $nvim $story"
      cat "$scratch/out"
      failed=1
    fi
  done
done
exit $failed
