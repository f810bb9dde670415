//! Counts the words in all files of a directory tree: a pile of tasks that grows as it is worked off.
//!
//! Listing a directory is a task, which posts a task for each entry; counting the words of a file
//! is a task, which counts for itself and merges once. Nobody knows beforehand how much there is to
//! do, and nobody has to: the run ends when nothing is left.
//!
//! ```text
//! cargo run --release --bin word_count -- ~/.cargo/registry/src
//! cargo run --release --bin word_count -- . --top 5 -n 2 -v
//! ```
//!
//! A word is as many ASCII letters in a row as there are, in lower case. A file is looked at as
//! bytes, whatever its encoding. Only regular files are read, and symbolic links in the tree are
//! not followed. What cannot be read is reported, left out and does no harm to the rest.

use std::{
    cell::RefCell,
    fs::{self, File},
    io::{self, ErrorKind, Read},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;
use prunner::{Context, Counter, Dict, Key, Labeled, ParallelTaskRunner, Sum, TaskResult};
use prunner_examples::{FilePath, RunFlags, print};
use serde::{Deserialize, Serialize};

const WORDS: Key<Counter<String>> = Key::new("words");
const FILES: Key<Sum<u64>> = Key::new("files");
const UNREADABLE: Key<Sum<u64>> = Key::new("unreadable");

#[derive(Labeled, Serialize, Deserialize)]
enum Visit {
    Directory(FilePath),
    File(FilePath),
}

#[derive(Serialize, Deserialize)]
struct WordCount {
    root: FilePath,
    top: usize,
}

impl ParallelTaskRunner for WordCount {
    type Task = Visit;

    fn begin(&self, cx: &mut Context<'_, Visit>) -> TaskResult {
        let root = self.root.clone();
        let kind = fs::metadata(&root).map_err(|error| format!("{}: {error}", root.display()))?;
        if kind.is_dir() {
            cx.post(Visit::Directory(root));
        } else if kind.is_file() {
            cx.post(Visit::File(root));
        } else {
            return Err(format!("{}: not a directory or a regular file", root.display()).into());
        }
        Ok(())
    }

    fn run(&self, visit: &Visit, cx: &mut Context<'_, Visit>) -> TaskResult {
        let (path, result) = match visit {
            Visit::Directory(path) => (path, post_entries(path, cx)),
            Visit::File(path) => (path, count_file(path, cx)),
        };
        if let Err(error) = result {
            log::warn!("cannot read {}: {error}", path.display());
            cx.merge(UNREADABLE, Sum(1));
        }
        Ok(())
    }

    fn end(&self, dict: &Dict) -> TaskResult {
        let no_words = Counter::new();
        let words = dict.get_ref(WORDS).unwrap_or(&no_words);
        let files = dict.get(FILES).unwrap_or_default().0;
        print(|out| {
            for (word, count) in words.most_common(self.top) {
                writeln!(out, "{word} {count}")?;
            }
            writeln!(out, "files {files} words {}", words.total())
        })?;
        if let Some(Sum(unreadable)) = dict.get(UNREADABLE) {
            log::warn!("left out {unreadable} files and directories that could not be read");
        }
        Ok(())
    }
}

/// Posts a task for each directory and each regular file in `directory`.
fn post_entries(directory: &Path, cx: &mut Context<'_, Visit>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // Of the entry itself: a symbolic link is neither a directory nor a file.
        let kind = entry.file_type()?;
        if kind.is_dir() {
            cx.post(Visit::Directory(entry.path().into()));
        } else if kind.is_file() {
            cx.post(Visit::File(entry.path().into()));
        }
    }
    Ok(())
}

/// Counts the words of one file; of a file that cannot be read to its end, none.
fn count_file(path: &Path, cx: &mut Context<'_, Visit>) -> io::Result<()> {
    thread_local! {
        /// Reused for all files that a worker reads.
        static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 64 * 1024]);
    }
    let file = File::open(path)?;
    let mut words = Counter::new();
    BUFFER.with_borrow_mut(|buffer| for_each_word(file, buffer, |word| words.add_ref(word)))?;
    cx.merge(WORDS, words);
    cx.merge(FILES, Sum(1));
    Ok(())
}

/// Gives all words that `file` contains to `found`.
fn for_each_word(
    mut file: impl Read,
    buffer: &mut Vec<u8>,
    mut found: impl FnMut(&str),
) -> io::Result<()> {
    // So many bytes at the start of the buffer begin a word, whose rest is yet to be read.
    let mut begun = 0;
    loop {
        if begun == buffer.len() {
            buffer.resize(2 * begun, 0);
        }
        let read = match file.read(&mut buffer[begun..]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            result => result?,
        };
        let end = begun + read;
        buffer[begun..end].iter_mut().for_each(|byte| *byte = letter_or_space(*byte));
        let whole = if read == 0 { end } else { whole_words(&buffer[..end]) };
        let text = str::from_utf8(&buffer[..whole]).expect("letters and spaces are ASCII");
        text.split_ascii_whitespace().for_each(&mut found);
        if read == 0 {
            return Ok(());
        }
        buffer.copy_within(whole..end, 0);
        begun = end - whole;
    }
}

fn letter_or_space(byte: u8) -> u8 {
    if byte.is_ascii_alphabetic() { byte.to_ascii_lowercase() } else { b' ' }
}

/// Where the last word begins that may go on behind the end of `text`.
fn whole_words(text: &[u8]) -> usize {
    text.iter().rposition(|&byte| byte == b' ').map_or(0, |space| space + 1)
}

/// Counts the words in all files of a directory tree and prints the most frequent ones.
///
/// Prints a line `WORD COUNT` for each, the most frequent first, words of the same frequency in the
/// order of the alphabet, and then a line `files F words W`. Symbolic links in the tree are not
/// followed.
#[derive(Parser)]
struct Flags {
    /// The directory; a single file will do, too
    #[arg(value_name = "DIR")]
    root: PathBuf,

    /// How many words to print
    #[arg(long, value_name = "K", default_value_t = 20)]
    top: usize,

    #[command(flatten)]
    run: RunFlags,
}

fn main() -> ExitCode {
    prunner::worker_entry::<WordCount>();
    let Flags { root, top, run } = Flags::parse();
    run.start(WordCount { root: root.into(), top })
}
