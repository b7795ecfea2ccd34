# What the install scripts share; sourced, never run. Everything goes under target/clients, or the folder that
# COWRITE_CLIENTS names, with one launcher for each program in its bin/.
#
# A script that cannot get its program says so and exits with 75; tests/run then skips what needs it, and fails in CI.

set -euo pipefail
install_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
clients=$(realpath -m "${COWRITE_CLIENTS:-$install_root/target/clients}")
mkdir -p "$clients/bin"

# missing PROGRAM REASON: ends the script.
missing() {
  echo "missing: $1: $2" >&2
  exit 75
}

# present NAME PIN: whether this very pin of NAME was put here before.
present() {
  [ "$(cat "$clients/.$1.pin" 2>/dev/null)" = "$2" ]
}

# installed NAME PIN: remembers it, as the last act.
installed() {
  echo "$2" >"$clients/.$1.pin"
}

# report NAME WANTED FOUND: prints the version. Debian's testing suite moves on; another version than the one that the
# tests were written against is worth a line and no failure.
report() {
  echo "$1 $3"
  [ "$2" = "$3" ] || echo "drift: $1 is $3, the tests were written against $2"
}

# launcher NAME COMMAND [VAR=VALUE]...: writes bin/NAME.
launcher() {
  local name=$1 command=$2
  shift 2
  printf '#!/bin/sh\n%s exec %s "$@"\n' "$*" "$command" >"$clients/bin/$name"
  chmod +x "$clients/bin/$name"
}

# unpack FOLDER PACKAGE...: newer Debian packages, unpacked into FOLDER and not installed. They bring their own libc, so
# `loader FOLDER` has to start their programs.
unpack() {
  local folder=$1 apt=$clients/apt uri
  shift
  command -v dpkg >/dev/null || missing "$*" "needs Debian's package tools"
  mkdir -p "$apt"/{lists/partial,cache/archives/partial}
  uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -E '/debian/?$' | head -n 1)
  [ -n "$uri" ] || missing "$*" "no Debian archive among apt's sources"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri forky main" >"$apt/sources.list"
  local get=(apt-get -qq -o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root)
  # The lists serve all scripts of one set-up; old ones name packages that the archive no longer has.
  if [ -z "$(find "$apt/updated" -mmin -60 2>/dev/null)" ]; then
    "${get[@]}" update || missing "$*" "the package lists could not be fetched"
    touch "$apt/updated"
  fi
  rm -rf "$folder"
  mkdir -p "$folder/debs"
  (cd "$folder/debs" && "${get[@]}" download "$@") || missing "$*" "the packages could not be fetched"
  local deb
  for deb in "$folder"/debs/*.deb; do dpkg -x "$deb" "$folder"; done
  rm -r "$folder/debs"
}

# loader FOLDER: what to put before a program of FOLDER.
loader() {
  local lib=$1/usr/lib/x86_64-linux-gnu
  echo "$lib/ld-linux-x86-64.so.2 --library-path $lib:$lib/llama"
}

# wheel FOLDER NAME==VERSION: a Python package without its dependencies, in an environment of its own.
wheel() {
  command -v python3 >/dev/null || missing "$2" "needs python3"
  [ -x "$1/bin/pip" ] || python3 -m venv "$1" || missing "$2" "python3 has no venv"
  "$1/bin/pip" install -q --disable-pip-version-check --no-deps "$2" || missing "$2" "the package could not be fetched"
}
