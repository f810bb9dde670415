use prunner::{Key, global_lock};

struct Connection;

const CONNECTION: Key<Connection> = Key::new("connection");

fn main() {
    global_lock().insert(CONNECTION, Connection);
}
