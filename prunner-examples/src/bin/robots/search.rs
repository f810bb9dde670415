//! Searching logs: a task for each file, a set of hosts from each task.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{self, File},
    io::{self, BufRead, BufReader},
    path::Path,
};

use flate2::bufread::MultiGzDecoder;
use prunner::{Key, Sum, TaskResult, dict, merge, post_task, task};
use prunner_examples::{FilePath, print};
use serde::{Deserialize, Serialize};

const HOSTS: Key<BTreeSet<String>> = Key::new("hosts");
const MALFORMED: Key<Sum<u64>> = Key::new("malformed lines");
const DAMAGED: Key<Sum<u64>> = Key::new("damaged files");

/// Finds the hosts in the logs of one directory.
#[derive(Serialize, Deserialize)]
pub(crate) struct Search {
    pub(crate) directory: FilePath,
}

#[task]
impl Search {
    pub(crate) fn begin(&self) -> TaskResult {
        let in_directory = |error| format!("{}: {error}", self.directory.display());
        for entry in fs::read_dir(&self.directory).map_err(in_directory)? {
            let path = entry.map_err(in_directory)?.path();
            if is_log(&path) {
                post_task(Search::read_log, FilePath::from(path));
            }
        }
        Ok(())
    }

    #[task]
    fn read_log(&self, path: FilePath) {
        let mut hosts = BTreeSet::new();
        let read = for_each_line(&path, |number, line| match Line::parse(line) {
            Some(line) if !line.asks_for_robots() => {}
            Some(Line { host, .. }) if hosts.contains(host) => {}
            Some(Line { host, .. }) => _ = hosts.insert(host.to_string()),
            None => {
                log::warn!("{}:{number}: malformed line", path.display());
                merge(MALFORMED, Sum(1));
            }
        });
        if let Err(Damage { line, error }) = read {
            log::warn!("{}:{line}: cannot be read from here on: {error}", path.display());
            merge(DAMAGED, Sum(1));
        }
        merge(HOSTS, hosts);
    }

    pub(crate) fn end(&self) -> TaskResult {
        let hosts = dict().get(HOSTS).unwrap_or_default();
        print(|out| hosts.iter().try_for_each(|host| writeln!(out, "{host}")))?;
        let Sum(malformed) = dict().get(MALFORMED).unwrap_or_default();
        let Sum(damaged) = dict().get(DAMAGED).unwrap_or_default();
        if malformed + damaged > 0 {
            log::warn!("left out {malformed} malformed lines and the rest of {damaged} files");
        }
        Ok(())
    }
}

fn is_log(path: &Path) -> bool {
    let name = path.file_name().map_or(&[][..], OsStr::as_encoded_bytes);
    name.ends_with(b".log.gz") && path.is_file()
}

/// Where and why a log cannot be read to its end.
struct Damage {
    line: u64,
    error: io::Error,
}

/// Gives each line of a compressed log, without its end, and its number to `found`.
fn for_each_line(path: &Path, mut found: impl FnMut(u64, &str)) -> Result<(), Damage> {
    let damage = |line| move |error| Damage { line, error };
    let file = BufReader::new(File::open(path).map_err(damage(1))?);
    let mut log = BufReader::with_capacity(64 * 1024, MultiGzDecoder::new(file));
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if log.read_until(b'\n', &mut line).map_err(damage(number))? == 0 {
            break;
        }
        let text = String::from_utf8_lossy(&line);
        found(number, text.trim_end_matches(['\r', '\n']));
    }
    Ok(())
}

/// What matters of a well-formed line.
struct Line<'a> {
    host: &'a str,
    request: &'a str,
}

impl<'a> Line<'a> {
    /// Takes `host ident user [date] "request"` apart.
    fn parse(line: &'a str) -> Option<Self> {
        let (host, rest) = line.split_once(' ')?;
        let (ident, rest) = rest.split_once(' ')?;
        let (user, rest) = rest.split_once(' ')?;
        let (_date, rest) = rest.strip_prefix('[')?.split_once("] \"")?;
        let request = &rest[..closing_quote(rest)?];
        let complete = ![host, ident, user].contains(&"");
        complete.then_some(Self { host, request })
    }

    fn asks_for_robots(&self) -> bool {
        let path = self.request.split(' ').nth(1).unwrap_or_default();
        let query = path.strip_prefix("/robots.txt");
        query.is_some_and(|query| query.is_empty() || query.starts_with('?'))
    }
}

/// The first quote that no backslash protects.
fn closing_quote(text: &str) -> Option<usize> {
    let mut protected = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !protected;
        protected = byte == b'\\' && !protected;
        closes
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The host, if the line asks for robots.txt; `None` if it is malformed.
    fn robot(line: &str) -> Option<Option<&str>> {
        Line::parse(line).map(|line| line.asks_for_robots().then_some(line.host))
    }

    #[test]
    fn only_the_path_itself_counts() {
        let asked = |request: &str| {
            robot(&format!("a.example - - [10/Jul/2012:00:18:50 -0500] \"{request}\" 200 71"))
                .expect("the line is well-formed")
                .is_some()
        };
        assert!(asked("GET /robots.txt HTTP/1.1"));
        assert!(asked("HEAD /robots.txt?lang=en HTTP/1.0"));
        assert!(asked("GET /robots.txt"));
        assert!(!asked("GET /robots.txt.bak HTTP/1.1"));
        assert!(!asked("GET /old/robots.txt HTTP/1.1"));
        assert!(!asked("GET /?q=/robots.txt HTTP/1.1"));
        assert!(!asked("GET  /robots.txt HTTP/1.1"));
        assert!(!asked("-"));
        assert!(!asked(""));
    }

    #[test]
    fn quotes_in_the_request_may_be_protected() {
        assert_eq!(robot(r#"a - - [d] "GET /robots.txt?\" HTTP/1.1" 200 7"#), Some(Some("a")));
        assert_eq!(robot(r#"a - - [d] "GET /robots.txt?\\" HTTP/1.1" 200 7"#), Some(Some("a")));
        assert_eq!(robot(r#"a - - [d] "GET /\" /robots.txt" 200 7"#), Some(None));
        assert_eq!(robot(r#"a - - [d] "GET /robots.txt\""#), None);
    }

    #[test]
    fn lines_of_another_form_are_malformed() {
        let request = "\"GET /robots.txt HTTP/1.1\" 200 71";
        assert_eq!(robot(&format!("a - - [d] {request}")), Some(Some("a")));
        assert_eq!(robot(&format!("a - [d] {request}")), None);
        assert_eq!(robot(&format!("a  - [d] {request}")), None);
        assert_eq!(robot(&format!(" - - [d] {request}")), None);
        assert_eq!(robot(&format!("a - - d {request}")), None);
        assert_eq!(robot(&format!("a - - [d {request}")), None);
        assert_eq!(robot("a - - [d] GET /robots.txt HTTP/1.1"), None);
        assert_eq!(robot("a - - [d] \"GET /robots.txt HTTP/1.1"), None);
        assert_eq!(robot("a"), None);
        assert_eq!(robot(""), None);
    }
}
