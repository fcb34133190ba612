#!/usr/bin/env bash
# Builds konpo and runs it as you are, with your sound device and your music folder. Ctrl-C ends it.
#   packaging/try.sh [--music DIR] [further options of `konpo serve`]
#   packaging/try.sh --demo [further options]    a second konpo plays the part of a phone with three bought songs: they are
#                    found, taken in and played. On this machine alone, in a folder of its own that is gone afterwards.
# Needs Rust; the few Debian packages that the build needs are installed when they are missing. KONPO=PROGRAM runs one that is
# built already.
set -euo pipefail
cd "$(dirname "$0")/.."

music=""
demo=""
options=()
while [ $# -gt 0 ]; do
  case "$1" in
    --music) music="${2:?--music needs a folder}"; shift 2 ;;
    --music=*) music="${1#--music=}"; shift ;;
    --demo) demo=yes; shift ;;
    -h|--help) sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) options+=("$1"); shift ;;
  esac
done

say() { printf '\n== %s\n' "$*" >&2; }

[ -d "${HOME:-}" ] && PATH="$PATH:$HOME/.cargo/bin"
if ! command -v cargo >/dev/null; then
  echo "Rust is missing: install it (rustup, or your system's packages) and run this again." >&2
  exit 1
fi

konpo="${KONPO:-}"
build() {
  missing=()
  command -v cc >/dev/null || missing+=(build-essential)
  command -v pkg-config >/dev/null || missing+=(pkg-config)
  { command -v pkg-config >/dev/null && pkg-config --exists alsa; } || missing+=(libasound2-dev)
  command -v cmake >/dev/null || missing+=(cmake)
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
}
[ -n "$konpo" ] || build

# Shows every line of what is asked that it has not shown before.
seen=""
show_new() {
  local line
  while IFS= read -r line; do
    case $'\n'"$seen" in *$'\n'"$line"$'\n'*) continue ;; esac
    seen+="$line"$'\n'
    printf '%s\n' "$line"
  done < <("$@" 2>/dev/null || true)
}

# Both live on the loopback interface: nothing of it is announced on your network.
play_demo() {
  local place box="" phone="" page="" played="" ask
  place="$(mktemp -d "${TMPDIR:-/tmp}/konpo-demo.XXXXXX")"
  # shellcheck disable=SC2064
  trap "kill \$(jobs -p) 2>/dev/null || true; wait; rm -rf '$place'" EXIT
  trap 'exit 0' INT TERM
  rustc --edition 2024 -O -o "$place/songs" packaging/demo.rs
  "$place/songs" "$place/phone"
  printf '%s\n' 'name = "Demo phone"' '[lan]' 'interfaces = ["lo"]' '[intake]' 'pull = "never"' \
    '[upnp]' 'product = "Demo phone"' > "$place/phone.toml"
  printf '%s\n' 'name = "Demo stereo"' '[lan]' 'interfaces = ["lo"]' '[intake]' 'pull = "always"' > "$place/box.toml"
  say "a phone with three bought songs comes home, and konpo is there"
  # It is read below, maybe before the program behind it has begun.
  : > "$place/box.log"
  "$konpo" serve --config "$place/phone.toml" --music "$place/phone" --data "$place/phone-data" --port 0 --output silent \
    > "$place/phone.log" 2>&1 &
  phone=$!
  "$konpo" serve --config "$place/box.toml" --music "$place/music" --data "$place/data" ${options[@]+"${options[@]}"} \
    > "$place/box.log" 2>&1 &
  box=$!
  while kill -0 "$box" 2>/dev/null && kill -0 "$phone" 2>/dev/null; do
    if [ -z "$page" ]; then
      page="$(sed -n 's/^konpo ready //p' "$place/box.log")"
      [ -z "$page" ] || say "konpo is ready: $page (Ctrl-C ends the demo)"
    fi
    for ask in neighbours arrivals tracks status; do
      show_new "$konpo" ctl --data "$place/data" "$ask"
    done
    if [ -z "$played" ] && [[ "$seen" == *"3 tracks"* ]]; then
      played=yes
      say "somebody presses play (konpo ctl something)"
      "$konpo" ctl --data "$place/data" something > "$place/pressed" || say "it does not play: $(< "$place/pressed")"
    fi
    sleep 1
  done
  say "one of the two has ended"
  tail -n 20 "$place/phone.log" "$place/box.log" >&2
  return 1
}

if [ -n "$demo" ]; then
  play_demo
  exit
fi

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
