#!/usr/bin/env bash
# Builds konpo and runs it as you are, with your sound device and your music folder. Ctrl-C ends it.
#   packaging/try.sh [--music DIR] [further options of `konpo serve`]
# Needs Rust; the few Debian packages that the build needs are installed when they are missing.
set -euo pipefail
cd "$(dirname "$0")/.."

music=""
options=()
while [ $# -gt 0 ]; do
  case "$1" in
    --music) music="${2:?--music needs a folder}"; shift 2 ;;
    --music=*) music="${1#--music=}"; shift ;;
    -h|--help) sed -n '2,4s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) options+=("$1"); shift ;;
  esac
done

say() { printf '\n== %s\n' "$*" >&2; }

[ -d "${HOME:-}" ] && PATH="$PATH:$HOME/.cargo/bin"
if ! command -v cargo >/dev/null; then
  echo "Rust is missing: install it (rustup, or your system's packages) and run this again." >&2
  exit 1
fi

missing=()
command -v cc >/dev/null || missing+=(build-essential)
command -v pkg-config >/dev/null || missing+=(pkg-config)
{ command -v pkg-config >/dev/null && pkg-config --exists alsa; } || missing+=(libasound2-dev)
{ command -v pkg-config >/dev/null && pkg-config --exists opus; } || missing+=(libopus-dev)
if [ ${#missing[@]} -gt 0 ]; then
  as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "Please install: ${missing[*]}" >&2; exit 1; }
    as_root=(sudo)
  fi
  if ! command -v apt-get >/dev/null; then
    echo "Please install what your system calls ${missing[*]}, and run this again." >&2
    exit 1
  fi
  say "installing ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi

say "building (some minutes the first time)"
cargo build --release --locked --bin konpo
konpo="${CARGO_TARGET_DIR:-target}/release/konpo"

if [ -z "$music" ]; then
  music="${HOME:?}/Music"
  if command -v xdg-user-dir >/dev/null; then music="$(xdg-user-dir MUSIC)"; fi
  # Switched off, it is the home folder itself.
  [ "${music%/}" = "${HOME%/}" ] && music="$HOME/Music"
fi
mkdir -p "$music"

if "$konpo" outputs 2>/dev/null | grep -q '^\* silent'; then
  say "no sound device was found: konpo will keep time but make NO SOUND"
fi
say "music goes to $music, or drop files into $music/Inbox; Ctrl-C ends konpo"
exec "$konpo" serve --music "$music" ${options[@]+"${options[@]}"}
