//! How much a test does: a number for every day, and more from the environment for a nightly run.

/// The number in the environment variable `name`, or `default` where it is not set.
///
/// # Panics
///
/// When the variable is not a number.
pub fn times(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => default,
    }
}
