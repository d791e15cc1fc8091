//! 200 WebSockets on one hub, of which three attack: what the others do with and without them.

#![allow(unsafe_code)] // poll

use std::io;
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nanostate::{App, Kind, Value};

use crate::attacks::pages::THREE;
use crate::hub::Hub;
use crate::peer::Peer;
use crate::storm::Attackers;

/// The others.
const PAGES: usize = 197;
/// What an app publishes for all of them: each so many bytes, at this pace, under so many names.
const VALUE: usize = 1000;
const PACE: Duration = Duration::from_millis(2);
const NAMES: usize = 100;

/// What one run came to.
struct Run {
    /// Round trips of all pages.
    trips: u64,
    /// The most memory that the hub had, in bytes.
    peak: u64,
}

/// Runs with and without the three in turn, and prints how many round trips the others had.
pub fn compare(pairs: usize, time: Duration) -> Result<(), String> {
    println!("{:>10} {:>10} {:>7} {:>5} {:>5}", "trips", "with three", "factor", "MiB", "MiB");
    let mut factors = Vec::new();
    for pair in 0..pairs {
        // Either comes first as often.
        let first = pair % 2 == 1;
        let (a, b) = (run(first, time)?, run(!first, time)?);
        let (without, with) = if first { (b, a) } else { (a, b) };
        let factor = without.trips as f64 / with.trips.max(1) as f64;
        let (trips, less) = (without.trips, with.trips);
        println!("{trips:>10} {less:>10} {factor:>7.3} {:>5} {:>5}", without.peak >> 20, with.peak >> 20);
        factors.push(factor);
    }
    factors.sort_by(f64::total_cmp);
    let middle = factors.get(factors.len() / 2).copied().unwrap_or_default();
    println!("median of {pairs} pairs of {} s each: {middle:.3}", time.as_secs());
    Ok(())
}

fn run(with_three: bool, time: Duration) -> Result<Run, String> {
    let mut hub = Hub::start();
    let failed = |error: io::Error| format!("a page failed: {error}");
    // Not what the attackers publish: the others would pay for reading it.
    let accept = Kind::Bytes.mask();
    let page = |i| Peer::app(&hub.addresses.ws, &format!("page-{i}"), accept);
    let mut pages = (0..PAGES).map(page).collect::<io::Result<Vec<_>>>().map_err(failed)?;
    let attackers = with_three.then(|| Attackers::prepare(THREE, &hub));
    let ends = Arc::new(AtomicBool::new(false));
    let publisher = publish(&hub.addresses.tcp, Arc::clone(&ends)).map_err(|error| error.to_string())?;
    let attackers = attackers.map(|mut attackers| {
        attackers.begin();
        attackers
    });
    let trips = exchange(&mut pages, time).map_err(failed);
    attackers.map(Attackers::end);
    ends.store(true, Ordering::Relaxed);
    let _ = publisher.join();
    if !hub.is_running() {
        return Err(format!("the hub ended\n{}", hub.words()));
    }
    Ok(Run { trips: trips?, peak: hub.peak() })
}

/// An app publishes at a steady pace, so that there is something to miss for a page that stops.
fn publish(url: &str, ends: Arc<AtomicBool>) -> nanostate::Result<thread::JoinHandle<()>> {
    let app = App::new("publishes")?;
    app.connect(Some(url))?;
    Ok(thread::spawn(move || {
        let bytes = [7; VALUE];
        for n in 0.. {
            if ends.load(Ordering::Relaxed) {
                break;
            }
            // What is not taken is missing in the end, for all alike.
            let _ = app.send(&format!("shown/{}", n % NAMES), Value::Bytes(&bytes));
            thread::sleep(PACE);
        }
    }))
}

/// Each page asks the hub for a sign of life, and again when it has that. Returns how often all of them had it.
fn exchange(pages: &mut [Peer], time: Duration) -> io::Result<u64> {
    let mut polls: Vec<_> =
        pages.iter().map(|page| libc::pollfd { fd: page.as_raw_fd(), events: libc::POLLIN, revents: 0 }).collect();
    let (mut trips, mut buffer, end) = (0, vec![0; 64 << 10], Instant::now() + time);
    pages.iter_mut().try_for_each(Peer::ping)?;
    while Instant::now() < end {
        // SAFETY: as many elements as there are, for the length of the call.
        unsafe { libc::poll(polls.as_mut_ptr(), polls.len() as libc::nfds_t, 100) };
        for (page, poll) in pages.iter_mut().zip(&polls) {
            if poll.revents != 0 {
                trips += page.ping_again(&mut buffer)?;
            }
        }
    }
    Ok(trips)
}
