//! Reports for other programs: serde writes them, in a form that stays.

use std::time::Duration;

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::{LabelReport, Report};

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut report = serializer.serialize_struct("Report", 6)?;
        report.serialize_field("ledger", &self.ledger)?;
        report.serialize_field("labels", &self.labels)?;
        report.serialize_field("failures", &self.failures)?;
        report.serialize_field("elapsed_ns", &nanos(self.elapsed))?;
        report.serialize_field("workers", &self.workers)?;
        report.serialize_field("workers_started", &self.started)?;
        report.end()
    }
}

impl Serialize for LabelReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut label = serializer.serialize_struct("LabelReport", 8)?;
        label.serialize_field("label", self.label())?;
        label.serialize_field("finished", &self.finished())?;
        label.serialize_field("dead", &self.dead())?;
        label.serialize_field("measured", &self.measured())?;
        label.serialize_field("mean_ns", &self.mean().map(nanos))?;
        label.serialize_field("median_ns", &self.quantile(0.5).map(nanos))?;
        label.serialize_field("p99_ns", &self.quantile(0.99).map(nanos))?;
        label.serialize_field("longest_ns", &self.quantile(1.0).map(nanos))?;
        label.end()
    }
}

/// Nanoseconds in 64 bits, which do for 584 years: not every format has numbers of more.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
