//! The most frequent words in the files below a directory.
//!
//! A directory is a task that posts a task for each of its entries. How many there will be is not
//! known beforehand, and need not be: the run ends when nothing is left.
//!
//! ```text
//! cargo run -p prunner --example word_counter -- docs
//! ```

use std::{env, fs, path::PathBuf};

use prunner::{Context, Counter, Dict, Key, Labeled, ParallelTaskRunner, Runner, Sum, TaskResult};

const WORDS: Key<Counter<String>> = Key::new("words");
const FILES: Key<Sum<u64>> = Key::new("files");

#[derive(Labeled)]
enum Visit {
    Directory(PathBuf),
    File(PathBuf),
}

struct WordCounter {
    root: PathBuf,
}

impl ParallelTaskRunner for WordCounter {
    type Task = Visit;

    fn begin(&self, cx: &mut Context<'_, Visit>) -> TaskResult {
        cx.post(Visit::Directory(self.root.clone()));
        Ok(())
    }

    fn run(&self, visit: &Visit, cx: &mut Context<'_, Visit>) -> TaskResult {
        match visit {
            Visit::Directory(path) => {
                for entry in fs::read_dir(path)? {
                    let entry = entry?;
                    // Symbolic links are neither, and are not followed.
                    let kind = entry.file_type()?;
                    if kind.is_dir() {
                        cx.post(Visit::Directory(entry.path()));
                    } else if kind.is_file() {
                        cx.post(Visit::File(entry.path()));
                    }
                }
            }
            Visit::File(path) => {
                let text = String::from_utf8_lossy(&fs::read(path)?).to_lowercase();
                let words =
                    text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty());
                cx.merge(WORDS, words.map(String::from).collect());
                cx.merge(FILES, Sum(1));
            }
        }
        Ok(())
    }

    fn end(&self, dict: &Dict) -> TaskResult {
        let words = dict.get(WORDS).unwrap_or_default();
        for (word, count) in words.most_common(10) {
            println!("{count:6} {word}");
        }
        println!("{} words in {} files", words.total(), dict.get(FILES).unwrap_or_default().0);
        Ok(())
    }
}

fn main() -> Result<(), prunner::Error> {
    let root = env::args_os().nth(1).map_or_else(|| PathBuf::from("."), PathBuf::from);
    Runner::new(WordCounter { root }).start()?;
    Ok(())
}
