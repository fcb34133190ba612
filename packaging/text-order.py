#!/usr/bin/env python3
"""Writes packaging/text-order.txt anew: the functions that run in every konpo, by the beginnings of their names.

    cargo bench --bench shelf -- --small MUSIC 3000
    cargo rustc --release --bin konpo -- -C strip=none
    packaging/text-order.py MUSIC target/release/konpo [OTHER ...]

konpo runs under valgrind in a network of its own, twice: it looks through MUSIC for the first time and again, takes
fingerprints, makes the finder, tells the network that it is there, answers and stops. What is a function of its own depends
a little on the build: OTHER is one from another folder, whose functions join. Python 3, valgrind, nm, ip and unshare are
needed. Once in a while is enough: a function that is missing from the order costs at most 64 KiB of memory.
"""

import bisect
import collections
import functools
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import string
import subprocess
import sys
import tempfile
import time

PORT = 8200
# Stands for the hash of a crate in a name.
HASH = "#"
# The first of the letters that stand for "what began at the n-th letter of this name".
BACK = 0xE000
# What a name consists of (rustc's book, symbol mangling v0): a crate, what was there before, counters, values, words.
PART = re.compile(
    r"(?P<hash>Cs[0-9a-zA-Z]+_(?=\d))|B(?P<back>[0-9a-zA-Z]*)_|[sLG][0-9a-zA-Z]*_|K[a-z]n?[0-9a-f]*_|"
    r"u?(?P<word>[1-9]\d*)_?|.",
    re.S,
)
BASE_62 = string.digits + string.ascii_lowercase + string.ascii_uppercase
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
    """Returns a name without what another build changes: a letter for each hash, and each reference back by its letter."""
    name = re.sub(r"\.llvm\.\d+$", "", name)
    name = re.sub(r"17h[0-9a-f]{16}E$", "17h", name)
    if not name.startswith("_R"):
        return name
    told, letters, at = "_R", {}, 2
    while at < len(name):
        part = PART.match(name, at)
        end = part.end() + int(part["word"] or 0)
        letters[at - 2] = len(told)
        if part["hash"]:
            told += HASH
        elif part["back"] is not None:
            value = functools.reduce(lambda sum, it: sum * 62 + BASE_62.index(it), part["back"], 0) + bool(part["back"])
            # One part in a thousand is taken for another one; what points behind it stays as it is.
            told += chr(BACK + letters[value]) if value in letters else part[0]
        else:
            told += name[at:end]
        at = end
    return told


def written(told):
    """Returns a stable name as text; `@n;` is what refers to its n-th letter."""
    return "".join(f"@{ord(it) - BACK};" if ord(it) >= BACK else "?" if it in "[]" else it for it in told)


def sizes(konpo, ran):
    """Returns the bytes of the functions that ran and of those that did not, by stable name."""
    hot, cold, seen = collections.Counter(), collections.Counter(), {}
    for line in subprocess.run(["nm", "-S", konpo], capture_output=True, text=True, check=True).stdout.splitlines():
        part = line.split()
        if len(part) == 4 and part[2] in "tTwW":
            seen.setdefault((part[0], int(part[1], 16)), []).append(part[3])
    for (_, size), names in seen.items():
        side = hot if any(name in ran for name in names) else cold
        for name in map(stable, names):
            side[name] += size
    return hot, cold


def beginnings(hot, cold):
    """Returns (beginning with a star, or name; part of its bytes that runs): the shortest ones that waste little."""
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
            longer = (name[:length] for length in range(4, len(name)))
            frugal = (it for it in longer if below(it)[1] <= max(WASTE * below(it)[0], LITTLE))
            done = next(frugal, name)
            runs, rests = below(done)
            found.append((done + "*", runs / max(1, runs + rests)))
    return found


def main():
    music, *konpos = map(os.path.abspath, sys.argv[1:])
    if "KONPO_ORDER" not in os.environ:
        os.environ["KONPO_ORDER"] = "apart"
        os.execvp("unshare", ["unshare", "-rn", sys.executable, __file__, music, *konpos])
    # A cable that leads nowhere: there is an address, and whoever is told something does not answer.
    for line in ("link set lo up", "link add lan type veth peer name end", "link set end up", "link set lan up",
                 "address add 192.0.2.1/24 dev lan", "route add default dev lan"):
        subprocess.run(["ip", *line.split()], check=True)
    hot, cold = collections.Counter(), collections.Counter()
    for konpo in konpos:
        with tempfile.TemporaryDirectory() as data:
            data = pathlib.Path(data)
            ran = set.union(*(run(konpo, music, data, data / "callgrind.out") for _ in range(2)))
        for both, one in zip((hot, cold), sizes(konpo, ran)):
            both.update(one)
        # What konpo keeps beside the music would be taken up by the next one.
        shutil.rmtree(pathlib.Path(music, ".konpo"))
    found = beginnings(hot, cold)
    order = pathlib.Path(__file__).with_name("text-order.txt")
    text = "".join(line for line in order.read_text().splitlines(True) if line.startswith("//"))
    for most, least in zip([2, *GROUPS], GROUPS):
        text += "\n" + "".join(f"{written(told)}\n" for told, part in found if least <= part < most)
    order.write_text(text)
    print(f"{len(found)} names and beginnings; {hot.total()} bytes of functions run, {cold.total()} do not")


if __name__ == "__main__":
    main()
