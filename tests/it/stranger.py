"""A stranger's program: reads what `konpo export --all --leave` wrote, knowing only README.txt, and holds it against what
the API told. Arguments: the folder, and a JSON file {purchases, favourites, played, corrected, plays}."""
import csv
import io
import json
import os
import sys

folder, told = sys.argv[1], json.load(open(sys.argv[2], encoding="utf-8"))


def table(name):
    with open(os.path.join(folder, name), encoding="utf-8", newline="") as file:
        raw = file.read()
        assert raw.count("\r\n") >= 1 and not raw.startswith("\ufeff"), name
        rows = list(csv.DictReader(io.StringIO(raw, newline=""), strict=True))
    for row in rows:
        assert None not in row and None not in row.values(), (name, row)
        if row["file"]:
            assert os.path.isfile(os.path.join(folder, row["file"])), (name, row["file"])
    return rows


def text(word):
    if isinstance(word, list):
        return "; ".join(word)
    return "" if word is None else str(word).lower() if isinstance(word, bool) else str(word)


def words(row):
    return row["title"], row["artist"], row["album"]


readme = open(os.path.join(folder, "README.txt"), encoding="utf-8").read()
tracks = {int(row["track"]): row for row in table("tracks.csv")}
purchases = table("purchases.csv")
history = table("history.csv")
favourites = {int(row["track"]) for row in table("favourites.csv")}
corrections = {(int(row["track"]), row["field"]): row for row in table("corrections.csv")}
for name in ("tracks", "purchases", "history", "favourites", "corrections"):
    assert name + ".csv" in readme
    with open(os.path.join(folder, name + ".csv"), encoding="utf-8", newline="") as file:
        for column in next(csv.reader(file)):
            assert column in readme, (name, column)

bought = 0
for purchase in told["purchases"]:
    same = [row for row in purchases if row["track"] == str(purchase["id"] or "") and row["store"] == purchase["store"]
            and words(row) == tuple(purchase[field] or "" for field in ("title", "artist", "album"))
            and row["item_id"] == (purchase["item_id"] or "") and row["account"] == (purchase["account"] or "")
            and row["bought_at"] == (purchase["bought_at"] or "") and row["level"] == purchase["level"]]
    assert same, purchase
    assert json.loads(same[0]["evidence"]) == purchase["evidence"]
    assert same[0]["locked"] == ("yes" if purchase["locked"] else "no")
    bought += 1
# A buy that several files tell stands here as each of them tells it.
assert bought <= len(purchases)
# Two people who bought one song are two buyers of it.
buyers = {}
for row in purchases:
    buyers.setdefault((row["track"], row["store"]), set()).add(row["account"])
assert max(len(accounts - {""}) for accounts in buyers.values()) == 2, buyers
assert favourites == {track["id"] for track in told["favourites"]}
heard = [(row["at"], int(row["track"])) for row in history if row["what"] == "played"]
assert heard == [(at, track) for at, track in told["plays"]], heard
before = {int(row["track"]) for row in history if row["what"] == "played_before"}
assert {track for _, track in heard} | before == {track["id"] for track in told["played"]}
corrected = 0
for track in told["corrected"]:
    assert words(tracks[track["id"]]) == tuple(track[field] or "" for field in ("title", "artist", "album"))
    for field, both in track["corrected"].items():
        row = corrections[(track["id"], field)]
        assert (row["word"], row["tagged"]) == (text(both["word"]), text(both["tagged"])), row
        corrected += 1
arrived = {int(row["track"]) for row in history if row["what"] == "arrived"}
trashed = {int(row["track"]) for row in history if row["what"] == "trashed"}
lists = []
for name in sorted(os.listdir(os.path.join(folder, "Playlists"))):
    path = os.path.join(folder, "Playlists", name)
    entries = [line for line in open(path, encoding="utf-8").read().splitlines() if not line.startswith("#")]
    for entry in entries:
        assert "://" in entry or os.path.isfile(os.path.join(folder, "Playlists", entry)), entry
    lists.append((name, len(entries)))
print(json.dumps({"tracks": len(tracks), "purchases": bought, "rows": len(purchases), "plays": len(heard),
                  "favourites": len(favourites), "corrections": corrected, "arrived": sorted(arrived),
                  "trashed": sorted(trashed), "lists": lists}))
