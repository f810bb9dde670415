//! Searching logs, compared with a search by other means.

mod program;
mod python;

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{self, File},
    io::{Read, Write},
    path::Path,
};

use flate2::{
    Compression,
    read::{GzDecoder, MultiGzDecoder},
    write::GzEncoder,
};
use program::{Finished, run, run_alone};
use python::python;
use tempfile::{TempDir, tempdir};

prunner_tests::watched!();

const ROBOTS: &str = env!("CARGO_BIN_EXE_robots");

fn search(directory: &Path, args: &[&str]) -> Finished {
    run_alone(ROBOTS, [directory.as_os_str()].into_iter().chain(args.iter().map(OsStr::new)))
}

fn generate(args: &[&str]) -> TempDir {
    let directory = tempdir().expect("a directory for the test");
    let finished = search(directory.path(), &[&["--generate"], args].concat());
    assert_eq!(
        (finished.code, &*finished.stdout, &*finished.stderr),
        (Some(0), "", ""),
        "{args:?}"
    );
    directory
}

/// The files of a directory by their names.
fn contents(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let entry = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.expect("the directory can be read");
        let bytes = fs::read(entry.path()).expect("the file can be read");
        (entry.file_name().to_string_lossy().into_owned(), bytes)
    };
    let mut contents: Vec<_> =
        fs::read_dir(directory).expect("the directory can be read").map(entry).collect();
    contents.sort();
    contents
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(text).expect("memory can be written");
    gzip.finish().expect("memory can be written")
}

fn line(host: &str, request: &str) -> String {
    format!("{host} - - [10/Jul/2012:00:18:50 -0500] \"{request}\" 200 71\n")
}

fn robot(host: &str) -> String {
    line(host, "GET /robots.txt HTTP/1.1")
}

#[test]
fn the_same_seed_gives_the_same_logs() {
    let args = ["--files", "7", "--lines", "200", "--seed", "5"];
    let logs = contents(generate(&[&args[..], &["-n", "1"]].concat()).path());
    let names: Vec<&str> = logs.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names.len(), 7);
    assert_eq!((names[0], names[6]), ("access-0000.log.gz", "access-0006.log.gz"));
    assert_eq!(contents(generate(&[&args[..], &["-n", "10"]].concat()).path()), logs);

    let processes = generate(&[&args[..], &["--processes", "-n", "3"]].concat());
    assert_eq!(contents(processes.path()), logs);

    let other = generate(&["--files", "7", "--lines", "200", "--seed", "6"]);
    let others = contents(other.path());
    for (at, log) in logs.iter().enumerate() {
        assert!(!others.contains(log), "another seed, another log");
        assert!(!logs[..at].contains(log));
    }
}

#[test]
fn logs_have_their_lines_in_one_or_more_members() {
    let lines = |mut reader: Box<dyn Read>| {
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("the log is whole");
        assert!(text.lines().all(|line| line.starts_with("124.115.")), "{text}");
        text.lines().count()
    };
    let directory = generate(&["--files", "3", "--lines", "100"]);
    let mut several_members = 0;
    for (name, bytes) in contents(directory.path()) {
        let bytes: &'static [u8] = bytes.leak();
        assert_eq!(lines(Box::new(MultiGzDecoder::new(bytes))), 100, "{name}");
        several_members += u32::from(lines(Box::new(GzDecoder::new(bytes))) < 100);
    }
    assert_eq!(several_members, 1);
}

#[test]
fn the_hosts_of_generated_logs_are_found() {
    let directory = generate(&["--files", "6", "--lines", "2000", "--seed", "42"]);
    let hosts = reference(directory.path());
    assert!(hosts.lines().count() > 100, "{hosts}");
    for workers in ["1", "2", "10", "64"] {
        let finished = search(directory.path(), &["-n", workers]);
        assert_eq!((finished.code, &*finished.stderr), (Some(0), ""));
        assert_eq!(finished.stdout, hosts);
        let finished = search(directory.path(), &["--processes", "-n", workers]);
        assert_eq!((finished.code, &*finished.stderr), (Some(0), ""));
        assert_eq!(finished.stdout, hosts, "on {workers} worker processes");
    }
}

#[test]
fn hosts_are_sorted_and_told_once() {
    let directory = tempdir().expect("a directory for the test");
    let log = |name: &str, text: String| {
        fs::write(directory.path().join(name), gzip(text.as_bytes())).expect("a file");
    };
    log("1.log.gz", robot("b") + &robot("a.example") + &robot("b"));
    log("2.log.gz", robot("::1") + &robot("b") + &line("nobody", "GET / HTTP/1.1"));
    log("3.log.gz", line("query", "HEAD /robots.txt?a=b HTTP/1.1"));
    // None of these is a log.
    log("4.log.gz.bak", robot("backup"));
    log("log.gz", robot("without_a_dot"));
    fs::write(directory.path().join("5.log"), robot("plain")).expect("a file");
    fs::create_dir(directory.path().join("6.log.gz")).expect("a directory");
    let finished = search(directory.path(), &[]);
    assert_eq!(finished.stdout, "::1\na.example\nb\nquery\n");
    assert_eq!((finished.code, &*finished.stderr), (Some(0), ""));
}

#[cfg(unix)]
#[test]
fn names_need_not_be_text() {
    use std::os::unix::ffi::OsStrExt as _;

    let root = tempdir().expect("a directory for the test");
    let directory = root.path().join(OsStr::from_bytes(b"\xff"));
    fs::create_dir(&directory).expect("a directory");
    let log = directory.join(OsStr::from_bytes(b"\xfe\n.log.gz"));
    fs::write(log, gzip(robot("a.example").as_bytes())).expect("a file");
    let finished = search(&directory, &[]);
    assert_eq!((finished.code, &*finished.stdout), (Some(0), "a.example\n"), "{finished:?}");
}

#[test]
fn malformed_lines_are_reported_with_their_numbers() {
    let directory = tempdir().expect("a directory for the test");
    let mut text = [robot("a"), "nonsense\n".into(), robot("b"), "\n".into(), robot("c")].concat();
    text += &line("not_utf8_ok", "GET /\u{1}");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(b"\xff\xfe\n");
    // Windows ends, and no end at the end of the file.
    bytes.extend_from_slice(robot("d").replace('\n', "\r\n").as_bytes());
    bytes.extend_from_slice(robot("e").trim_end().as_bytes());
    fs::write(directory.path().join("x.log.gz"), gzip(&bytes)).expect("a file");
    let finished = search(directory.path(), &[]);
    assert_eq!((finished.code, &*finished.stdout), (Some(0), "a\nb\nc\nd\ne\n"), "{finished:?}");
    for number in 1..=9 {
        let reported = finished.stderr.contains(&format!("x.log.gz:{number}: malformed line"));
        assert_eq!(reported, [2, 4, 7].contains(&number), "line {number}: {finished:?}");
    }
    assert!(finished.stderr.contains("left out 3 malformed lines"), "{finished:?}");
}

#[test]
fn of_a_damaged_log_the_lines_before_the_damage_count() {
    let directory = generate(&["--files", "3", "--lines", "100"]);
    let path = |name: &str| directory.path().join(name);
    let good = gzip((robot("good_a") + &robot("good_b")).as_bytes());

    fs::write(path("garbage.log.gz"), "This is no gzip file, but it is long enough.").expect("it");
    fs::write(path("junk_behind.log.gz"), [&good[..], b"junk behind a good member"].concat())
        .expect("a file");
    let (rest, checksum) = good.split_at(good.len() - 8);
    let wrong = checksum.iter().map(|byte| !byte).collect::<Vec<_>>();
    let renamed = [rest, &wrong].concat();
    fs::write(path("checksum.log.gz"), renamed).expect("a file");
    let cut = cut_short(&(robot("cut_a") + &robot("cut_b") + robot("cut_c").trim_end()));
    fs::write(path("cut_short.log.gz"), cut).expect("a file");
    fs::write(path("one_byte.log.gz"), [0x1f]).expect("a file");
    let mut damaged_later = [&good[..], &gzip(&[b'x'; 100_000])].concat();
    damaged_later.truncate(good.len() + 5);
    fs::write(path("second_member.log.gz"), damaged_later).expect("a file");

    let finished = search(directory.path(), &[]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(finished.stdout, reference(directory.path()));
    for host in ["good_a", "good_b", "cut_a", "cut_b"] {
        assert!(finished.stdout.contains(host), "{finished:?}");
    }
    assert!(!finished.stdout.contains("cut_c"), "half a line is none");
    for (name, number) in [
        ("garbage", 1),
        ("junk_behind", 3),
        ("checksum", 3),
        ("cut_short", 3),
        ("one_byte", 1),
        ("second_member", 3),
    ] {
        let place = format!("{name}.log.gz:{number}: cannot be read from here on");
        assert!(finished.stderr.contains(&place), "{place}: {finished:?}");
    }
    assert!(finished.stderr.contains("the rest of 6 files"), "{finished:?}");
}

/// A gzip file that ends in the middle, with all of `text` in what is there of it.
fn cut_short(text: &str) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(text.as_bytes()).expect("memory can be written");
    gzip.flush().expect("memory can be written");
    gzip.get_ref().clone()
}

#[test]
fn a_directory_without_logs_gives_no_hosts() {
    let directory = tempdir().expect("a directory for the test");
    let finished = search(directory.path(), &[]);
    assert_eq!((finished.code, &*finished.stdout, &*finished.stderr), (Some(0), "", ""));
    let none = generate(&["--files", "0"]);
    assert_eq!(contents(none.path()), []);
    let empty = generate(&["--files", "2", "--lines", "0"]);
    assert_eq!(search(empty.path(), &[]).stdout, "");
}

#[test]
fn mistakes_are_errors_that_say_so() {
    let directory = tempdir().expect("a directory for the test");
    let missing = search(&directory.path().join("missing"), &[]);
    assert_eq!((missing.code, &*missing.stdout), (Some(1), ""));
    assert!(missing.stderr.contains("missing: No such file or directory"), "{missing:?}");

    let file = directory.path().join("file");
    File::create(&file).expect("a file");
    let in_file = search(&file, &["--generate"]);
    assert_eq!(in_file.code, Some(1));
    assert!(in_file.stderr.contains("file: "), "{in_file:?}");

    // A directory is where a log should be written: one task fails, and with it the run.
    fs::create_dir(directory.path().join("access-0001.log.gz")).expect("a directory");
    let in_the_way = search(directory.path(), &["--generate", "--files", "3", "--lines", "1"]);
    assert_eq!(in_the_way.code, Some(1));
    assert!(in_the_way.stderr.contains("1 of 3 tasks died"), "{in_the_way:?}");
    assert!(in_the_way.stderr.contains("access-0001.log.gz: "), "{in_the_way:?}");

    assert_eq!(search(directory.path(), &["--files", "3"]).code, Some(2), "without --generate");
    assert_eq!(search(directory.path(), &["-n", "0"]).code, Some(1));
    assert_eq!(run(ROBOTS, ["--help"]).code, Some(0));
}

/// The hosts by other means: a few lines of Python, or of Rust where there is no Python.
fn reference(directory: &Path) -> String {
    let alone = search_alone(directory);
    if let Some(python) = search_in_python(directory) {
        assert_eq!(alone, python, "the references agree");
    }
    alone
}

/// The independent search: all of a log in memory, and a line split at its quotes.
fn search_alone(directory: &Path) -> String {
    let mut hosts = BTreeSet::new();
    for (name, bytes) in contents(directory) {
        assert!(name.ends_with(".log.gz"));
        let mut text = Vec::new();
        let whole = MultiGzDecoder::new(&bytes[..]).read_to_end(&mut text).is_ok();
        let text = String::from_utf8_lossy(&text);
        for line in text.split_inclusive('\n').filter(|line| whole || line.ends_with('\n')) {
            let words: Vec<&str> = line.split(' ').collect();
            let request: Vec<&str> = line.split('"').nth(1).unwrap_or("").split(' ').collect();
            if let [_, path, ..] = request[..]
                && path.split('?').next() == Some("/robots.txt")
            {
                hosts.insert(format!("{}\n", words[0]));
            }
        }
    }
    hosts.into_iter().collect()
}

/// The same in Python, where there is one.
fn search_in_python(directory: &Path) -> Option<String> {
    const SEARCH: &str = r#"
import glob, re, sys, zlib

def lines(path):
    text, rest, whole = b"", open(path, "rb").read(), True
    try:
        while rest:
            member, data = zlib.decompressobj(31), rest
            while data and not member.eof:
                # Byte by byte, to get all that is before the damage.
                text += member.decompress(data[:1])
                data = data[1:]
            rest, whole = data, member.eof
    except zlib.error:
        whole = False
    cut = None if whole else text.rfind(b"\n") + 1
    return text[:cut].splitlines()

form = re.compile(rb'([^ ]+) [^ ]+ [^ ]+ \[.*?\] "((?:[^"\\]|\\.)*)"', re.S)
hosts = set()
for path in glob.glob(sys.argv[1] + "/*.log.gz"):
    for found in filter(None, map(form.match, lines(path))):
        asked = found[2].split(b" ")
        if len(asked) > 1 and asked[1].split(b"?")[0] == b"/robots.txt":
            hosts.add(found[1].decode())
for host in sorted(hosts):
    print(host)
"#;
    python(SEARCH, directory)
}
