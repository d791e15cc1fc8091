//! What a hub's process has in memory after a storm.

use crate::support::{until, CliHub, Raw, TempDir};
use nanostate::wire::Value;

const MIB: usize = 1 << 20;

#[test]
fn memory_goes_back_to_the_system_after_a_storm() {
    const READERS: usize = 40;
    /// Less than what may wait for one peer.
    const STATES: u64 = 3000;
    // On TCP the system takes as much as the hub keeps.
    let dir = TempDir::new();
    let hub = CliHub::start_with(["--listen", &dir.ipc()]);
    let readers: Vec<Raw> = (0..READERS).map(|n| Raw::v1(&hub.url, &format!("does-not-read-{n}"))).collect();
    let mut source = Raw::v1(&hub.url, "source");
    let value = [b'x'; 1000];
    let mut frames = Vec::new();
    for n in 0..STATES {
        let body = source.body(&format!("state/{}", n % 100), Value::Bytes(&value), n);
        source.frame(&body, &mut frames);
    }
    source.write(&frames);
    source.sync();
    let stormy = hub.process.resident();
    assert!(stormy >= 60 * MIB, "{stormy} bytes");
    drop(readers);
    until("memory goes back", || hub.process.resident() < 30 * MIB);
    source.sync();
}
