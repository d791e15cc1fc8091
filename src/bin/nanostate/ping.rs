//! `nanostate ping`

use std::io::Write as _;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use log::LevelFilter;
use nanostate::{App, AppOption, LinkState, Status};

use crate::arguments::{seconds, Deadline};
use crate::{identity, logger, signals, stdio, Client, Failure};

/// Measure the time to the hub and back
///
/// A ping is answered once the hub has dealt with everything that came before it from this app, which sends nothing else.
/// The time is that until the answer is read here. Runs until SIGINT or SIGTERM, or --count.
#[derive(clap::Args)]
#[command(
    after_help = "Exit codes: 0 at least one ping was answered; 1 none was, or failed; 2 wrong usage; 130 and 143
stopped by SIGINT and SIGTERM before any was answered."
)]
pub struct Arguments {
    /// Stop after this many pings
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// From one ping to the next, in seconds
    #[arg(long, short, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    interval: Duration,
    /// How many seconds to wait for each answer, and at first for the hub
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    timeout: Duration,
    #[command(flatten)]
    client: Client,
}

/// Pings the hub.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { count, interval, timeout, client } = arguments;
    logger::start(client.log, LevelFilter::Off)?;
    let app = App::new(&identity::of("ping", &identity::run()?))?;
    app.set(AppOption::Observer, 1)?;
    app.set_accept(0)?;
    let (stopper, stopped) = mpsc::channel();
    let waiting = app.clone();
    let stop = signals::on_stop(move || {
        waiting.interrupt();
        let _ = stopper.send(());
    })?;
    let why = |failure: Failure| stop.signal().map_or(failure, Failure::Signal);
    let url = hears_address(&app)?;
    client.connect(&app)?;
    app.wait_connected(Some(timeout)).map_err(|error| why(error.into()))?;
    match app.dispatch(Some(Duration::ZERO), usize::MAX) {
        Err(error) if error.status() != Status::Timeout => return Err(why(error.into())),
        _ => {}
    }
    let url = url.try_iter().last().unwrap_or_default();

    let mut trips = Trips::default();
    let mut out = stdio::output()?;
    let started = Instant::now();
    while stop.signal().is_none() && count.is_none_or(|count| trips.sent < count) {
        let next = Deadline::after(Some(interval));
        match app.ping(Some(timeout)) {
            Err(error) if error.status() == Status::Interrupted => break,
            Err(error) if error.status() == Status::Timeout => {
                trips.sent += 1;
                writeln!(out, "ping {}: no answer: {error}", trips.sent)?;
            }
            Err(error) => return Err(error.into()),
            Ok(time) => {
                trips.sent += 1;
                trips.answered(time);
                writeln!(out, "ping {}: {} ms", trips.sent, milliseconds(time))?;
            }
        }
        if count == Some(trips.sent) || stopped.recv_timeout(next.left().unwrap_or(Duration::MAX)).is_ok() {
            break;
        }
    }
    out.write_all(trips.summary(&url, started.elapsed()).as_bytes())?;
    match trips.count {
        0 => Err(why(Failure::Failed(format!("the hub did not answer: {url}")))),
        _ => Ok(()),
    }
}

/// Where the address of the hub comes that has welcomed the app.
fn hears_address(app: &App) -> Result<mpsc::Receiver<String>, Failure> {
    let (sender, address) = mpsc::channel();
    let tell = move |link, _, text: &str| {
        if link == LinkState::Connected {
            let _ = sender.send(text.to_owned());
        }
    };
    app.on_link(Some(Box::new(tell)))?;
    Ok(address)
}

/// What came of the pings.
#[derive(Default)]
struct Trips {
    sent: u64,
    /// How many were answered, and their times.
    count: u32,
    total: Duration,
    least: Option<Duration>,
    most: Duration,
}

impl Trips {
    fn answered(&mut self, time: Duration) {
        self.count = self.count.saturating_add(1);
        self.total += time;
        self.least = Some(self.least.map_or(time, |least| least.min(time)));
        self.most = self.most.max(time);
    }

    /// The last lines.
    fn summary(&self, url: &str, elapsed: Duration) -> String {
        let Trips { sent, count, total, least, most } = self;
        let lost = sent.saturating_sub(u64::from(*count));
        let share = if *sent > 0 { lost * 100 / sent } else { 0 };
        let mut text = format!(
            "\n--- {url} ---\n{sent} pings sent, {count} answered, {share}% lost, time {} ms\n",
            elapsed.as_millis()
        );
        if let Some(least) = least {
            let [least, average, most] = [*least, *total / *count, *most].map(milliseconds);
            text += &format!("round trip min/avg/max = {least}/{average}/{most} ms\n");
        }
        text
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_has_the_least_the_mean_and_the_greatest_time() {
        let mut trips = Trips { sent: 4, ..Trips::default() };
        [2_000, 1_000, 6_000].map(Duration::from_micros).into_iter().for_each(|time| trips.answered(time));
        let summary = trips.summary("ipc:///hub", Duration::from_millis(3010));
        let lines = [
            "\n--- ipc:///hub ---",
            "4 pings sent, 3 answered, 25% lost, time 3010 ms",
            "round trip min/avg/max = 1.000/3.000/6.000 ms\n",
        ];
        assert_eq!(summary, lines.join("\n"));
        let none = Trips { sent: 1, ..Trips::default() }.summary("u", Duration::ZERO);
        assert_eq!(none, "\n--- u ---\n1 pings sent, 0 answered, 100% lost, time 0 ms\n");
    }
}
