//! What is measured: systems that pass states on, behind one interface.
//!
//! A figure runs the same roles with the same payloads over every [`System`]: a hub process, and clients in processes
//! of their own that publish ([`Publisher`]) and receive ([`Subscriber`]). No client receives what it published itself.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::results::Figure;

/// An error is a text; the figure is then shown without this system.
pub type Result<T> = std::result::Result<T, String>;

/// Where the hub of a system is, for one measurement.
#[derive(Clone, Debug)]
pub struct Place {
    /// A directory of its own: sockets, configuration and logs.
    pub directory: PathBuf,
    /// The first of eight ports on 127.0.0.1 that were free.
    pub port: u16,
}

/// Whether a handler wants more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// Go on.
    More,
    /// [`Subscriber::serve`] returns.
    Stop,
}

/// What a system is compared as.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A configuration of nanostate.
    Nanostate,
    /// The plain relay.
    Floor,
    /// What a user would pick instead.
    Peer,
}

/// What a figure is about, as far as configurations of a system may have it in common.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    /// All of it.
    Whole,
    /// All of it, where names are published more than once: a program can declare them.
    KnownNames,
    /// The hub.
    Hub,
    /// An app that waits for what does not come.
    IdleApp,
}

/// Called for each state that arrives: what publishes answers, its name, its payload.
pub type Handler<'a> = dyn FnMut(&mut dyn Publisher, &str, &[u8]) -> Flow + Send + 'a;

/// Publishes states.
pub trait Publisher {
    /// Publishes one state. May write later, and waits while the system reports that it can take no more.
    fn publish(&mut self, name: &str, payload: &[u8]) -> Result<()>;

    /// Tells which names are published next, for systems that can do something about a name in advance.
    fn declare(&mut self, _names: &[String]) -> Result<()> {
        Ok(())
    }

    /// Publishes one state as [`Publisher::publish`], of the declared name with this index.
    fn publish_declared(&mut self, _index: usize, name: &str, payload: &[u8]) -> Result<()> {
        self.publish(name, payload)
    }

    /// Sends everything published so far, for clients that buffer.
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// A connected client that receives everything others publish, and can publish itself.
pub trait Subscriber: Publisher {
    /// Hands each state that arrives to `handler`, in the thread that the system receives in, until it says
    /// [`Flow::Stop`] (true) or nothing has arrived for `patience` (false).
    fn serve(&mut self, patience: Duration, handler: &mut Handler<'_>) -> Result<bool>;
}

/// Many subscribed connections of one process that are only read.
pub trait Crowd {
    /// Reads whatever arrives on any of them, until each of them has got `states` states of `payload` bytes, or
    /// nothing has arrived for `patience`. Returns the states that arrived, all connections together.
    fn drain(&mut self, states: u64, payload: usize, patience: Duration) -> Result<u64>;
}

/// One system in one configuration: a row of a table.
pub trait System: Sync {
    /// The key of its results: `nanostate ipc recv`, `zeromq tcp`, …
    fn name(&self) -> &'static str;

    /// What it is compared as.
    fn role(&self) -> Role {
        Role::Peer
    }

    /// The version that is measured, or why it cannot be here, with what to install.
    fn version(&self) -> Result<String>;

    /// Whether a figure is measured with it. Only some systems keep states; the source of a burst of known names waits for
    /// ever for one that is lost.
    fn suits(&self, figure: Figure) -> bool {
        match figure {
            Figure::StateMemory => false,
            Figure::KnownNames => !self.is_lossy(),
            _ => true,
        }
    }

    /// The configuration that has the same: what is measured of that one need not be measured of this one.
    fn same_as(&self, _subject: Subject) -> Option<&'static str> {
        None
    }

    /// Whether the hub and all clients are in one process: then [`System::hub`] gives none.
    fn in_one_process(&self) -> bool {
        false
    }

    /// The hub as a process of its own, listening at `place`, configured as its documentation says for low latency.
    /// None: everything is in the process of the clients (`inproc`).
    fn hub(&self, place: &Place) -> Option<Result<Command>>;

    /// Is the hub, in the process that [`hub_role`] starts, until it is killed. Only for systems whose hub is that.
    fn serve_hub(&self, _place: &Place) -> Result<()> {
        Err(format!("the hub of {} is a program of its own", self.name()))
    }

    /// A client that only publishes; returns once it is connected. Waits for a hub that is still starting.
    fn publisher(&self, place: &Place, identity: &str) -> Result<Box<dyn Publisher>>;

    /// A client that is subscribed to the states of these names, or to every state when there are none; returns once
    /// what others publish from now on reaches it, as far as the system reports it (the harness sends probes until one
    /// arrives).
    fn subscriber(&self, place: &Place, identity: &str, names: &[&str]) -> Result<Box<dyn Subscriber>>;

    /// `n` connections that are subscribed to every state, in this process.
    fn crowd(&self, place: &Place, n: usize) -> Result<Box<dyn Crowd>>;

    /// Whether it may lose states when it cannot keep up, by its own documentation.
    fn is_lossy(&self) -> bool {
        false
    }
}

/// The command of a hub that is this program: it calls [`System::serve_hub`] of the system with this name.
pub fn hub_role(system: &str, place: &Place) -> Result<Command> {
    let program = std::env::current_exe().map_err(|e| format!("this program has no path: {e}"))?;
    let mut command = Command::new(program);
    command.args(["hub", system, "--directory"]).arg(&place.directory).args(["--port", &place.port.to_string()]);
    Ok(command)
}
