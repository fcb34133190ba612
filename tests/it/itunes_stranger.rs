//! A library of iTunes written and read by Python's own property lists: konpo reads the same in it, in whatever order its
//! parts stand, and takes over as many songs and buys as Python counts.

use std::path::Path;
use std::process::Command;

use konpo::library::itunes::ItunesRead;
use konpo::library::{Library, LibraryConfig};
use konpo::media::itunes_xml::{Entry, Location, read};
use konpo::units::ByteCount;
use serde_json::{Value, json};

const STRANGER: &str = r#"
import sys, json, plistlib, datetime
path, sort = sys.argv[1], sys.argv[2] == 'sorted'
tracks = {}
for n in range(1, 301):
    song = {'Track ID': n, 'Persistent ID': '%016X' % (n * 7919), 'Name': '夜 <%d> & "朝" 🌙' % n, 'Size': 1000000 + n,
            'Total Time': 200000 + n, 'Date Added': datetime.datetime(2008, 7, 17, 9, 12, n % 60)}
    if n % 2: song['Artist'] = '山田花子 %d' % (n % 9)
    if n % 3 == 0: song.update({'Purchased': True, 'Kind': 'Purchased AAC audio file'})
    if n % 5 == 0: song.update({'Play Count': n, 'Play Date UTC': datetime.datetime(2016, 9, 1), 'Rating': 20 * (1 + n % 5)})
    if n % 7 == 0: song['Apple Music'] = True
    song['Location'] = 'file://localhost/C:/Users/%E5%B1%B1/' + str(n) + '%20a%26b.m4a'
    tracks[str(n)] = song
bought = [n for n in range(1, 301) if n % 11 == 0]
lists = [{'Name': 'All', 'Master': True, 'Playlist Items': [{'Track ID': n} for n in range(1, 301)]},
         {'Name': 'Smart', 'Smart Info': b'\x00\x01\xff' * 500, 'Playlist Items': []},
         {'Name': '購入した項目', 'Distinguished Kind': 19, 'Purchased Music': True,
          'Playlist Items': [{'Track ID': n} for n in bought]}]
root = {'Major Version': 1, 'Application Version': '12.9.5.5', 'Library Persistent ID': '00000000000000FF',
        'Music Folder': 'file://localhost/C:/Users/%E5%B1%B1/', 'Tracks': tracks, 'Playlists': lists}
with open(path, 'wb') as file: plistlib.dump(root, file, sort_keys=sort)
with open(path, 'rb') as file: told = plistlib.load(file)
when = lambda date: date.strftime('%Y-%m-%dT%H:%M:%SZ') if date else None
songs = [[t['Track ID'], t['Persistent ID'], t['Name'], t.get('Artist'), t['Size'], t['Total Time'], when(t['Date Added']),
          t.get('Play Count', 0), when(t.get('Play Date UTC')), t.get('Rating'), t.get('Purchased', False)]
         for t in told['Tracks'].values()]
listed = {i['Track ID'] for l in told['Playlists'] if l.get('Distinguished Kind') == 19 for i in l['Playlist Items']}
buys = [t for t in told['Tracks'].values() if not t.get('Apple Music') and (t.get('Purchased') or t['Track ID'] in listed)]
print(json.dumps({'songs': sorted(songs), 'listed': sorted(listed), 'bought': len(buys)}))
"#;

fn told_by_python(path: &Path, order: &str) -> Value {
    let output = Command::new("/usr/bin/python3").args(["-c", STRANGER]).arg(path).arg(order).output();
    let output = output.expect("python3 is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("json")
}

#[test]
fn a_library_says_to_konpo_what_it_says_to_python() {
    let folder = tempfile::tempdir().expect("a folder");
    for order in ["sorted", "as iTunes writes"] {
        let path = folder.path().join("iTunes Library.xml");
        let python = told_by_python(&path, order);
        let (mut songs, mut listed) = (Vec::new(), Vec::new());
        for entry in read(std::fs::File::open(&path).expect("there")) {
            match entry.expect("it is whole") {
                Entry::Library(library) => {
                    assert_eq!(library.folder, Some(Location::File("C:/Users/山".to_owned())), "{order}");
                }
                Entry::Track(song) => {
                    let number = song.number.expect("a number").0;
                    let place = Location::File(format!("C:/Users/山/{number} a&b.m4a"));
                    assert_eq!(song.location, Some(place));
                    let id = song.persistent_id.map(|id| format!("{:016X}", id.0));
                    let (size, time) = (song.size.map(|size| size.0), song.total_time.map(|time| time.0));
                    let (added, played) =
                        (song.added.map(|at| at.rfc3339()), song.played.map(|at| at.rfc3339()));
                    let counts = (song.plays, song.rating, song.purchased);
                    songs.push(json!([
                        number,
                        id,
                        song.name,
                        song.artist,
                        size,
                        time,
                        added,
                        counts.0,
                        played,
                        counts.1,
                        counts.2
                    ]));
                }
                Entry::List(list) if list.purchased => {
                    listed.extend(list.tracks.iter().map(|number| number.0));
                }
                Entry::List(_) => {}
            }
        }
        songs.sort_by_key(|song| song[0].as_u64());
        assert_eq!(python["songs"], Value::Array(songs), "{order}");
        assert_eq!(python["listed"], json!(listed), "{order}");
        let music = folder.path().join(order);
        std::fs::create_dir_all(&music).expect("made");
        let data = folder.path().join(format!("{order} data"));
        let library =
            Library::open(LibraryConfig { music: vec![music], data, keep_free: Some(ByteCount(0)) })
                .expect("opened");
        let told = library.read_itunes(&path, "iTunes Library.xml", &|| true).expect("read");
        let bought = python["bought"].as_u64().expect("a number");
        assert_eq!(told, ItunesRead { songs: 300, here: 0, news: 0, bought, new_buys: bought }, "{order}");
        let again = library.read_itunes(&path, "iTunes Library.xml", &|| true).expect("read");
        assert_eq!(again, ItunesRead { new_buys: 0, ..told }, "{order}");
        library.close().expect("closed");
    }
}
