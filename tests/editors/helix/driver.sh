# Real Helix in tmux: the programs, a temporary place, and what a person does and sees. Sourced by the tests that drive it, which
# set `story`, the beginning of the names of their screens.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)

missing() {
  echo "missing: $1: $2" >&2
  exit 75
}
hx=$(realpath -m "${COWRITE_CLIENTS:-$root/target/clients}")/bin/hx
[ -x "$hx" ] || missing Helix "no $hx; run tests/install/helix.sh, or set COWRITE_CLIENTS"
command -v tmux >/dev/null || missing tmux "run tests/install/helix.sh, or install it"
command -v python3 >/dev/null || missing python3 "it plays the second language server, and reads JSON"
target=${CARGO_TARGET_DIR:-$root/target}
server=${COWRITE_BIN:-}
for built in "$target/release/cowrite" "$target/debug/cowrite"; do
  [ -n "$server" ] || [ ! -x "$built" ] || server=$built
done
[ -x "$server" ] || missing cowrite "neither COWRITE_BIN nor a binary in $target; run cargo build --release"
server=$(realpath "$server")

screens=$root/target/screens
mkdir -p "$screens"
rm -f "$screens/$story"-*.txt
place=$(mktemp -d)
export TMUX_TMPDIR=$place
unset TMUX
step="starting"
tmux() { command tmux -L helix -f /dev/null "$@"; }
finish() {
  status=$?
  if [ "$status" != 0 ]; then
    echo "FAILED: $step"
    screen 2>/dev/null | tee "$screens/$story-failed.txt" || true
    tail -n 5 "$place/helix.log" 2>/dev/null | cut -c -400 || true
  fi
  tmux kill-server 2>/dev/null || true
  rm -rf "$place"
  exit "$status"
}
trap finish EXIT
trap 'exit 1' INT TERM

# ── What the test does and sees ─────────────────────────────────────────────────────────────────────────────────────
began() {
  step=$1
  started=$(date +%s%N)
}
ended() { printf 'ok  %-70s %5d ms\n' "$step" $((($(date +%s%N) - started) / 1000000)); }
fail() {
  echo "$*" >&2
  exit 1
}
screen() { tmux capture-pane -p -t editor; }
keep() { screen >"$screens/$story-$1.txt"; }
# keys TEXT: typed as it stands. press KEY...: named keys.
keys() { tmux send-keys -t editor -l -- "$1"; }
press() { tmux send-keys -t editor "$@"; }
# An escape that is followed by another key at once is read as Alt and that key.
escape() {
  press Escape
  sleep 0.15
}
# until_true SECONDS COMMAND...
until_true() {
  local end=$(($(date +%s) + $1))
  shift
  until "$@"; do
    [ "$(date +%s)" -lt "$end" ] || return 1
    sleep 0.05
  done
}
shows() { screen | grep -qF -- "$1"; }
hides() { ! shows "$1"; }
sees() { until_true "${2:-10}" shows "$1" || fail "expected on the screen: $1"; }
loses() { until_true "${2:-10}" hides "$1" || fail "expected no longer on the screen: $1"; }
command_line() {
  keys ":$1"
  sleep 0.1
  press Enter
}
# buffer FILE: the text of the buffer, whether saved or not.
buffer() {
  keys '%'
  command_line "pipe-to cat >$1"
  until_true 5 test -s "$1" || fail "the buffer could not be read"
  sleep 0.1
  keys ';'
}
# action TITLE: chooses an entry of the menu that `space a` opens; its first entry is chosen already.
action() {
  keys ' a'
  sees "Cowrite: $1"
  local row
  row=$(screen | grep -o 'Cowrite: .*' | sed 's/[ │▌]*$//' | grep -nxF -- "Cowrite: $1" | cut -d: -f1)
  for _ in $(seq 2 "$row"); do press Down; done
  sleep 0.1
  [ -z "${2:-}" ] || keep "$2"
  press Enter
}

# ── A person's home with Cowrite set up as editors/helix says, and Helix in it ──────────────────────────────────────
# person CONVERSATION: the home, where Cowrite's model plays this file.
person() {
  mkdir -p "$place"/{home,config/helix,bin}
  cp "$root/editors/helix/languages.toml" "$root/editors/helix/config.toml" "$place/config/helix/"
  ln -s "$server" "$place/bin/cowrite"
  cp "$root/tests/editors/helix/rust-analyzer" "$place/bin/"
  cat >"$place/settings.toml" <<END
model = "scripted/test"
[providers.scripted]
kind = "script"
path = "$1"
END
  export COWRITE_CONFIG=$place/settings.toml COWRITE_STATE_DIR=$place/state
}
servers() { [ "$(pgrep -c -P "$editor" -f 'bin/(cowrite|rust-analyzer)$')" = 2 ]; }
initialized() { grep -q 'cowrite -> .*"method":"initialized"' "$place/helix.log" 2>/dev/null; }
# helix FOLDER FILE: waits for both servers, and sets `editor` and `cowrite`, the processes.
helix() {
  rm -f "$place/helix.log"
  tmux new-session -d -s editor -x 110 -y 30 "cd '$1' && exec env HOME='$place/home' XDG_CONFIG_HOME='$place/config' \
    XDG_CACHE_HOME='$place/cache' PATH='$place/bin:$PATH' TERM=tmux-256color COWRITE_CONFIG='$COWRITE_CONFIG' \
    COWRITE_STATE_DIR='$COWRITE_STATE_DIR' '$hx' -v --log '$place/helix.log' '$2'"
  editor=$(tmux display-message -p -t editor '#{pane_pid}')
  until_true 10 servers || fail "expected both servers below Helix: $(pgrep -a -P "$editor")"
  until_true 10 initialized || fail "expected Helix to know what Cowrite can do"
  cowrite=$(pgrep -P "$editor" -f 'bin/cowrite$')
}
# One that has ended and was not yet collected by its parent counts as gone.
gone() { ! grep -q '^State:[[:space:]]*[A-WY]' "/proc/$1/status" 2>/dev/null; }
# leave COMMAND: ends Helix, which should have understood all that it was sent, and its server with it.
leave() {
  if grep -E 'cowrite.*\[ERROR\]|\[ERROR\].*(cowrite|Method|malformed)' "$place/helix.log"; then fail "Helix logged errors"; fi
  command_line "$1"
  # Within a second; Helix itself may take longer.
  until_true 1 gone "$cowrite" || fail "the server outlived its conversation"
  until_true 5 gone "$editor" || fail "Helix did not end"
}
