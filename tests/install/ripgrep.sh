#!/usr/bin/env bash
# ripgrep, which the search is measured against: Debian's package.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if ! command -v rg >/dev/null; then
  { apt-get -qq update && apt-get -qq install -y ripgrep >/dev/null; } || missing ripgrep "could not be installed with apt-get"
fi
rg --version | head -n 1
