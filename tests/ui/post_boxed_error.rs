use prunner::post_task;

fn fetch(_: String) -> Result<(), Box<dyn std::error::Error>> {
    Ok(())
}

fn main() {
    post_task(fetch, String::new());
}
