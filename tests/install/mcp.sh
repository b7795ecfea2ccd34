#!/usr/bin/env bash
# The reference server of the Model Context Protocol, which knows every part of it.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

pin="@modelcontextprotocol/server-everything@2026.8.31"
folder=$clients/mcp

version() { sed -n 's/^ *"version": "\(.*\)",$/\1/p' "$folder/node_modules/@modelcontextprotocol/server-everything/package.json"; }

if ! present mcp "$pin" || [ ! -x "$clients/bin/mcp-everything" ]; then
  command -v npm >/dev/null || missing server-everything "needs npm"
  rm -rf "$folder"
  mkdir -p "$folder"
  cd "$folder"
  echo '{ "name": "clients", "private": true }' >package.json
  npm install --no-audit --no-fund --no-update-notifier --loglevel=error --ignore-scripts --omit=dev --save-exact "$pin" ||
    missing server-everything "the package could not be fetched"
  launcher mcp-everything "$(command -v node) $folder/node_modules/@modelcontextprotocol/server-everything/dist/index.js"
  installed mcp "$pin"
fi
report server-everything 2026.8.31 "$(version)"
