//! One result, one line: `NAME workers=W field=value ...`, for eyes and for `grep`.

use std::fmt::{self, Display, Formatter};

/// A line under construction.
pub(crate) struct Line(String);

impl Line {
    pub(crate) fn new(name: &str, workers: usize) -> Line {
        Line(format!("{name} workers={workers}"))
    }

    /// Adds `name=value`.
    pub(crate) fn field(mut self, name: &str, value: impl Display) -> Line {
        self.0 += &format!(" {name}={value}");
        self
    }

    /// Adds a number, with as many digits as are worth reading.
    pub(crate) fn number(self, name: &str, value: f64) -> Line {
        self.field(name, Digits(value))
    }

    /// Adds a number, or `-` where there is none.
    pub(crate) fn optional(self, name: &str, value: Option<f64>) -> Line {
        match value {
            Some(value) => self.number(name, value),
            None => self.field(name, "-"),
        }
    }

    /// Adds a whole percentage, or `-` where there is none.
    pub(crate) fn percent(self, name: &str, value: Option<f64>) -> Line {
        match value {
            Some(value) => self.field(name, format_args!("{value:.0}%")),
            None => self.field(name, "-"),
        }
    }

    /// Adds `above / below`, or `-` where that says nothing.
    pub(crate) fn ratio(self, name: &str, above: Option<f64>, below: Option<f64>) -> Line {
        match (above, below) {
            (Some(above), Some(below)) if below > 0.1 => {
                self.field(name, format_args!("{:.2}", above / below))
            }
            _ => self.field(name, "-"),
        }
    }
}

impl Display for Line {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

struct Digits(f64);

impl Display for Digits {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let digits = match self.0.abs() {
            size if size < 10.0 => 2,
            size if size < 100.0 => 1,
            _ => 0,
        };
        write!(f, "{:.digits$}", self.0)
    }
}
