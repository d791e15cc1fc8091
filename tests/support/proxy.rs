//! A door in front of a hub, so that a test decides when an app reaches it, and whether they hear of each other.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// Listens on an address of its own and passes connections on to a hub's, while it is open. Shut, it closes each at
/// once.
pub struct Gate {
    url: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    open: AtomicBool,
    /// What comes is lost, and nobody is told of an end.
    silent: AtomicBool,
    ended: AtomicBool,
    /// Both sides of each connection.
    streams: Mutex<Vec<TcpStream>>,
}

impl Gate {
    /// A gate to the hub at `hub`, `HOST:PORT`.
    pub fn open_to(hub: &str) -> Gate {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("tcp://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared { open: AtomicBool::new(true), ..Shared::default() });
        let (hub, door) = (hub.to_owned(), Arc::clone(&shared));
        thread::spawn(move || {
            for from in listener.incoming() {
                if door.ended.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(from), true) = (from, door.open.load(Ordering::SeqCst)) else {
                    continue;
                };
                if door.silent.load(Ordering::SeqCst) {
                    door.streams.lock().unwrap().push(from);
                    continue;
                }
                if let Ok(to) = TcpStream::connect(&hub) {
                    let mut streams = door.streams.lock().unwrap();
                    // It may have been shut since.
                    if !door.open.load(Ordering::SeqCst) {
                        continue;
                    }
                    for (mut a, mut b) in [(&from, &to), (&to, &from)].map(|(a, b)| (twin(a), twin(b))) {
                        let door = Arc::clone(&door);
                        thread::spawn(move || {
                            let _ = pass(&mut a, &mut b, &door.silent);
                            if !door.silent.load(Ordering::SeqCst) {
                                let _ = a.shutdown(Shutdown::Both);
                                let _ = b.shutdown(Shutdown::Both);
                            }
                        });
                    }
                    streams.extend([from, to]);
                }
            }
        });
        Gate { url, shared }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Ends the connections and lets none pass.
    pub fn shut(&self) {
        self.shared.open.store(false, Ordering::SeqCst);
        for stream in self.shared.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Connections stay, and new ones are taken, but nothing passes, not even the word that one has ended: as in a network
    /// that is cut.
    pub fn hush(&self) {
        self.shared.silent.store(true, Ordering::SeqCst);
    }

    /// Lets connections pass again, new ones if they were [hushed](Gate::hush).
    pub fn open(&self) {
        if self.shared.silent.load(Ordering::SeqCst) {
            self.shut();
            self.shared.silent.store(false, Ordering::SeqCst);
        }
        self.shared.open.store(true, Ordering::SeqCst);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shut();
        self.shared.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.url.trim_start_matches("tcp://"));
    }
}

fn twin(stream: &TcpStream) -> TcpStream {
    stream.try_clone().unwrap()
}

fn pass(from: &mut TcpStream, to: &mut TcpStream, silent: &AtomicBool) -> io::Result<()> {
    let mut bytes = [0; 1 << 14];
    loop {
        match from.read(&mut bytes)? {
            0 => return Ok(()),
            n if !silent.load(Ordering::SeqCst) => to.write_all(&bytes[..n])?,
            _ => {}
        }
    }
}
