#!/usr/bin/env python3
"""Writes packaging/text-order.ld anew: the functions that run in every konpo, as patterns of their names.

    cargo bench --bench shelf -- --small MUSIC 3000
    cargo rustc --release --bin konpo -- -C strip=none
    packaging/text-order.py target/release/konpo MUSIC

konpo runs under valgrind in a network of its own, twice: it looks through MUSIC for the first time and again, takes
fingerprints, makes the finder, tells the network that it is there, answers and stops. Python 3, valgrind, nm, ip and unshare
are needed. Once in a while is enough: a function that is missing from the order costs at most 64 KiB of memory.
"""

import bisect
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

PORT = 8200
# Stands for one letter of a hash in a name.
NUL = "\0"
# Seconds until everything was announced that is announced at the start and once again.
ANNOUNCED = 40
# So many bytes of functions that do not run may a pattern take along for each byte of one that does.
WASTE = 0.25
# So many it may in any case, so that patterns stay few and short.
LITTLE = 256
# Groups by how much of what a pattern matches runs.
GROUPS = [0.7, 0.4, 0.2, 0]


def ask(method, path, data=None, body=None):
    """Asks the konpo that has its socket in data, or the one at PORT, and returns what it says."""
    line = http.client.HTTPConnection("localhost", PORT, timeout=60)
    if data:
        line.sock = socket.socket(socket.AF_UNIX)
        line.sock.connect(str(data / "ctl.sock"))
    line.request(method, path, body, {"Content-Type": "application/json"})
    return line.getresponse().read()


def until(data, done):
    """Waits until what is said of the shelf is done."""
    for _ in range(6000):
        try:
            if done(json.loads(ask("GET", "/api/health", data))["shelf"]):
                return
        except OSError:
            pass
        time.sleep(0.1)
    sys.exit("konpo does not come to an end")


def run(konpo, music, data, out):
    """Runs konpo once, and returns the names of the functions that ran."""
    tool = ["valgrind", "-q", "--tool=callgrind", "--demangle=no", "--compress-strings=no", f"--callgrind-out-file={out}"]
    serve = ["serve", "--output", "silent", "--port", str(PORT), "--music", music, "--data", data]
    process = subprocess.Popen([*tool, konpo, *serve], env={"PATH": os.environ["PATH"], "HOME": str(data)})
    until(data, lambda it: it["passes"] >= 1 and it["fingerprints_left"] == 0 and it["tracks"] > 0)
    for wanted in (2, 3):
        ask("POST", "/api/command", data, '"rescan"')
        until(data, lambda it: it["passes"] >= wanted and not it["scanning"])
    ask("GET", "/api/health")
    time.sleep(ANNOUNCED)
    process.send_signal(signal.SIGTERM)
    if process.wait() != 0:
        sys.exit("konpo did not stop in order")
    lines = pathlib.Path(out).read_text(errors="replace").splitlines()
    # A function that calls itself is counted by depth.
    return {re.sub(r"'\d+$", "", line[3:].strip()) for line in lines if line.startswith("fn=")}


def stable(name):
    """Returns a name without what the next compiler changes; a NUL stands for any letter."""
    name = re.sub(r"\.llvm\.\d+$", "", name)
    name = re.sub(r"17h[0-9a-f]{16}E$", "17h", name)
    return re.sub(r"Cs[0-9a-zA-Z]+_(?=\d)", lambda it: f"Cs{NUL * (len(it[0]) - 3)}_", name) if name.startswith("_R") else name


def sizes(konpo, ran):
    """Returns the bytes of the functions that ran and of those that did not, by stable name."""
    hot, cold, seen = {}, {}, {}
    for line in subprocess.run(["nm", "-S", konpo], capture_output=True, text=True, check=True).stdout.splitlines():
        part = line.split()
        if len(part) == 4 and part[2] in "tTwW":
            seen.setdefault((part[0], int(part[1], 16)), []).append(part[3])
    for (_, size), names in seen.items():
        side = hot if any(name in ran for name in names) else cold
        for name in map(stable, names):
            side[name] = side.get(name, 0) + size
    return hot, cold


def patterns(hot, cold):
    """Returns (pattern, part of its bytes that runs): the shortest beginnings of names that waste little."""
    names = sorted(set(hot) | set(cold))
    before = {"hot": [0], "cold": [0]}
    for name in names:
        before["hot"].append(before["hot"][-1] + hot.get(name, 0))
        before["cold"].append(before["cold"][-1] + cold.get(name, 0))

    def below(prefix):
        first, last = bisect.bisect_left(names, prefix), bisect.bisect_left(names, prefix + "\U0010ffff")
        return [before[side][last] - before[side][first] for side in ("hot", "cold")]

    found, done = [], None
    for name in sorted(hot):
        if not name.startswith(("_R", "_ZN")):
            found.append((name, 1.0))
        elif done is None or not name.startswith(done):
            beginnings = (name[:length] for length in range(4, len(name)))
            frugal = (it for it in beginnings if below(it)[1] <= max(WASTE * below(it)[0], LITTLE))
            done = next(frugal, name)
            runs, rests = below(done)
            found.append((done + "*", runs / max(1, runs + rests)))
    return found


def main():
    konpo, music = map(os.path.abspath, sys.argv[1:3])
    if "KONPO_ORDER" not in os.environ:
        os.environ["KONPO_ORDER"] = "apart"
        os.execvp("unshare", ["unshare", "-rn", sys.executable, __file__, konpo, music])
    # A cable that leads nowhere: there is an address, and whoever is told something does not answer.
    for line in ("link set lo up", "link add lan type veth peer name end", "link set end up", "link set lan up",
                 "address add 192.0.2.1/24 dev lan", "route add default dev lan"):
        subprocess.run(["ip", *line.split()], check=True)
    with tempfile.TemporaryDirectory() as data:
        data = pathlib.Path(data)
        ran = set.union(*(run(konpo, music, data, data / "callgrind.out") for _ in range(2)))
    hot, cold = sizes(konpo, ran)
    found = patterns(hot, cold)
    found.sort(key=lambda it: next(at for at, least in enumerate(GROUPS) if it[1] >= least))
    order = pathlib.Path(__file__).with_name("text-order.ld")
    head = order.read_text().split("SECTIONS {")[0]
    lines = [pattern.replace(NUL, "?").replace("[", "?").replace("]", "?") for pattern, _ in found]
    # What its author calls cold lies in a section of another name, though it may run.
    body = "".join(f"    *(.text*.{line})\n" for line in lines)
    order.write_text(f"{head}SECTIONS {{\n  .text.run : {{\n{body}  }}\n}}\nINSERT BEFORE .text;\n")
    print(f"{len(found)} patterns; {sum(hot.values())} bytes of functions run, {sum(cold.values())} do not")


if __name__ == "__main__":
    main()
