use prunner::post_task;

fn main() {
    let name = String::from("local");
    post_task(|_: u64| println!("{name}"), 1);
}
