//! Counting words, compared with a count by other means.

mod program;
mod python;

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    env,
    ffi::OsStr,
    fs::{self, Permissions},
    mem,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use program::{Finished, run, run_alone};
use python::python;
use tempfile::{TempDir, tempdir};

prunner_tests::watched!();

const WORD_COUNT: &str = env!("CARGO_BIN_EXE_word_count");

/// More words than any tree of these tests has.
const ALL: &str = "1000000000";

fn count(root: &Path, args: &[&str]) -> Finished {
    run_alone(WORD_COUNT, [root.as_os_str()].into_iter().chain(args.iter().map(OsStr::new)))
}

/// What is printed, of a run that ended well and reported nothing.
fn printed(root: &Path, args: &[&str]) -> String {
    let finished = count(root, args);
    assert_eq!((finished.code, &*finished.stderr), (Some(0), ""), "{}", root.display());
    finished.stdout
}

fn tree(files: &[(&str, &[u8])]) -> TempDir {
    let root = tempdir().expect("a directory for the test");
    for (path, bytes) in files {
        write(&root.path().join(path), bytes);
    }
    root
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().expect("it is in the tree")).expect("a directory");
    fs::write(path, bytes).expect("a file");
}

const SMALL: [(&str, &[u8]); 8] = [
    ("a.txt", b"The quick brown fox. The END\nthe end"),
    ("empty", b""),
    ("no_words", b"1234 \x00 \xff\n"),
    ("crlf.txt", b"one\r\ntwo\r\nThe\r\n"),
    ("bytes/latin1.txt", b"caf\xe9 na\xefve\x00fox\xff"),
    ("bytes/utf8.txt", "Zoë größe fox".as_bytes()),
    ("bytes/deep/er/no_letters.txt", b"a1b2c3 x-y don't"),
    ("bytes/deep/er/.hidden", b"end"),
];

const SMALL_COUNTED: &str = "\
the 4
end 3
fox 3
a 1
b 1
brown 1
c 1
caf 1
don 1
e 1
gr 1
na 1
one 1
quick 1
t 1
two 1
ve 1
x 1
y 1
zo 1
files 8 words 27
";

#[test]
fn a_small_tree_is_counted_exactly() {
    let root = tree(&SMALL);
    for workers in ["1", "2", "10", "64"] {
        assert_eq!(printed(root.path(), &["-n", workers]), SMALL_COUNTED);
        assert_eq!(printed(root.path(), &["--processes", "-n", workers]), SMALL_COUNTED);
    }
    assert_eq!(count_alone(root.path()), SMALL_COUNTED, "the reference is right");
    if let Some(counted) = count_in_python(root.path()) {
        assert_eq!(counted, SMALL_COUNTED, "the other reference is right");
    }
}

#[test]
fn as_many_words_are_printed_as_asked_for() {
    let root = tree(&SMALL);
    let last = "files 8 words 27\n";
    assert_eq!(printed(root.path(), &["--top", "0"]), last);
    assert_eq!(printed(root.path(), &["--top", "1"]), format!("the 4\n{last}"));
    assert_eq!(printed(root.path(), &["--top", "2"]), format!("the 4\nend 3\n{last}"));
    assert_eq!(printed(root.path(), &["--top", ALL]), SMALL_COUNTED);

    let words: String = (b'a'..=b'z').map(|letter| format!("{} ", letter as char)).collect();
    let root = tree(&[("alphabet", words.as_bytes())]);
    assert_eq!(printed(root.path(), &[]).lines().count(), 20 + 1, "20 words unless told");
}

#[test]
fn a_directory_without_words_is_fine() {
    for files in [&[][..], &[("empty", &b""[..])], &[("a/b/c/digits", b"1 2 3")]] {
        let root = tree(files);
        assert_eq!(printed(root.path(), &[]), format!("files {} words 0\n", files.len()));
    }
}

/// Whatever the size of the buffer that files are read into, some words begin, end and go on at its
/// border; one word is longer than any buffer.
#[test]
fn words_across_buffer_borders_are_whole() {
    let round = b"it seven, lettered - sesquipedalian;";
    let many = round.repeat(40_000);
    let long = b"Ab".repeat(700_000);
    let mut mixed = many[..100_001].to_vec();
    mixed.extend_from_slice(&long);
    mixed.push(b'.');
    mixed.extend_from_slice(&many);
    let root = tree(&[("many", &many), ("long", &long), ("mixed", &mixed)]);
    assert_eq!(printed(root.path(), &["--top", ALL]), count_alone(root.path()));
}

/// A walk that followed the links would not end, and one that opened the pipe would wait for ever.
#[cfg(unix)]
#[test]
fn only_regular_files_are_read() {
    use std::os::unix::{ffi::OsStrExt as _, fs::symlink, net::UnixListener};

    let root = tree(&SMALL);
    let at = |name: &str| root.path().join(name);
    let outside = tree(&[("outside.txt", b"outside")]);
    symlink("a.txt", at("link_to_file")).expect("a link");
    symlink("bytes", at("link_to_directory")).expect("a link");
    symlink(outside.path(), at("bytes/link_to_outside")).expect("a link");
    symlink("..", at("bytes/deep/loop")).expect("a link");
    symlink("itself", at("itself")).expect("a link");
    symlink("nowhere", at("dangling")).expect("a link");
    let _socket = UnixListener::bind(at("socket")).expect("a socket");
    let made = Command::new("mkfifo").arg(at("pipe")).status().expect("mkfifo is there");
    assert!(made.success());
    assert_eq!(printed(root.path(), &[]), SMALL_COUNTED);

    // Names need not be UTF-8.
    write(&root.path().join(OsStr::from_bytes(b"\xff/\xfe")), b"the");
    let with_odd_name = SMALL_COUNTED.replace("the 4", "the 5").replace("8 words 27", "9 words 28");
    assert_eq!(printed(root.path(), &[]), with_odd_name);
}

/// Permissions do not stop root; a path that is too long for the system stops everybody.
#[cfg(unix)]
#[test]
fn what_cannot_be_read_is_reported_and_left_out() {
    use std::os::unix::fs::PermissionsExt as _;

    let root = tree(&[("kept", b"kept"), ("file", b"file"), ("directory/file", b"file")]);
    let too_long = too_long(root.path());
    let (file, directory) = (root.path().join("file"), root.path().join("directory"));
    for path in [&file, &directory] {
        fs::set_permissions(path, Permissions::from_mode(0o000)).expect("the path is ours");
    }
    let locked_out = fs::read(&file).is_err();

    let finished = count(root.path(), &[]);
    let reported = |path: &Path| finished.stderr.contains(&*path.to_string_lossy());
    assert!(reported(&too_long), "{finished:?}");
    assert_eq!((reported(&file), reported(&directory)), (locked_out, locked_out));
    let (left_out, counted) = match locked_out {
        true => (3, "kept 1\nfiles 1 words 1\n"),
        false => (1, "file 2\nkept 1\nfiles 3 words 3\n"),
    };
    assert_eq!((finished.code, &*finished.stdout), (Some(0), counted), "{finished:?}");
    assert!(finished.stderr.contains(&format!("left out {left_out} ")), "{finished:?}");

    // Else it could not be deleted.
    fs::set_permissions(&directory, Permissions::from_mode(0o700)).expect("the path is ours");
}

/// Makes a chain of directories with a path that is too long. Returns the longest directory in it
/// that can still be named by its path.
fn too_long(root: &Path) -> PathBuf {
    // Two chains, each short enough to be made, the second then moved to the end of the first.
    let chain = |start: PathBuf| (0..12).fold(start, |path, _| path.join("x".repeat(200)));
    let (first, second) = (chain(root.join("first")), chain(root.join("second")));
    fs::create_dir_all(&first).expect("directories");
    write(&second.join("unreachable"), b"unreachable");
    fs::rename(root.join("second"), first.join("second")).expect("the chain is ours");
    first
}

#[test]
fn a_root_that_cannot_be_walked_is_an_error() {
    let root = tree(&SMALL);
    let missing = count(&root.path().join("missing"), &[]);
    assert_eq!((missing.code, &*missing.stdout), (Some(1), ""));
    assert!(missing.stderr.contains("error: "), "{missing:?}");
    assert!(missing.stderr.contains("missing: No such file or directory"), "{missing:?}");

    let device = count(Path::new("/dev/null"), &[]);
    assert_eq!((device.code, &*device.stdout), (Some(1), ""));
    assert!(device.stderr.contains("not a directory or a regular file"), "{device:?}");

    assert_eq!(run(WORD_COUNT, [""; 0]).code, Some(2), "a directory must be given");
    assert_eq!(count(root.path(), &["-n", "0"]).code, Some(1));
}

#[cfg(unix)]
#[test]
fn the_root_may_be_a_file_or_a_link() {
    let root = tree(&SMALL);
    let file = root.path().join("bytes/deep/er/.hidden");
    assert_eq!(printed(&file, &[]), "end 1\nfiles 1 words 1\n");
    let elsewhere = tempdir().expect("a directory for the test");
    let link = elsewhere.path().join("link");
    std::os::unix::fs::symlink(root.path(), &link).expect("a link");
    assert_eq!(printed(&link, &[]), SMALL_COUNTED);
}

/// As with `| head`.
#[test]
fn nobody_has_to_read_the_output() {
    let words: String = (0..60_000).map(|n| word(n) + "\n").collect();
    let root = tree(&[("words", words.as_bytes())]);
    let mut child = Command::new(WORD_COUNT)
        .arg(root.path())
        .args(["--top", ALL])
        .env_remove("RUST_LOG")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // It writes more than a pipe holds, so it gets to know.
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("the program ends");
    assert_eq!((output.status.code(), &*String::from_utf8_lossy(&output.stderr)), (Some(0), ""));
}

/// A word for each number.
fn word(mut number: u32) -> String {
    let mut word = String::from("w");
    while number > 0 {
        word.push((b'a' + (number % 26) as u8) as char);
        number /= 26;
    }
    word
}

#[test]
fn nobody_has_to_read_the_errors() {
    let root = tree(&SMALL);
    let mut child = Command::new(WORD_COUNT)
        .args([root.path(), Path::new("-vvv")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stderr.take());
    let output = child.wait_with_output().expect("the program ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stdout), SMALL_COUNTED);
}

#[test]
fn a_large_real_tree_is_counted_exactly() {
    let root = real_tree();
    let reference = count_in_python(&root).unwrap_or_else(|| count_alone(&root));
    for flags in [&["-n", "1"][..], &["-n", "4"], &["--processes", "-n", "3"]] {
        let counted = printed(&root, &[&["--top", ALL], flags].concat());
        let mut pairs = counted.lines().zip(reference.lines());
        let first_difference = pairs.find(|(mine, theirs)| mine != theirs);
        assert_eq!(first_difference, None, "{}", root.display());
        assert_eq!(counted.len(), reference.len(), "{}", root.display());
    }
}

/// Documentation of the standard library, else the sources of a crate that cargo has fetched, else
/// this repository's sources.
fn real_tree() -> PathBuf {
    let here = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../prunner/src");
    documentation().or_else(fetched_crate).unwrap_or_else(here)
}

fn documentation() -> Option<PathBuf> {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?.stdout;
    let sysroot = PathBuf::from(String::from_utf8(sysroot).ok()?.trim());
    Some(sysroot.join("share/doc/rust/html/alloc")).filter(|path| path.is_dir())
}

/// A large one, which is always there.
fn fetched_crate() -> Option<PathBuf> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(env::home_dir()?.join(".cargo")))?;
    let registries = fs::read_dir(home.join("registry/src")).ok()?.flatten();
    let mut crates = registries.filter_map(|it| fs::read_dir(it.path()).ok()).flatten().flatten();
    let found = crates.find(|it| it.file_name().to_string_lossy().starts_with("libc-0.2"))?;
    Some(found.path())
}

/// The independent count: one file after the other, one letter after the other.
fn count_alone(root: &Path) -> String {
    let (mut words, mut files) = (BTreeMap::new(), 0);
    let mut left = vec![root.to_path_buf()];
    while let Some(path) = left.pop() {
        let kind = fs::symlink_metadata(&path).expect("the tree does not change").file_type();
        if kind.is_dir() {
            let entries = fs::read_dir(&path).expect("the tree can be read");
            left.extend(entries.map(|entry| entry.expect("the tree can be read").path()));
        } else if kind.is_file() {
            files += 1;
            count_letters(&fs::read(&path).expect("the tree can be read"), &mut words);
        }
    }
    let total: u64 = words.values().sum();
    // The order of the alphabet remains among equal counts.
    let mut sorted: Vec<(String, u64)> = words.into_iter().collect();
    sorted.sort_by_key(|(_, count)| Reverse(*count));
    let lines = sorted.iter().map(|(word, count)| format!("{word} {count}\n"));
    lines.chain([format!("files {files} words {total}\n")]).collect()
}

fn count_letters(bytes: &[u8], words: &mut BTreeMap<String, u64>) {
    let mut word = String::new();
    for &byte in bytes.iter().chain(b".") {
        if byte.is_ascii_alphabetic() {
            word.push(byte.to_ascii_lowercase() as char);
        } else if !word.is_empty() {
            *words.entry(mem::take(&mut word)).or_default() += 1;
        }
    }
}

/// The same in Python, where there is one.
fn count_in_python(root: &Path) -> Option<String> {
    const COUNT: &str = r#"
import collections, os, re, stat, sys
words, files = collections.Counter(), 0
for folder, _, names in os.walk(os.fsencode(sys.argv[1])):
    for path in [os.path.join(folder, name) for name in names]:
        if stat.S_ISREG(os.lstat(path).st_mode):
            files += 1
            with open(path, "rb") as file:
                words.update(re.findall(rb"[a-z]+", file.read().lower()))
for word, count in sorted(words.items(), key=lambda item: (-item[1], item[0])):
    print(word.decode(), count)
print("files", files, "words", sum(words.values()))
"#;
    python(COUNT, root)
}
