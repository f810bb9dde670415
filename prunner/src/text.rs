//! Texts of the program as they are kept and printed: short, and harmless to a terminal.

use std::fmt::{self, Display, Write};

/// Upper bound of a label, or of the name of a type or a key, in bytes.
pub(crate) const MOST_LABEL: usize = 256;

/// Upper bound of the data of a task, in bytes.
pub(crate) const MOST_DATA: usize = 2 << 10;

/// Upper bound of the message of an error or a panic, in bytes.
pub(crate) const MOST_MESSAGE: usize = 4 << 10;

/// The end of a text that was cut.
const CUT: &str = "...";

/// A text that is being written. It takes no more than it may hold: from then on writing to it fails,
/// so that a `Debug` that would go on for megabytes ends there.
///
/// Control characters, and those that turn the direction of a line around, are escaped. A text that
/// went through this once stays as it is the second time.
#[derive(Debug)]
pub(crate) struct Text {
    text: String,
    most: usize,
    lines: Lines,
    /// The bytes that stay if the text has to be cut.
    kept: usize,
    is_cut: bool,
}

/// Upper bound of the lines of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lines {
    One,
    Many,
}

impl Text {
    fn new(most: usize, lines: Lines) -> Self {
        Self { text: String::new(), most, lines, kept: 0, is_cut: false }
    }

    /// A text for the data of a task.
    pub(crate) fn data() -> Self {
        Self::new(MOST_DATA, Lines::One)
    }

    /// A text for the message of an error or a panic, which may have several lines.
    pub(crate) fn message() -> Self {
        Self::new(MOST_MESSAGE, Lines::Many)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The text as far as it was written.
    pub(crate) fn finish(self) -> String {
        self.text
    }

    fn push(&mut self, c: char) -> fmt::Result {
        let start = self.text.len();
        if self.is_harmless(c) {
            self.text.push(c);
        } else {
            self.text.extend(c.escape_default());
        }
        let end = self.text.len();
        if end > self.most {
            self.text.truncate(self.kept.min(start));
            self.text.push_str(CUT);
            self.is_cut = true;
            return Err(fmt::Error);
        }
        if end <= self.most - CUT.len() {
            self.kept = end;
        }
        Ok(())
    }

    fn is_harmless(&self, c: char) -> bool {
        match c {
            '\n' | '\t' => self.lines == Lines::Many,
            // The ends of lines and the turns of direction that Unicode has.
            '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => false,
            _ => !c.is_control(),
        }
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.is_cut {
            return Err(fmt::Error);
        }
        text.chars().try_for_each(|c| self.push(c))
    }
}

/// Writes what `value` displays. A `Display` that fails leaves the text as far as it came.
fn written(mut text: Text, value: impl Display) -> String {
    let _ = write!(text, "{value}");
    text.finish()
}

/// A label or a name, on one line.
pub(crate) fn label(label: impl Display) -> String {
    written(Text::new(MOST_LABEL, Lines::One), label)
}

/// The data of a task, on one line.
pub(crate) fn data(data: impl Display) -> String {
    written(Text::data(), data)
}

/// The message of an error or a panic.
pub(crate) fn message(message: impl Display) -> String {
    written(Text::message(), message)
}

/// A message whose further lines are indented: none of them looks like the beginning of something else.
pub(crate) fn write_indented(f: &mut fmt::Formatter<'_>, message: &str) -> fmt::Result {
    for (number, line) in message.lines().enumerate() {
        if number > 0 {
            f.write_str("\n    ")?;
        }
        f.write_str(line)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn what_fits_stays_and_what_does_not_is_cut() {
        for length in [0, 1, MOST_LABEL - 3, MOST_LABEL] {
            assert_eq!(label("a".repeat(length)), "a".repeat(length));
        }
        for length in [MOST_LABEL + 1, 1 << 20] {
            let cut = label("a".repeat(length));
            assert_eq!(cut, "a".repeat(MOST_LABEL - 3) + "...");
            assert_eq!(label(&cut), cut, "it is not cut twice");
        }
        assert_eq!(data("b".repeat(1 << 20)).len(), MOST_DATA);
        assert_eq!(message("c".repeat(1 << 20)).len(), MOST_MESSAGE);
    }

    #[test]
    fn a_character_is_cut_away_as_a_whole() {
        for ahead in 0..8 {
            for one in ["\u{20ac}", "\u{1f980}", "\x1b", "\n"] {
                let cut = label("a".repeat(ahead) + &one.repeat(MOST_LABEL));
                let escaped: String =
                    if one == "\n" { r"\n".into() } else { label(one).to_string() };
                let whole = cut.strip_suffix("...").expect("it was cut");
                assert!(whole[ahead..].replace(&escaped, "").is_empty(), "{cut}");
                assert!(cut.len() <= MOST_LABEL && cut.len() > MOST_LABEL - 3 - escaped.len());
            }
        }
    }

    #[test]
    fn nothing_reaches_a_terminal_that_it_obeys() {
        let evil = "\x1b[2J\u{9b}1m\r\x07\0\x7f\u{202e}\u{2066}\u{2028}";
        let escaped = r"\u{1b}[2J\u{9b}1m\r\u{7}\u{0}\u{7f}\u{202e}\u{2066}\u{2028}";
        for shown in [label(evil), data(evil), message(evil)] {
            assert_eq!(shown, escaped);
            assert_eq!(message(&shown), escaped, "it is not escaped twice");
        }
        assert_eq!(label("two\nlines\tand a tab"), r"two\nlines\tand a tab");
        assert_eq!(message("two\nlines\tand a tab"), "two\nlines\tand a tab");
        assert_eq!(label("gr\u{fc}n \u{1f980} \\ \" '"), "gr\u{fc}n \u{1f980} \\ \" '");
    }

    /// A `Display` that goes on until it is stopped, and counts how often it wrote.
    struct Endless<'a>(&'a Cell<usize>);

    impl Display for Endless<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            loop {
                self.0.set(self.0.get() + 1);
                f.write_str("0123456789")?;
            }
        }
    }

    #[test]
    fn what_would_go_on_for_ever_is_stopped() {
        let writes = Cell::new(0);
        assert_eq!(data(Endless(&writes)).len(), MOST_DATA);
        assert!(writes.get() <= MOST_DATA / 10 + 1, "{} writes", writes.get());
    }

    #[test]
    fn a_text_that_is_full_stays_as_it_is() {
        let mut text = Text::data();
        assert!(text.write_str(&"a".repeat(MOST_DATA + 1)).is_err());
        assert!(text.write_str("").is_err());
        assert_eq!(text.finish(), "a".repeat(MOST_DATA - 3) + "...");
    }

    #[test]
    fn further_lines_are_indented() {
        struct Indented(&'static str);
        impl Display for Indented {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_indented(f, self.0)
            }
        }
        assert_eq!(Indented("one").to_string(), "one");
        assert_eq!(
            Indented("one\n  two\n\nthree\n").to_string(),
            "one\n      two\n    \n    three"
        );
        assert_eq!(Indented("").to_string(), "");
    }
}
