#!/usr/bin/env bash
# ripgrep 13.0.0, which the search is measured against: Debian's package. The benchmark prints the version beside its figures.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if ! command -v rg >/dev/null; then
  { apt-get -qq update && apt-get -qq install -y ripgrep >/dev/null; } || missing ripgrep "could not be installed with apt-get"
fi
report ripgrep 13.0.0 "$(rg --version | sed -n '1s/^ripgrep \([^ ]*\).*/\1/p')"
