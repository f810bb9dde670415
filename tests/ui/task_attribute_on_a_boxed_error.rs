use prunner::task;

// An error goes from thread to thread: `Box<dyn Error + Send + Sync>`, or `TaskResult`.
#[task]
fn fetch(_: String) -> Result<(), Box<dyn std::error::Error>> {
    Ok(())
}

fn main() {}
