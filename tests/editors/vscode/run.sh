#!/usr/bin/env bash
# Real VS Code (code-server in Chromium) with the packed extension. COWRITE_BIN names the server. Screenshots are kept under
# target/screens.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
clients=$(realpath -m "${COWRITE_CLIENTS:-$root/target/clients}")
bin=${COWRITE_BIN:-${CARGO_TARGET_DIR:-$root/target}/release/cowrite}
mkdir -p "$root/target/screens"

# The package, as its users build it. What the lock file names is fetched once.
(
  cd "$root/editors/vscode"
  if ! cmp -s package-lock.json node_modules/.lock; then
    npm ci --no-update-notifier --loglevel=error
    cp package-lock.json node_modules/.lock
  fi
  npm run --silent package >/dev/null 2>"$root/target/vscode-package.log" || {
    cat "$root/target/vscode-package.log"
    exit 1
  }
)
size=$(stat -c %s "$root/editors/vscode/dist/cowrite.vsix")
echo "ok vscode packs $((size / 1024)) KiB"
[ "$size" -lt 1000000 ] || { echo "FAILED vscode: the package is larger than 1 MB"; exit 1; }

scratch=$(mktemp -d)
server=
cleanup() {
  # code-server has children; they share the group that setsid gave it.
  [ -z "$server" ] || kill -TERM -- "-$server" 2>/dev/null || true
  [ -z "$server" ] || wait "$server" 2>/dev/null || true
  rm -rf "$scratch"
}
trap cleanup EXIT

mkdir -p "$scratch"/{data/User,data/Machine,state,project/.git}
cp "$here/conversation.json" "$scratch/conversation.json"
cat >"$scratch/cowrite.toml" <<END
model = "scripted/test"
[providers.scripted]
kind = "script"
path = "$scratch/conversation.json"
END
# A setting that only the machine may hold is read from there when the workbench is in a browser.
echo "{ \"cowrite.server.path\": \"$bin\" }" >"$scratch/data/Machine/settings.json"
cat >"$scratch/data/User/settings.json" <<END
{
  "security.workspace.trust.enabled": false,
  "telemetry.telemetryLevel": "off",
  "workbench.startupEditor": "none",
  "workbench.secondarySideBar.defaultVisibility": "hidden",
  "workbench.colorTheme": "Default Light Modern",
  "window.restoreWindows": "none",
  "files.autoSave": "off",
  "extensions.ignoreRecommendations": true,
  "chat.disableAIFeatures": true
}
END
# A key that runs in the mode `ask`, as the extension's README has it.
cat >"$scratch/data/User/keybindings.json" <<'END'
[{ "key": "ctrl+alt+r", "command": "cowrite.run", "args": { "prompt": "other flowers", "mode": "ask" } }]
END
printf 'roses are red\nviolets are blue\n' >"$scratch/project/poem.txt"
printf '{ "roses": red }\n' >"$scratch/project/broken.json"

export COWRITE_CONFIG=$scratch/cowrite.toml COWRITE_STATE_DIR=$scratch/state XDG_CONFIG_HOME=$scratch XDG_DATA_HOME=$scratch
folders=(--user-data-dir "$scratch/data" --extensions-dir "$scratch/extensions")
"$clients/bin/code-server" "${folders[@]}" --install-extension "$root/editors/vscode/dist/cowrite.vsix" >"$scratch/install.log" 2>&1 || {
  cat "$scratch/install.log"
  exit 1
}

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
setsid "$clients/bin/code-server" "${folders[@]}" --bind-addr "127.0.0.1:$port" --auth none --disable-telemetry \
  --disable-update-check --disable-workspace-trust "$scratch/project" >"$scratch/server.log" 2>&1 &
server=$!

# The driver resolves playwright-core beside the clients.
ln -s "$clients/vscode/node_modules" "$scratch/node_modules"
cp "$here/drive.mjs" "$scratch/drive.mjs"
SCREENS=$root/target/screens PROJECT=$scratch/project SETTINGS=$scratch/data/Machine/settings.json \
  URL="http://127.0.0.1:$port/?folder=$scratch/project" CHROMIUM=$(command -v chromium) \
  timeout 180 node "$scratch/drive.mjs" || {
  status=$?
  tail -n 20 "$scratch/server.log"
  find "$scratch/data" -name '*Cowrite*.log' -exec tail -n 40 {} +
  exit "$status"
}
