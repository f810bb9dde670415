//! What workers print: all of it arrives, line by line.

use prunner_tests::{
    deeds::{LINE, line},
    process::Ended,
};

use super::{Family, alone};

const LINES: u64 = 20_000;

fn printed(scene: &str) -> Ended {
    let ended = Family::start(scene, &[""]).end();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.errors);
    ended
}

/// Each of two deeds has printed its lines in order, behind the prefix of its worker.
#[track_caller]
fn assert_whole(text: &str, of: &str, prefixed: bool) {
    let mut next = vec![0_u64; 2];
    for text in text.lines() {
        let (worker, text) = match text.split_once("] ").filter(|_| prefixed) {
            Some((worker, text)) => (worker.trim_start_matches('['), text),
            None => ("", text),
        };
        if !text.starts_with(of) {
            continue;
        }
        assert_eq!(text.len(), LINE, "{text}");
        assert!(!prefixed || ["0", "1"].contains(&worker), "{worker}");
        let place = next.iter().position(|n| text == line(of, *n));
        next[place.unwrap_or_else(|| panic!("out of order: {text}"))] += 1;
    }
    assert_eq!(next, [LINES, LINES]);
}

#[test]
fn megabytes_of_output_arrive() {
    let _alone = alone();
    for (scene, prefixed) in [("print", false), ("print with prefix", true)] {
        let ended = printed(scene);
        assert_whole(&ended.output, "out", prefixed);
        assert_whole(&ended.errors, "err", prefixed);
        let last = ended.output.lines().rfind(|it| it.starts_with("well: "));
        assert_eq!(last, Some("well: posted 2 = finished 2 + dead 0; sum 0"));
    }
}
