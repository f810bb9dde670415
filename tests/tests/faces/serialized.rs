//! Reports for other programs.

use prunner::{Failure, post_task, task};
use serde_json::{Value, json};

use super::{Engine, report};

#[task]
fn half(n: u64) -> Result<(), String> {
    assert!(n != 5, "five");
    if n.is_multiple_of(2) { Ok(()) } else { Err("odd".into()) }
}

#[test]
fn a_report_is_written_with_these_fields() {
    for engine in Engine::all() {
        let error = engine.fails(|| (0..6).for_each(|n| post_task(half, n)));
        let report = report(&error);
        let text = serde_json::to_string(report).expect("it can be written");
        let read: Value = serde_json::from_str(&text).expect("it can be read");
        let fields = |value: &Value| -> Vec<String> {
            value.as_object().expect("an object").keys().cloned().collect()
        };
        let all = ["elapsed_ns", "failures", "labels", "ledger", "workers", "workers_started"];
        assert_eq!(fields(&read), all);
        assert_eq!(read["ledger"], json!({ "posted": 6, "finished": 3, "dead": 3, "left": 0 }));
        assert_eq!(read["workers"], json!(report.workers()));
        assert_eq!(read["workers_started"], json!(report.workers_started()));
        assert_eq!(read["elapsed_ns"], json!(report.elapsed().as_nanos() as u64));

        let label = &read["labels"][0];
        let row = report.label("serialized::half").expect("it ran");
        let nanos = |share| row.quantile(share).map(|time| time.as_nanos() as u64);
        let expected = json!({
            "label": "serialized::half", "finished": 3, "dead": 3, "measured": row.measured(),
            "mean_ns": row.mean().map(|time| time.as_nanos() as u64), "median_ns": nanos(0.5),
            "p99_ns": nanos(0.99), "longest_ns": nanos(1.0),
        });
        assert_eq!((label, read["labels"].as_array().map(Vec::len)), (&expected, Some(1)));

        let failures: Vec<Failure> =
            serde_json::from_value(read["failures"].clone()).expect("they can be read again");
        let texts = |all: &[Failure]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(texts(&failures), texts(report.failures()));
        assert_eq!(failures.len(), 3);
        for (failure, written) in failures.iter().zip(read["failures"].as_array().expect("a list"))
        {
            let expected = json!({
                "label": failure.label(), "data": failure.data(), "message": failure.message(),
                "is_panic": failure.is_panic(), "place": failure.place(), "worker": failure.worker(),
            });
            assert_eq!(written, &expected);
        }
    }
}
