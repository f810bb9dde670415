//! Two builds that meet: the worker refuses, and both are named.

use std::{
    fs::{self, File},
    io::{Read, Write},
    os::{
        fd::OwnedFd,
        unix::{fs::MetadataExt, net::UnixStream},
    },
    process::{Command, Output, Stdio},
    time::Duration,
};

use prunner_tests::{gate::PATIENCE, scratch::Scratch};

use super::{Family, SCENES, alone, assert_none_left};

/// A frame: its length and its bytes.
fn frame(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_le_bytes(), bytes].concat()
}

/// What a parent says first.
fn greeting(magic: &[u8; 8], protocol: u8, build: &str) -> Vec<u8> {
    assert!(protocol < 251 && build.len() < 251, "each is one byte long");
    let length = [build.len() as u8];
    frame(&[&magic[..], &[protocol], &length, build.as_bytes()].concat())
}

/// Starts a worker, says `words` to it and nothing else. Returns what it has answered and left.
fn answer(words: &[u8]) -> (Vec<u8>, Output) {
    let _alone = alone();
    let (mut ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    ours.set_read_timeout(Some(PATIENCE)).expect("it is a socket");
    let theirs = File::from(OwnedFd::from(theirs));
    let mark = format!("builds-{}", std::process::id());
    let name = theirs.metadata().expect("it is open").ino().to_string();
    let worker = Command::new(SCENES)
        .args(["meet", ""])
        .env("PRUNNER_WORKER", name)
        .env(super::MARK, &mark)
        .stdin(theirs)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    ours.write_all(words).expect("it reads");
    ours.shutdown(std::net::Shutdown::Write).expect("it is a socket");
    let mut answer = Vec::new();
    ours.read_to_end(&mut answer).expect("it ends in time");
    let output = worker.wait_with_output().expect("it is our child");
    assert_none_left(&mark, Duration::ZERO);
    (answer, output)
}

/// The text of a refusal: a frame with variant 1 and a text.
fn refusal(answer: &[u8]) -> String {
    let (length, rest) = answer.split_first_chunk::<4>().expect("there is a frame");
    assert_eq!(u32::from_le_bytes(*length) as usize, rest.len(), "one frame");
    // A text that long has its length in three bytes.
    let text = match rest {
        [1, 251, _, _, text @ ..] => text,
        [1, _, text @ ..] => text,
        _ => panic!("{rest:?} is no refusal"),
    };
    String::from_utf8_lossy(text).into_owned()
}

const MAGIC: &[u8; 8] = b"prunner\0";

#[test]
fn a_worker_of_another_build_refuses_and_names_both() {
    let (answer, output) = answer(&greeting(MAGIC, 1, "/elsewhere/program (7 bytes)"));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let errors = String::from_utf8_lossy(&output.stderr);
    for text in [&*refusal(&answer), &errors] {
        assert!(text.contains("another build"), "{text}");
        assert!(text.contains("/elsewhere/program (7 bytes)"), "{text}");
        assert!(text.contains(SCENES), "{text}");
    }
}

#[test]
fn a_worker_that_speaks_another_protocol_refuses() {
    let (answer, output) = answer(&greeting(MAGIC, 250, "/elsewhere/program"));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = refusal(&answer);
    assert!(text.contains("/elsewhere/program speaks 250"), "{text}");
    assert!(text.contains("speaks 1"), "{text}");
}

/// Whatever is at the other end: the worker ends with a message, and does not go on as a program.
#[test]
fn a_worker_that_is_not_greeted_ends() {
    let hostile: [&[u8]; 5] = [
        b"",
        &[1, 0],
        &frame(b"GET / HTTP/1.1"),
        &[255; 16],
        &greeting(b"crunner\0", 1, "/elsewhere"),
    ];
    for words in hostile {
        let (_, output) = answer(words);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {output:?}");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.starts_with("a worker process cannot begin: "), "{words:?}: {errors}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "main\n", "{words:?}");
    }
}

/// The program file is written anew between the start of the run and that of its workers.
#[test]
fn a_parent_whose_worker_refuses_names_both() {
    let _alone = alone();
    let scratch = Scratch::new();
    let copy = scratch.path().join("copy");
    fs::copy(SCENES, &copy).expect("there is room");
    let ended = Family::of(Command::new(&copy).args(["rebuilt", ""])).end();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    let error = ended.output.lines().rfind(|it| it.starts_with("error: ")).unwrap_or_default();
    assert!(error.contains("a worker process refuses to work: "), "{ended:?}");
    assert_eq!(error.matches(&*copy.to_string_lossy()).count(), 2, "{ended:?}");
}
