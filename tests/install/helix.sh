#!/usr/bin/env bash
# Helix 25.07.1 (Debian's testing suite) and tmux, which drives it.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

version() { "$clients/bin/hx" --version 2>/dev/null | sed -n 's/^helix \([^ ]*\).*/\1/p'; }

command -v tmux >/dev/null || { apt-get -qq update && apt-get -qq install -y tmux >/dev/null; } ||
  missing tmux "could not be installed with apt-get"
if ! present hx 25.07 || [ -z "$(version)" ]; then
  unpack "$clients/helix" hx libc6 libgcc-s1 libstdc++6
  launcher hx "$(loader "$clients/helix") $clients/helix/usr/lib/hx/hx" "HELIX_RUNTIME=$clients/helix/usr/lib/hx/runtime"
  installed hx 25.07
fi
report Helix 25.07.1 "$(version)"
tmux -V
