//! `nanostate hub`

use std::io::Write as _;
use std::sync::mpsc;

use log::LevelFilter;
use nanostate::visible::one_line;
use nanostate::{limits, Error, Hub, Status};
use signal_hook::consts::{SIGHUP, SIGUSR1};

use crate::counters::not_passed_on;
use crate::hub_options::Options;
use crate::{logger, parent, signals, stdio, Failure};

/// Run a hub until SIGINT or SIGTERM
///
/// Prints each address that it listens at, and then ends its standard output, so that a program which reads that knows
/// all of them. It logs to standard error the peers that join, leave or are refused. On SIGUSR1 it logs the totals and
/// the peers, at the level info. On SIGHUP it reads the certificate for TLS, its key and the access tokens again; if there
/// is something wrong with them, it logs what, and keeps those that it has.
#[derive(clap::Args)]
pub struct Arguments {
    /// Address to listen at, may be given several times: tcp://HOST:PORT (* is every interface, port 0 any free one),
    /// ipc://PATH, ws://HOST:PORT/PATH (for browsers, too), tls+tcp://HOST:PORT or wss://HOST:PORT/PATH. A prefix pub+,
    /// pull+, rep+ or respondent+ is for nanomsg and NNG programs that open SUB, PUSH, REQ or SURVEYOR sockets; with it
    /// also ?structured=1 for more than text and bytes [default: tcp://127.0.0.1:15000 and ws://127.0.0.1:15001/ws]
    #[arg(long, short, visible_alias = "bind", visible_short_alias = 'b', value_name = "URL")]
    listen: Vec<String>,
    /// Listen at tcp://127.0.0.1:15000 alone unless told otherwise
    #[arg(long, conflicts_with = "listen")]
    no_ws: bool,
    /// Let web pages of this origin connect, read and publish: https://example.org, http://localhost:8000. May be given
    /// several times
    #[arg(long, value_name = "ORIGIN", help_heading = "Web pages")]
    allow_origin: Vec<String>,
    /// Keep what the hub holds in this directory, too, so that a hub that is restarted has it again. It is made if it is not
    /// there, and belongs to one hub at a time
    #[arg(long, value_name = "DIR", value_parser = clap::builder::NonEmptyStringValueParser::new(), help_heading = "Kept states")]
    store: Option<String>,
    /// What to log: off, error, warn, info (default), debug, trace
    #[arg(long, value_name = "LEVEL", value_parser = logger::level)]
    log: Option<LevelFilter>,
    #[command(flatten)]
    options: Options,
}

/// Runs the hub.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    logger::start(arguments.log, LevelFilter::Info)?;
    // Before the first address is printed, so that its reader may stop the hub at once.
    let (heard, signals_heard) = mpsc::channel();
    let stopper = heard.clone();
    let other = move |signal| {
        let _ = heard.send(Some(signal));
    };
    let stop = signals::on_signals(&[SIGHUP, SIGUSR1], other, move || {
        let _ = stopper.send(None);
    })?;

    let hub = Hub::new()?;
    for (option, value) in arguments.options.numbers {
        hub.set(option, value)?;
    }
    for (option, value) in &arguments.options.texts {
        hub.set_text(*option, Some(value))?;
    }
    for origin in &arguments.allow_origin {
        hub.allow_origin(origin)?;
    }
    if let Some(directory) = &arguments.store {
        hub.set_store(directory)?;
    }
    for url in &arguments.listen {
        hub.listen(url)?;
    }
    if arguments.listen.is_empty() {
        hub.listen(limits::DEFAULT_URL)?;
        if !arguments.no_ws {
            // The hub is of use without it.
            if let Err(error) = hub.listen(limits::DEFAULT_WS_URL) {
                log::warn!("no browser can connect: {error}");
            }
        }
    }
    for address in (0..).map_while(|i| hub.address(i)) {
        // The hub goes on even if standard output is closed.
        let line = format!("listening on {address}\n");
        let _ = stdio::output().and_then(|mut out| out.write_all(line.as_bytes()));
    }
    if let Err(error) = parent::end_output() {
        log::warn!("standard output stays open: {}", Error::words(&error));
    }

    for signal in signals_heard.into_iter().map_while(|signal| signal) {
        match signal {
            SIGUSR1 => log_summary(&hub),
            _ => reload(&hub),
        }
    }
    log::info!("stopping on signal {}", stop.signal().unwrap_or_default());
    log_totals(&hub);
    hub.close();
    Ok(())
}

/// Reads the certificate and the tokens again.
fn reload(hub: &Hub) {
    match hub.reload() {
        Ok(()) => log::info!("SIGHUP: certificate and tokens were read again"),
        Err(error) if error.status() == Status::State => log::info!("SIGHUP: nothing to reload"),
        Err(error) => log::error!("SIGHUP: certificate and tokens are still the old ones: {error}"),
    }
}

/// Logs the totals of the hub, and its peers.
fn log_summary(hub: &Hub) {
    let total = hub.stats();
    log::info!("SIGUSR1: {} peers, {} of them old; {} joined so far", total.peers, total.old_peers, total.joined);
    log_totals(hub);
    for peer in hub.peers().unwrap_or_default() {
        let name = if peer.identity.is_empty() { "an old program" } else { &peer.identity };
        let behind = if peer.live { "" } else { ", does not keep up" };
        let suspect = if peer.suspect { ", suspect" } else { "" };
        let not_passed_on = match &*not_passed_on(peer.numbers()) {
            "" => String::new(),
            words => format!("; not passed on: {words}"),
        };
        log::info!(
            "peer {} ({}): {} in, {} out, {} bytes queued{behind}{suspect}{not_passed_on}",
            one_line(name),
            peer.from,
            peer.messages_in,
            peer.messages_out,
            peer.outbox_bytes
        );
    }
}

/// Logs what the hub did, and what it did not pass on.
fn log_totals(hub: &Hub) {
    let total = hub.stats();
    log::info!(
        "{} messages in, {} out, {} states held, {} senders are gone, {} peers refused",
        total.messages_in,
        total.messages_out,
        total.states,
        total.departed_senders,
        total.refused_peers
    );
    log::info!(
        "{} bytes in memory: {} of states, {} of unfinished messages, {} queued",
        total.memory_bytes,
        total.table_bytes,
        total.unfinished_bytes,
        total.outbox_bytes
    );
    if total.stored > 0 || total.store_failed > 0 {
        log::info!("{} states written to the store, {} failures", total.stored, total.store_failed);
    }
    let not_passed_on = not_passed_on(total.numbers());
    if !not_passed_on.is_empty() {
        log::info!("not passed on: {not_passed_on}");
    }
}

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::*;

    #[test]
    fn the_help_names_the_addresses_that_a_hub_has_unless_told_otherwise() {
        let help = Arguments::augment_args(clap::Command::new("hub")).render_long_help().to_string();
        let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
        let (tcp, ws) = (limits::DEFAULT_URL, limits::DEFAULT_WS_URL);
        assert!(words.contains(&format!("[default: {tcp} and {ws}]")), "{words}");
        assert!(words.contains(&format!("Listen at {tcp} alone")), "{words}");
    }
}
