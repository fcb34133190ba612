use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::BodyExt;

use super::*;

/// Files of given bytes; `changed` is another content that is read from the second reading on.
struct Given {
    files: Vec<(String, Vec<u8>)>,
    changed: Option<Vec<u8>>,
}

struct Memory(Vec<u8>, Option<Vec<u8>>, AtomicUsize);

impl ReadAt for Memory {
    fn read_at(&self, buf: &mut [u8], at: u64) -> io::Result<usize> {
        if at == 0 {
            self.2.fetch_add(1, Ordering::Relaxed);
        }
        let again = self.2.load(Ordering::Relaxed) > 1;
        let bytes = self.1.as_ref().filter(|_| again).unwrap_or(&self.0);
        let rest = &bytes[(at as usize).min(bytes.len())..];
        // Short reads are legal.
        let count = rest.len().min(buf.len()).min(1000);
        buf[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

impl Files for Given {
    fn count(&self) -> usize {
        self.files.len()
    }

    fn about(&self, at: usize) -> (&str, u64, UnixTime) {
        let (name, bytes) = &self.files[at];
        (name, bytes.len() as u64, UnixTime(1_700_000_000))
    }

    fn open(&self, at: usize) -> io::Result<Box<dyn ReadAt>> {
        Ok(Box::new(Memory(self.files[at].1.clone(), self.changed.clone(), AtomicUsize::new(0))))
    }
}

fn given(files: &[(&str, &[u8])]) -> Arc<Given> {
    let files = files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
    Arc::new(Given { files, changed: None })
}

fn whole(files: Arc<dyn Files>) -> io::Result<Vec<u8>> {
    let mut zip = Zip::new(files);
    let mut bytes = Vec::with_capacity(zip.length() as usize);
    while let Some(block) = zip.read()? {
        bytes.extend(block);
    }
    assert_eq!(bytes.len() as u64, zip.length());
    Ok(bytes)
}

/// Runs Python with an archive as its first argument.
fn python(script: &str, archive: &[u8]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.zip");
    std::fs::write(&path, archive).expect("written");
    let ran =
        Command::new("python3").arg("-c").arg(script).arg(&path).output().expect("python3 is installed");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).expect("text").trim().to_owned()
}

#[test]
fn python_reads_what_is_written() {
    let long: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
    let files =
        given(&[("椎名林檎/無罪モラトリアム/1-01 正しい街.flac", &long), ("empty", b""), ("a.txt", b"abc")]);
    let archive = whole(files).expect("read");
    let script = "import sys, zipfile\n\
                  z = zipfile.ZipFile(sys.argv[1])\n\
                  assert z.testzip() is None\n\
                  print([(i.filename, i.file_size, i.flag_bits, i.compress_type) for i in z.infolist()])\n\
                  print(z.read('a.txt'), sum(z.read(z.namelist()[0])))";
    let sum: u64 = long.iter().map(|&byte| u64::from(byte)).sum();
    let want = format!(
        "[('椎名林檎/無罪モラトリアム/1-01 正しい街.flac', 1200000, 2048, 0), ('empty', 0, 2048, 0), ('a.txt', 3, 2048, 0)]\n\
         b'abc' {sum}"
    );
    assert_eq!(python(script, &archive), want);
}

#[test]
fn an_archive_of_nothing_is_one() {
    assert_eq!(
        python(
            "import sys, zipfile; print(zipfile.ZipFile(sys.argv[1]).namelist())",
            &whole(given(&[])).expect("read")
        ),
        "[]"
    );
}

#[test]
fn more_files_than_16_bits_count_are_all_there() {
    let files = (0..66_000u32).map(|n| (format!("{n}.txt"), n.to_le_bytes().to_vec())).collect();
    let archive = whole(Arc::new(Given { files, changed: None })).expect("read");
    let script = "import sys, zipfile\n\
                  z = zipfile.ZipFile(sys.argv[1])\n\
                  names = z.namelist()\n\
                  print(len(names), names[-1], int.from_bytes(z.read('65999.txt'), 'little'))";
    assert_eq!(python(script, &archive), "66000 65999.txt 65999");
}

#[test]
fn a_file_that_changes_between_its_two_readings_breaks_the_archive_off() {
    let files = Given { files: vec![("a".into(), b"abc".to_vec())], changed: Some(b"xyz".to_vec()) };
    let error = whole(Arc::new(files)).expect_err("broken off");
    assert!(error.to_string().contains("changed"), "{error}");
    let short = Given { files: vec![("a".into(), b"abc".to_vec())], changed: Some(b"ab".to_vec()) };
    assert_eq!(whole(Arc::new(short)).expect_err("broken off").kind(), io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn one_that_stands_still_yields_and_one_that_is_taken_does_not() {
    let (turns, begun) = (Turns::default(), Instant::now());
    let zip = || Zip::new(given(&[("a", b"abc")]));
    let turn = |now| turns.take(now).map(|turn| turn.begins(zip(), now));
    let slots: Vec<Arc<Slot>> = (0..MOST_AT_ONCE).map(|_| turn(begun).expect("a turn")).collect();
    assert_eq!(turn(begun).err().expect("too many").kind(), Kind::Busy);
    // The first is taken, the second longest stands still.
    assert!(slots[0].read().expect("read").is_some());
    let later = Instant::now() + STANDS_STILL - Duration::from_secs(1);
    let fifth = turn(later);
    assert_eq!(fifth.err().map(|error| error.kind()), Some(Kind::Busy), "nobody stands still for so long");
    let fifth = turn(later + Duration::from_secs(2)).expect("a turn");
    assert!(slots[1..].iter().any(|slot| slot.read().is_err()), "one yielded");
    drop(slots);
    assert!(fifth.read().expect("read").is_some());
    assert!(turn(begun).is_ok(), "who went left his place");
    // Whoever finds out what goes out has a turn already, and does not stand still.
    let planning: Vec<Turn> = std::iter::from_fn(|| turns.take(begun).ok()).collect();
    assert!(!planning.is_empty() && planning.len() < MOST_AT_ONCE);
    assert_eq!(
        turns.take(later + Duration::from_secs(60)).err().map(|error| error.kind()),
        None,
        "one still waits"
    );
    drop(fifth);
}

#[tokio::test]
async fn the_answer_tells_its_length_and_its_name() {
    let turns = Turns::default();
    let turn = || turns.take(Instant::now()).expect("a turn");
    let answer = turn().answer(&Method::GET, given(&[("a", b"abc")]), "宇多田 – A/B");
    let length: usize =
        answer.headers()[header::CONTENT_LENGTH].to_str().ok().and_then(|n| n.parse().ok()).expect("n");
    let name = answer.headers()[header::CONTENT_DISPOSITION].to_str().expect("text").to_owned();
    assert!(name.contains("filename=\"___ _ A_B.zip\"; filename*=UTF-8''%E5%AE%87"), "{name}");
    assert_eq!(answer.into_body().collect().await.expect("read").to_bytes().len(), length);
    let head = turn().answer(&Method::HEAD, given(&[("a", b"abc")]), "x");
    assert_eq!(head.headers()[header::CONTENT_LENGTH], length.to_string());
    assert!(head.into_body().collect().await.expect("read").to_bytes().is_empty());
}
