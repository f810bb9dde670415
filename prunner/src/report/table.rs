//! The table of labels that the report prints.

use std::{fmt, time::Duration};

use super::LabelReport;

const HEAD: [&str; 7] = ["label", "finished", "dead", "mean", "median", "99 %", "longest"];

pub(super) fn write(f: &mut fmt::Formatter<'_>, labels: &[LabelReport]) -> fmt::Result {
    let rows: Vec<[String; 7]> =
        std::iter::once(HEAD.map(String::from)).chain(labels.iter().map(cells)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    // Formatting pads to no more than that, and panics.
    const WIDEST: usize = u16::MAX as usize;
    let widths: [usize; 7] = std::array::from_fn(|column| width(column).unwrap_or(0).min(WIDEST));
    for (line, row) in rows.iter().enumerate() {
        if line > 0 {
            writeln!(f)?;
        }
        write!(f, "  {:<width$}", row[0], width = widths[0])?;
        for (cell, width) in row.iter().zip(widths).skip(1) {
            write!(f, "  {cell:>width$}")?;
        }
    }
    Ok(())
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

    #[test]
    fn a_label_may_be_longer_than_formatting_can_pad() {
        use crate::engine::Times;
        struct Table([LabelReport; 2]);
        impl fmt::Display for Table {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write(f, &self.0)
            }
        }
        let row = |label: String| LabelReport { label, finished: 1, dead: 0, times: Times::new() };
        let table = Table([row("a".repeat(70_000)), row("b".into())]).to_string();
        assert!(table.contains(&"a".repeat(70_000)) && table.lines().count() == 3);
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
