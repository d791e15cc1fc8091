//! Directories and ports for the hubs.

use std::cell::Cell;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use crate::system::{Place, Result};

/// Ports that a [`Place`] has.
const PORTS: u16 = 8;

/// Where ports are looked for: above the registered services, below those that Linux gives to clients.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// A directory for one run, which goes with it.
pub struct Places {
    root: PathBuf,
    made: Cell<u32>,
    next_port: Cell<u16>,
}

impl Places {
    /// Makes the directory; its path is short, since that of a Unix socket has to be.
    pub fn new() -> Result<Places> {
        Places::at(std::env::temp_dir().join(format!("nanostate-bench-{}", std::process::id())))
    }

    /// As [`Places::new`], there.
    pub fn at(root: PathBuf) -> Result<Places> {
        fs::create_dir(&root).map_err(|e| format!("cannot make {}: {e}", root.display()))?;
        let start = RANGE.start + (std::process::id() as u16 % (RANGE.len() as u16 / PORTS)) * PORTS;
        Ok(Places { root, made: Cell::new(0), next_port: Cell::new(start) })
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A place that no other hub has.
    pub fn place(&self) -> Result<Place> {
        let number = self.made.replace(self.made.get() + 1);
        let directory = self.root.join(number.to_string());
        fs::create_dir(&directory).map_err(|e| format!("cannot make {}: {e}", directory.display()))?;
        Ok(Place { directory, port: self.ports()? })
    }

    /// The first of some ports that are free now.
    fn ports(&self) -> Result<u16> {
        for _ in 0..RANGE.len() as u16 / PORTS {
            let first = self.next_port.get();
            let after = first + PORTS;
            self.next_port.set(if after + PORTS > RANGE.end { RANGE.start } else { after });
            let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
            if (first..after).all(free) {
                return Ok(first);
            }
        }
        Err(format!("no {PORTS} free ports on 127.0.0.1 between {} and {}", RANGE.start, RANGE.end))
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        // What is left in the directory for temporary files does no harm.
        let _ = fs::remove_dir_all(&self.root);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(test: &str) -> Places {
        Places::at(std::env::temp_dir().join(format!("nanostate-bench-test-{}-{test}", std::process::id()))).unwrap()
    }

    #[test]
    fn places_have_directories_and_ports_of_their_own_and_go_with_the_run() {
        let places = places("own");
        let (one, other) = (places.place().unwrap(), places.place().unwrap());
        assert_ne!(one.directory, other.directory);
        assert!(one.port.abs_diff(other.port) >= PORTS);
        assert!(one.directory.is_dir());
        let root = places.root().to_owned();
        drop(places);
        assert!(!root.exists());
    }

    #[test]
    fn ports_that_are_taken_are_passed_over() {
        let places = places("taken");
        let free = places.ports().unwrap();
        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, free + 3)).unwrap();
        places.next_port.set(free);
        assert_ne!(places.ports().unwrap(), free);
    }
}
