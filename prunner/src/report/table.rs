//! The table of labels that the report prints.

use std::{fmt, time::Duration};

use super::LabelReport;

const HEAD: [&str; 7] = ["label", "finished", "dead", "mean", "median", "99 %", "longest"];

/// How many labels the table shows.
const MOST_ROWS: usize = 100;

/// Writes the table behind what is there already; nothing if there are no labels.
pub(super) fn write(f: &mut fmt::Formatter<'_>, labels: &[LabelReport]) -> fmt::Result {
    if labels.is_empty() {
        return Ok(());
    }
    let shown = with_most_tasks(labels);
    let rows: Vec<[String; 7]> =
        std::iter::once(HEAD.map(String::from)).chain(shown.iter().map(|row| cells(row))).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; 7] = std::array::from_fn(|column| width(column).unwrap_or(0));
    for row in &rows {
        write!(f, "\n  {:<width$}", row[0], width = widths[0])?;
        for (cell, width) in row.iter().zip(widths).skip(1) {
            write!(f, "  {cell:>width$}")?;
        }
    }
    match labels.len() - shown.len() {
        0 => Ok(()),
        more => write!(f, "\n  and {more} more labels"),
    }
}

/// The labels that are shown, in their order: those with the most dead tasks, then with the most tasks.
fn with_most_tasks(labels: &[LabelReport]) -> Vec<&LabelReport> {
    let mut shown: Vec<&LabelReport> = labels.iter().collect();
    shown.sort_by_key(|row| std::cmp::Reverse((row.dead(), row.finished())));
    shown.truncate(MOST_ROWS);
    shown.sort_by_key(|row| row.label());
    shown
}

fn cells(row: &LabelReport) -> [String; 7] {
    let short = |time: Option<Duration>| time.map_or("-".into(), |time| Short(time).to_string());
    [
        row.label().to_string(),
        row.finished().to_string(),
        row.dead().to_string(),
        short(row.mean()),
        short(row.quantile(0.5)),
        short(row.quantile(0.99)),
        short(row.quantile(1.0)),
    ]
}

/// A duration in three digits and the unit that fits.
pub(super) struct Short(pub(super) Duration);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos() as f64;
        let (value, unit) = match nanos {
            ..1e3 => (nanos, "ns"),
            ..1e6 => (nanos / 1e3, "us"),
            ..1e9 => (nanos / 1e6, "ms"),
            _ => (nanos / 1e9, "s"),
        };
        let digits = if value < 10.0 {
            2
        } else if value < 100.0 {
            1
        } else {
            0
        };
        let digits = if unit == "ns" { 0 } else { digits };
        write!(f, "{value:.digits$} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Table(Vec<LabelReport>);

    impl fmt::Display for Table {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write(f, &self.0)
        }
    }

    fn row(label: String, finished: u64, dead: u64) -> LabelReport {
        LabelReport { label, finished, dead, times: crate::stats::Times::new() }
    }

    #[test]
    fn the_rows_are_those_with_the_most_tasks() {
        let label = |n: u64| format!("label {n:04}");
        let few = Table((0..100).map(|n| row(label(n), 1, 0)).collect()).to_string();
        assert!(few.lines().count() == 102 && !few.contains("more"), "{few}");

        let dead = |n: u64| u64::from(n == 500);
        let many = Table((0..1000).map(|n| row(label(n), n, dead(n))).collect()).to_string();
        let lines: Vec<&str> = many.lines().collect();
        assert_eq!(lines.len(), 103, "an empty line, the head, a hundred rows, the others: {many}");
        assert!(lines[2].trim_start().starts_with("label 0500"), "{many}");
        assert!(lines[3].trim_start().starts_with("label 0901"), "{many}");
        assert_eq!(lines[102], "  and 900 more labels");
        assert_eq!(Table(Vec::new()).to_string(), "");
    }

    #[test]
    fn durations_have_the_unit_that_fits() {
        let short = |nanos| Short(Duration::from_nanos(nanos)).to_string();
        assert_eq!(short(7), "7 ns");
        assert_eq!(short(1_500), "1.50 us");
        assert_eq!(short(25_000), "25.0 us");
        assert_eq!(short(333_000_000), "333 ms");
        assert_eq!(short(61_000_000_000), "61.0 s");
    }
}
