#!/usr/bin/env bash
# Everything that must hold: form, lints, documents, unit tests, tests with real peers, and the figures.
#   tests/run.sh          the CI form, some 40 minutes from an empty target folder on 2 cores (the goal is 30)
#   tests/run.sh --all    100 and 300 kills, 200 replugs, 10 minutes of fuzzing, 30 of sound under load, longer benchmarks
# Needs root (namespaces) and Rust on Debian 12; the peers are installed when they are missing. No service is started.
set -uo pipefail
cd "$(dirname "$0")/.."

case "${1:-}" in
  "") ;;
  --all) export KONPO_ALL=1 ;;
  *) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac

export CARGO_TERM_COLOR=never RUST_BACKTRACE=0 LANG=C.UTF-8
# What the machine says about itself must not reach a test.
unset KONPO_LOG XDG_RUNTIME_DIR PULSE_SERVER STATE_DIRECTORY RUNTIME_DIRECTORY
[ -d "${HOME:-}" ] && PATH="$PATH:$HOME/.cargo/bin"

packages=(
  build-essential pkg-config libasound2-dev libasound2-plugins cmake
  iproute2 procps curl dbus
  minidlna gerbera rygel rclone avahi-daemon avahi-utils gupnp-tools tcpdump util-linux mount e2fsprogs
  pulseaudio pulseaudio-utils mpd mpc vlc-bin vlc-plugin-base
  nginx-light icecast2
  chromium chromium-driver fonts-vlgothic
  ffmpeg lame opus-tools python3 python3-venv python3-mutagen unzip libimage-exiftool-perl atomicparsley sqlite3 openssl ca-certificates
)

install_peers() {
  local missing=() package
  for package in "${packages[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  echo "installing: ${missing[*]}"
  # Debian starts what it installs; nothing may announce itself on this machine's own network.
  local policy=/usr/sbin/policy-rc.d ours=""
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' > "$policy" && chmod +x "$policy" && ours=yes
  fi
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  local status=$?
  [ -n "$ours" ] && rm -f "$policy"
  return $status
}

# Control points, a LocalSend device and an uploader in Python, in a place of their own.
install_python() {
  local place=target/peers-python
  local peers=(async-upnp-client==0.49.0 upnpclient==2.0.3 localsendd==0.1.1 openhomedevice==2.7 nanodlna==0.3.0 pa-dlna==2.0 tuspy==1.1.0)
  # Its programs name the folder they were installed in: a clone that was moved needs them anew.
  local whole="$PWD ${peers[*]}"
  [ "$(cat "$place/whole" 2>/dev/null)" = "$whole" ] && return 0
  python3 -m venv --clear "$place" && "$place/bin/pip" install --quiet "${peers[@]}" && echo "$whole" > "$place/whole"
}

# Those for Node, and what looks whether everybody can use the page.
install_node() {
  local place=target/peers-node
  local peers=(upnp-mediarenderer-client@1.4.0 tus-js-client@4.3.1 axe-core@4.14.1)
  [ "$(cat "$place/whole" 2>/dev/null)" = "${peers[*]}" ] && return 0
  # Node's own package brings npm along, Debian's does not.
  command -v npm >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nodejs npm >/dev/null || return 1
  mkdir -p "$place" && npm install --silent --no-audit --no-fund --prefix "$place" "${peers[@]}" && echo "${peers[*]}" > "$place/whole"
}

# A LocalSend program in Rust. It is built beside everything else, with few claims: nobody needs it before the peers that make
# no sound.
install_rust() {
  local place=target/peers-cargo peer=localsend-rs@0.1.2
  [ "$(cat "$place/whole" 2>/dev/null)" = "$peer" ] && return 0
  chrt --idle 0 cargo install --quiet --locked --debug --root "$place" --target-dir "$place/build" "$peer" || return 1
  rm -rf "$place/build" && echo "$peer" > "$place/whole"
}

log="$(mktemp)"
trap 'rm -f "$log" "$log.rust"' EXIT
begun=$SECONDS
broken=()

step() {
  local name="$1" from=$SECONDS
  shift
  printf '\n=== %s\n' "$name"
  "$@" 2>&1 | tee -a "$log"
  local status=${PIPESTATUS[0]}
  printf -- '--- %s: %s after %d s\n' "$name" "$([ "$status" -eq 0 ] && echo done || echo "FAILED ($status)")" $((SECONDS - from))
  [ "$status" -eq 0 ] || broken+=("$name")
  return "$status"
}

# The sum of all runs, as cargo words one.
close() {
  local passed failed ignored word=ok
  read -r passed failed ignored < <(awk '/^test result:/ { p += $4; f += $6; i += $8 } END { print p + 0, f + 0, i + 0 }' "$log")
  [ ${#broken[@]} -eq 0 ] || word=FAILED
  # A step that is no test (a lint, a build) counts as one when it fails.
  if [ "$word" = FAILED ] && [ "$failed" -eq 0 ]; then failed=${#broken[@]}; fi
  echo
  [ ${#broken[@]} -eq 0 ] || printf 'failed: %s\n' "${broken[@]}"
  printf 'test result: %s. %d passed; %d failed; %d ignored; 0 measured; 0 filtered out; finished in %d.00s\n' \
    "$word" "$passed" "$failed" "$ignored" $((SECONDS - begun))
  [ "$word" = ok ]
}

# The kept corpus and what grows from it: 5 s for each reader, two at a time; or 10 minutes for all of them side by side.
fuzz() {
  cargo test --locked --test fuzz --no-run || return 1
  local one running=() worst=0
  if [ -z "${KONPO_ALL:-}" ]; then
    for one in 0 1; do
      cargo test --locked --quiet --test fuzz -- --seconds 5 --half "$one" &
      running+=($!)
    done
  else
    for one in $(cargo test --locked --quiet --test fuzz -- --list); do
      cargo test --locked --quiet --test fuzz -- --seconds 600 --seed "$RANDOM" "$one" &
      running+=($!)
    done
  fi
  for one in "${running[@]}"; do wait "$one" || worst=1; done
  return $worst
}

if [ "$(id -u)" -ne 0 ]; then
  echo "tests/run.sh needs root: it lays networks of namespaces. Run it in a machine or container of its own." >&2
  exit 1
fi
if ! command -v cargo >/dev/null; then
  echo "Rust is missing: install it and run this again." >&2
  exit 1
fi

# A build from nothing and what the tests write; a disk that fills up fails them at random.
free=$(df --output=avail -B1M . | tail -n 1)
if [ "$free" -lt 10000 ]; then
  echo "tests/run.sh needs 10 GB of free disk here; $free MB are free." >&2
  exit 1
fi

step "peers are installed" install_peers || { close; exit 1; }
step "peers in Python" install_python || { close; exit 1; }
step "peers in JavaScript" install_node || { close; exit 1; }
install_rust >"$log.rust" 2>&1 &
rust=$!
step "form" cargo fmt --all --check
step "lints" cargo clippy --locked --all-targets -- -D warnings
step "documents" env RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps
step "unit tests" cargo test --locked --lib --bins
step "fuzz" fuzz
step "examples in documents" cargo test --locked --doc
step "integration tests" cargo test --locked --test it
# What is heard is recorded in real time: one test after the other. The others mostly wait: two at once.
sound=(crowd:: exact:: gapless:: localsend:: loud:: moments:: night:: openhome::a_playlist_sounds outputs:: siege:: soak:: sound:: urls::)
step "peers, the sound" cargo test --locked --test peers -- --nocapture --test-threads=1 "${sound[@]}"
figures=(--bench box --bench motor --bench pull --bench shelf --bench find --bench upnp --bench upload)
# What is shipped is measured by the long form; linking it six times takes minutes.
[ -z "${KONPO_ALL:-}" ] || export CARGO_PROFILE_BENCH_LTO=thin CARGO_PROFILE_BENCH_CODEGEN_UNITS=4
# They are built while the peers wait for each other; what fails is said when they are run.
cargo test --locked --test peers --no-run 2>/dev/null
chrt --idle 0 cargo bench --locked --no-run "${figures[@]}" >/dev/null 2>&1 &
built=$!
# A step is a shell of its own, which cannot wait for this one's children.
wait "$rust"
rust=$?
peers_in_rust() { cat "$log.rust"; return "$rust"; }
step "peers in Rust" peers_in_rust
step "peers, the others" cargo test --locked --test peers -- --nocapture --test-threads=2 "${sound[@]/#/--skip=}"
wait "$built"
step "figures" cargo bench --locked --no-fail-fast "${figures[@]}"

close
