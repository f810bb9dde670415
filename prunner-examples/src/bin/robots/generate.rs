//! Writing logs to search in: a task for each file.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    ops::Range,
    path::Path,
};

use flate2::{Compression, write::GzEncoder};
use prunner::{TaskResult, post_task, task};
use prunner_examples::FilePath;
use serde::{Deserialize, Serialize};

/// Writes logs of made-up requests.
#[derive(Serialize, Deserialize)]
pub(crate) struct Generate {
    pub(crate) directory: FilePath,
    pub(crate) files: u64,
    pub(crate) lines: u64,
    pub(crate) seed: u64,
}

#[task]
impl Generate {
    pub(crate) fn begin(&self) -> TaskResult {
        fs::create_dir_all(&self.directory)
            .map_err(|error| format!("{}: {error}", self.directory.display()))?;
        for number in 0..self.files {
            post_task(Generate::write_log, number);
        }
        Ok(())
    }

    #[task]
    fn write_log(&self, number: u64) -> TaskResult {
        let path = self.directory.join(format!("access-{number:04}.log.gz"));
        self.write_members(number, &path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(())
    }

    /// Every third log consists of three gzip members, as if it had been appended to.
    fn write_members(&self, number: u64, path: &Path) -> io::Result<()> {
        let mut random = Random::new(self.seed, number);
        let members = if number % 3 == 2 { 3 } else { 1 };
        let first_line = |member| self.lines * member / members;
        let mut file = BufWriter::new(File::create(path)?);
        for member in 0..members {
            let lines = first_line(member)..first_line(member + 1);
            // Buffered, because many small writes are slow to compress.
            let mut gzip = BufWriter::new(GzEncoder::new(&mut file, Compression::fast()));
            write_lines(&mut gzip, number, lines, &mut random)?;
            gzip.into_inner()?.finish()?;
        }
        file.flush()
    }

    pub(crate) fn end(&self) {
        let Self { directory, files, lines, .. } = self;
        log::info!("{files} logs of {lines} lines each are in {}", directory.display());
    }
}

const METHODS: [&str; 4] = ["GET", "GET", "GET", "HEAD"];

/// Paths that are not `/robots.txt`, even if some look like it.
const PATHS: [&str; 8] = [
    "/",
    "/index.html",
    "/images/logo.png",
    "/blog/2012/07/?page=2",
    "/robots.txt.bak",
    "/old/robots.txt",
    "/search?q=/robots.txt",
    "/a%20b.html",
];

/// Writes one request a second, on a day of its own for each log.
fn write_lines(
    out: &mut impl Write,
    log: u64,
    lines: Range<u64>,
    random: &mut Random,
) -> io::Result<()> {
    for second in lines {
        let host = format_args!("124.115.{}.{}", random.below(200), random.below(250)).to_string();
        let path = match random.below(1000) {
            0 => "/robots.txt?lang=en",
            1..20 => "/robots.txt",
            _ => random.one_of(&PATHS),
        };
        writeln!(
            out,
            "{host} - - [{:02}/Jul/2012:{:02}:{:02}:{:02} -0500] \"{} {path} HTTP/1.1\" 200 {}",
            1 + log % 31,
            second / 3600 % 24,
            second / 60 % 60,
            second % 60,
            random.one_of(&METHODS),
            random.below(100_000),
        )?;
    }
    Ok(())
}

/// Numbers that look random: splitmix64.
struct Random(u64);

impl Random {
    /// The numbers for one log: independent of those for the others, and of who writes them when.
    fn new(seed: u64, log: u64) -> Self {
        Self(Self(seed).next() ^ Self(!log).next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_of<'a>(&mut self, texts: &[&'a str]) -> &'a str {
        texts[self.below(texts.len() as u64) as usize]
    }
}
