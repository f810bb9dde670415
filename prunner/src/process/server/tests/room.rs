//! Suspects run alone in their process: what waits beside them belongs elsewhere.

use super::*;

/// A server whose first worker has died with these two tasks: both are suspects, and another worker has
/// taken its place.
fn two_suspects() -> Server {
    let (mut server, _) = server(1, &[b"a", b"b"]);
    server.wants(0, 0, &[1]);
    server.wants(0, 1, &[2]);
    server.is_over();
    server.close(0, &crash()).expect("memory does not fail");
    server.open(0, 2);
    server
}

fn starts_with(server: &mut Server, token: u128) {
    server.says(0, Up::Suspect { token: Token(token), label: "a task".into(), data: None });
}

fn gives_back(server: &mut Server, seat: u16, token: u128) {
    server.says(0, Up::Release { seat, token: Token(token), why: Release::Unstarted });
}

#[test]
fn nothing_is_leased_to_a_process_in_which_a_suspect_runs() {
    let mut server = two_suspects();
    server.wants(0, 0, &[3]);
    server.is_over();
    assert_eq!(leased(&server.told(0)), [b"a"]);
    starts_with(&mut server, 3);
    server.wants(0, 1, &[4]);
    server.is_over();
    assert_eq!(leased(&server.told(0)), [] as [Vec<u8>; 0]);
    // Another worker is started for what is queued.
    assert_eq!((server.idle_seats(), server.is_hungry()), (0, false));
    server.delivers(0, 0, Commit::new(Token(3)));
    assert_eq!(server.idle_seats(), 1);
    server.is_over();
    assert_eq!(leased(&server.told(0)), [b"b"]);
}

#[test]
fn a_suspect_that_was_given_back_does_not_come_again_where_others_run() {
    for elsewhere in [false, true] {
        let mut server = two_suspects();
        server.wants(0, 0, &[3]);
        server.wants(0, 1, &[4]);
        server.set_reserve(if elsewhere { 2 } else { 0 });
        server.is_over();
        assert_eq!(leased(&server.told(0)), [b"a", b"b"]);
        server.wants(0, 1, &[5]);
        gives_back(&mut server, 1, 4);
        server.is_over();
        // With nobody else to take it, it waits there rather than in the queue.
        let expected: &[&[u8]] = if elsewhere { &[] } else { &[b"b"] };
        assert_eq!(leased(&server.told(0)), expected);
        assert_eq!(server.idle_seats(), 0);
        server.delivers(0, 0, Commit::new(Token(3)));
        server.is_over();
        let expected: &[&[u8]] = if elsewhere { &[b"b"] } else { &[] };
        assert_eq!(leased(&server.told(0)), expected);
    }
}
