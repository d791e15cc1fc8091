//! The process, or the object inside one, that forwards every state to the other apps.

mod keeping;
mod secure;
mod tokens;
mod web;

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use crate::callback::{Callback, Gate};
use crate::engine::hub::{About, Router, RouterConfig, RouterEvent};
use crate::engine::Role;
use crate::framing::http::server::Pages;
use crate::handle_state::{run_loop, HandleState};
use crate::instance::random_instance;
use crate::leaving;
use crate::limits;
use crate::options::{HubOption, HubText};
use crate::repeats::Repeats;
use crate::runtime::gateway_address::GatewayAddress;
use crate::runtime::listeners::Service;
use crate::runtime::reclaim::Reclaimer;
use crate::runtime::thread::{join, LoopThread, SignalMask};
use crate::runtime::{self, Driver, Shared};
use crate::time::MonoTime;
use crate::transport::tls::Acceptor;
use crate::transport::{host_name, Address, Backend};
use crate::visible::one_line;
use crate::{Error, Result, Status};

use self::keeping::Keeping;
use self::secure::Secure;
use self::tokens::Guard;
use self::web::Web;

pub use crate::engine::hub::{HubStats, PeerEvent, PeerStats};

/// Called for a peer with its identity ("" for an old one), its address, the event, the status, and the reason as text.
pub type OnPeer = dyn FnMut(&str, &str, PeerEvent, Status, &str) + Send;

/// A hub: forwards every state to the other apps, and keeps the newest value of each key for those that come later.
///
/// Every function may be called from any thread. Dropping the hub closes its connections and ends its thread. In a child
/// after `fork` its functions return [`Status::State`].
///
/// ```
/// use std::time::Duration;
///
/// use nanostate::{App, Hub, HubOption, PeerEvent};
///
/// # fn main() -> nanostate::Result<()> {
/// let hub = Hub::new()?;
/// hub.set(HubOption::MaxPeers, 16)?; // Before `listen`.
/// let (tell, told) = std::sync::mpsc::channel();
/// hub.on_peer(Some(Box::new(move |identity, _address, event, _status, _why| {
///     let _ = tell.send((identity.to_owned(), event));
/// })))?;
///
/// hub.listen("tcp://127.0.0.1:0")?; // Port 0 is any free one;
/// let url = hub.address(0).expect("an address for each listen"); // this says which.
///
/// let app = App::new("thermometer")?;
/// app.connect(Some(&url))?;
/// app.wait_connected(Some(Duration::from_secs(60)))?;
/// assert_eq!(told.recv(), Ok(("thermometer".to_owned(), PeerEvent::Joined)));
/// assert_eq!(hub.peers()?.len(), 1);
/// # Ok(())
/// # }
/// ```
pub struct Hub {
    inner: Arc<Inner>,
    thread: LoopThread,
    addresses: Mutex<Vec<String>>,
    secure: Mutex<Secure>,
    web: Mutex<Web>,
    guard: Mutex<Guard>,
}

struct Inner {
    /// Shared with threads that send to the hub in this process.
    shared: Arc<Shared<Router>>,
    ipc_mode: AtomicU32,
    handle_state: HandleState,
    gate: Arc<Gate>,
    /// The signal mask of the thread that made the hub; callbacks run with it.
    mask: SignalMask,
    on_peer: Callback<OnPeer>,
    repeats: Mutex<Repeats<Said>>,
    reclaimer: Reclaimer,
    keeping: Keeping,
}

/// Kinds of log lines about peers that may repeat, and so are not logged one by one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    Refused(Status),
    Joined,
    Left,
    /// An observer came or went.
    Observed,
    Warning,
    NoMemory,
    Info,
}

impl Said {
    fn level(self) -> log::Level {
        match self {
            Said::Refused(_) | Said::Warning | Said::NoMemory => log::Level::Warn,
            Said::Info | Said::Joined | Said::Left => log::Level::Info,
            Said::Observed => log::Level::Debug,
        }
    }

    /// How many lines of this kind are logged at once. Refusals of strangers all read the same; lines of other kinds
    /// each name another peer.
    fn burst(self) -> u32 {
        match self {
            Said::Refused(_) | Said::NoMemory => 1,
            Said::Warning | Said::Info | Said::Joined | Said::Left | Said::Observed => 64,
        }
    }
}

impl Hub {
    /// A hub that listens nowhere.
    ///
    /// # Errors
    /// [`Status::Io`]: no descriptors left.
    pub fn new() -> Result<Hub> {
        crate::logging::start();
        let mut router = Router::new(random_instance()?, RouterConfig::default());
        *router.about_mut() =
            About { host: host_name(), pid: std::process::id(), since: runtime::now().mono, addresses: Vec::new() };
        let inner = Inner {
            shared: Arc::new(Shared::new(router, Backend::Best)?),
            ipc_mode: AtomicU32::new(limits::IPC_MODE),
            handle_state: HandleState::default(),
            gate: Arc::default(),
            mask: SignalMask::here(),
            on_peer: Callback::default(),
            repeats: Mutex::default(),
            reclaimer: Reclaimer::default(),
            keeping: Keeping::default(),
        };
        inner.shared.serve_in_senders();
        let inner = Arc::new(inner);
        let left = Arc::downgrade(&inner);
        inner.gate.when_left(move || {
            if let Some(inner) = left.upgrade() {
                inner.handle_state.close();
                inner.shared.stop();
            }
        });
        Ok(Hub {
            inner,
            thread: LoopThread::default(),
            addresses: Mutex::new(Vec::new()),
            secure: Mutex::default(),
            web: Mutex::default(),
            guard: Mutex::default(),
        })
    }

    /// Sets an option, before the first listen.
    ///
    /// # Errors
    /// [`Status::Invalid`]: a value that it cannot take; [`Status::State`]: it listens already; [`Status::Closed`].
    pub fn set(&self, option: HubOption, value: i64) -> Result<()> {
        let mut driver = self.inner.open()?;
        if !self.addresses.lock().is_empty() {
            return Err(late(option.about().name));
        }
        option.about().check(value)?;
        let (flag, size, time) = (value == 1, value as usize, Duration::from_millis(value as u64));
        let config = driver.protocol.config_mut();
        match option {
            HubOption::MaxMessage => config.max_message = size,
            HubOption::LegacyMax => config.legacy_max = size,
            HubOption::MaxPeers => config.max_peers = size,
            HubOption::MaxWebsockets => config.max_websockets = size,
            HubOption::HttpRate => config.http_rate = size,
            HubOption::Outbox => config.outbox = size,
            HubOption::Unfinished => config.unfinished = size,
            HubOption::StalledFrameMs => config.stalled_frame = time,
            HubOption::Progress => config.progress = size,
            HubOption::Memory => config.memory = size,
            HubOption::HandshakeMs => config.handshake = time,
            HubOption::Echo => config.echo = flag,
            HubOption::LegacyStructured => config.legacy_structured = flag,
            HubOption::LegacySnapshot => config.legacy_snapshot = flag,
            HubOption::AllowLocalPages => self.web.lock().local = flag,
            HubOption::SuspectMs => driver.protocol.silence_mut().suspect = time,
            HubOption::LostMs => driver.protocol.silence_mut().lost = time,
            HubOption::ReadWithoutToken => driver.protocol.access_mut().read_without_token = flag,
            HubOption::ClearTokens => self.guard.lock().in_clear = flag,
            HubOption::TableStates => driver.protocol.capacity_mut().states = size,
            HubOption::TableBytes => driver.protocol.capacity_mut().bytes = size,
            HubOption::DepartedMs => driver.protocol.capacity_mut().departed = time,
            HubOption::IpcMode => self.inner.ipc_mode.store(value as u32, Ordering::Relaxed),
        }
        Ok(())
    }

    /// The value of an option, or its default.
    ///
    /// # Errors
    /// [`Status::Closed`].
    pub fn option(&self, option: HubOption) -> Result<i64> {
        let driver = self.inner.open()?;
        let (config, room) = (driver.protocol.config(), driver.protocol.capacity());
        let (size, millis) = (|count: usize| count as i64, |time: Duration| time.as_millis() as i64);
        Ok(match option {
            HubOption::MaxMessage => size(config.max_message),
            HubOption::LegacyMax => size(config.legacy_max),
            HubOption::MaxPeers => size(config.max_peers),
            HubOption::MaxWebsockets => size(config.max_websockets),
            HubOption::HttpRate => size(config.http_rate),
            HubOption::Outbox => size(config.outbox),
            HubOption::Unfinished => size(config.unfinished),
            HubOption::StalledFrameMs => millis(config.stalled_frame),
            HubOption::Progress => size(config.progress),
            HubOption::Memory => size(config.memory),
            HubOption::HandshakeMs => millis(config.handshake),
            HubOption::TableStates => size(room.states),
            HubOption::TableBytes => size(room.bytes),
            HubOption::DepartedMs => millis(room.departed),
            HubOption::SuspectMs => millis(driver.protocol.silence().suspect),
            HubOption::LostMs => millis(driver.protocol.silence().lost),
            HubOption::IpcMode => self.inner.ipc_mode.load(Ordering::Relaxed).into(),
            HubOption::Echo => config.echo.into(),
            HubOption::LegacyStructured => config.legacy_structured.into(),
            HubOption::LegacySnapshot => config.legacy_snapshot.into(),
            HubOption::AllowLocalPages => self.web.lock().local.into(),
            HubOption::ReadWithoutToken => driver.protocol.access().read_without_token.into(),
            HubOption::ClearTokens => self.guard.lock().in_clear.into(),
        })
    }

    /// Sets an option whose value is a text, or with `None` sets it no longer: for the next address that the hub listens at,
    /// and the certificate for each [`Hub::reload`].
    ///
    /// # Errors
    /// [`Status::State`]: it listens already, and the option is [`HubText::TokenFile`]; [`Status::Closed`].
    pub fn set_text(&self, option: HubText, value: Option<&str>) -> Result<()> {
        self.inner.check_usable()?;
        match option {
            HubText::TlsCert | HubText::TlsKey => self.secure.lock().set(option, value),
            HubText::Www => self.web.lock().serve(value),
            HubText::TokenFile if !self.addresses.lock().is_empty() => return Err(late(option.about().name)),
            HubText::TokenFile => self.guard.lock().set_file(value),
        }
        Ok(())
    }

    /// Reads the certificate, its key and the access tokens again. New connections are shown the certificate that is in the
    /// file now; those that exist are not affected. Peers whose token is not in the file any more, or has other rights
    /// there, are refused. If there is something wrong with a file, nothing changes.
    ///
    /// # Errors
    /// [`Status::NotFound`], [`Status::Permission`], [`Status::Io`], [`Status::Utf8`]: a file cannot be read;
    /// [`Status::Tls`], [`Status::Invalid`]: there is something wrong with the certificate, or with the tokens;
    /// [`Status::State`]: the hub has no address with TLS and asks for no tokens; [`Status::Closed`].
    pub fn reload(&self) -> Result<()> {
        self.inner.check_usable()?;
        let tokens = self.guard.lock().load()?;
        let secure = self.secure.lock();
        if secure.is_used() || tokens.is_none() {
            secure.reload()?;
        }
        if tokens.is_some() {
            let mut driver = self.inner.open()?;
            let now = runtime::now();
            driver.protocol.set_tokens(now, tokens);
            driver.run_actions(now);
        }
        Ok(())
    }

    /// Lets web pages of this origin, `https://example.org` or `http://localhost:8000`, connect to the WebSockets of this
    /// hub, read and publish; any number of times, before the first listen. Pages that the hub did not serve may not
    /// connect otherwise, and those of this machine only read.
    ///
    /// # Errors
    /// [`Status::Invalid`]: not an origin; [`Status::State`]: it listens already; [`Status::Closed`].
    pub fn allow_origin(&self, origin: &str) -> Result<()> {
        self.inner.check_usable()?;
        if !self.addresses.lock().is_empty() {
            return Err(Error::new(Status::State, "origins must be allowed before listen"));
        }
        self.web.lock().allow(origin)
    }

    /// Keeps what the hub holds in this directory, too, and begins with what is kept there: before the first listen, and
    /// after the options of the table. The directory is made if it is not there, and belongs to one hub at a time. What a
    /// peer has sent is there within 100 ms unless the disk is slow; nothing waits for it. When the program is killed, a
    /// hub that is made anew with the directory has it, as states of senders that have departed. If the disk is full, or the
    /// like, the log says so, and all that the hub still holds is written later.
    ///
    /// Reads files, and may take seconds for a large table. Damaged files are set aside, and logged.
    ///
    /// # Errors
    /// [`Status::InUse`]: another hub has the directory; [`Status::Permission`], [`Status::NotFound`], [`Status::Io`]: it
    /// cannot be made, read or written; [`Status::State`]: the hub listens already, or has a store;
    /// [`Status::Unsupported`]: this build has no stores; [`Status::Closed`].
    pub fn set_store(&self, directory: impl AsRef<Path>) -> Result<()> {
        let driver = self.inner.open()?;
        if !self.addresses.lock().is_empty() {
            return Err(late("a store"));
        }
        #[cfg(feature = "store")]
        {
            let (mut driver, hub) = (driver, Arc::downgrade(&self.inner));
            let wake = move || hub.upgrade().into_iter().for_each(|hub| hub.shared.wake());
            self.inner.keeping.start(directory.as_ref(), runtime::now(), &mut driver.protocol, wake)
        }
        #[cfg(not(feature = "store"))]
        {
            drop((driver, directory));
            Err(Error::new(Status::Unsupported, "this build of nanostate has no stores"))
        }
    }

    /// Listens at a URL, any number of times; returns once bound. Waits while a host name is resolved.
    ///
    /// Behind `pub+`, `pull+`, `rep+` or `respondent+` the URL is that of a gateway: another scalability protocol, for
    /// nanomsg and NNG programs. At an address that begins with `ws://` they are all served beside apps.
    ///
    /// # Errors
    /// [`Status::Url`]; [`Status::Unsupported`]; [`Status::InUse`]; [`Status::Resolve`]; [`Status::Permission`];
    /// [`Status::NotFound`]; [`Status::Invalid`]: no certificate is set for an address with TLS; [`Status::Tls`]: there
    /// is something wrong with it; [`Status::Io`]; [`Status::Closed`].
    pub fn listen(&self, url: &str) -> Result<()> {
        self.inner.check_usable()?;
        let mode = self.inner.ipc_mode.load(Ordering::Relaxed);
        if self.addresses.lock().is_empty() {
            let tokens = self.guard.lock().load()?;
            self.inner.open()?.protocol.set_tokens(runtime::now(), tokens);
        }
        let listen = |gateway, address: &Address| {
            let tls = self.acceptor(address)?;
            let pages = match (address, gateway) {
                (Address::Ws { .. }, None) => self.web.lock().with_files()?,
                (Address::Ws { .. }, Some(_)) => self.web.lock().pages(),
                _ => Pages::default(),
            };
            let bound = self.inner.shared.listen(address, mode, Service { gateway, pages, tls })?;
            self.guard.lock().warn_if_open(address);
            Ok(bound)
        };
        let Some(address) = GatewayAddress::parse(url).transpose()? else {
            let address = Address::parse(url)?;
            address.check_listen()?;
            self.guard.lock().check(&address)?;
            return self.listens(None, || listen(None, &address));
        };
        let role = address.gateway.role;
        self.listens(Some(role), || match listen(Some(address.gateway), &address.place) {
            Ok(bound) => Ok(format!("{}+{bound}", role.name())),
            Err(error) => Err(address.error(url, &error)),
        })
    }

    /// What an address shows, if it is one with TLS.
    fn acceptor(&self, address: &Address) -> Result<Option<Acceptor>> {
        address.is_tls().then(|| self.secure.lock().acceptor(address)).transpose()
    }

    fn listens(&self, role: Option<Role>, listen: impl FnOnce() -> Result<String>) -> Result<()> {
        self.inner.check_usable()?;
        self.start_thread()?;
        let bound = listen()?;
        let router = &mut self.inner.shared.lock().protocol;
        role.into_iter().for_each(|role| router.serves(role));
        if router.about_mut().addresses.is_empty() && !self.inner.keeping.is_used() {
            log::info!(
                "no store: when the hub is restarted, it has forgotten the states of senders that are gone by then, and all wills"
            );
        }
        router.about_mut().addresses.push(bound.clone());
        self.addresses.lock().push(bound);
        Ok(())
    }

    /// The address of the `i`th listen, with its actual port or absolute path; `None` past the end.
    pub fn address(&self, i: usize) -> Option<String> {
        self.addresses.lock().get(i).cloned()
    }

    /// Sets the callback for peers that come and go, or removes it. It runs on the hub's own thread, which serves no
    /// peer meanwhile; only apps of this process may be served by their own. When this returns, the previous callback is not
    /// running and will not run.
    ///
    /// # Errors
    /// [`Status::State`]: in a child after `fork`.
    pub fn on_peer(&self, function: Option<Box<OnPeer>>) -> Result<()> {
        if self.inner.shared.forked() {
            return self.inner.check_usable();
        }
        self.inner.on_peer.set(&self.inner.gate, function);
        Ok(())
    }

    /// Counters since the hub was made.
    pub fn stats(&self) -> HubStats {
        self.inner.open().map(|driver| driver.protocol.stats_at(runtime::now())).unwrap_or_default()
    }

    /// Counters of each peer that is connected now, all read at one moment, in no particular order.
    ///
    /// # Errors
    /// [`Status::Internal`], [`Status::State`]: as of every function.
    pub fn peers(&self) -> Result<Vec<PeerStats>> {
        Ok(self.inner.open()?.protocol.peer_stats_at(runtime::now()).collect())
    }

    /// Closes every connection and listener, and ends the hub's thread. WebSockets are told that the hub ends (close code
    /// 1001), those that are slow to read only by the end of the connection. Inside its own callback, the thread ends when
    /// the callback has returned.
    pub fn close(&self) {
        if self.inner.shared.forked() {
            // The thread is not in this process, so there is nothing to join.
            self.thread.abandon();
            return self.inner.shared.abandon();
        }
        self.inner.handle_state.close();
        self.inner.shared.stop();
        let thread = self.thread.take();
        // A thread that cannot be woken would be waited for indefinitely.
        if let Some(thread) = thread.filter(|_| !self.inner.shared.is_deaf()) {
            if !self.thread.is_current() {
                join(thread);
            }
        }
        if !self.inner.gate.inside() {
            self.inner.shared.lock().close_all();
            self.inner.keeping.finish(&self.inner.shared);
        }
        crate::logging::flush();
    }

    fn start_thread(&self) -> Result<()> {
        let inner = self.inner.clone();
        // It runs a callback of the program.
        let started = self.thread.start("nanostate-hub", HUB_STACK, move || inner.run_loop());
        started.map_err(|error| Error::io(&error, "starting the hub's thread"))
    }
}

/// The error of an option that is set too late.
fn late(option: &str) -> Error {
    Error::new(Status::State, format!("{option} must be set before listen"))
}

/// The stack of a hub's thread, which runs callbacks of the program.
const HUB_STACK: usize = 2 << 20;

impl Inner {
    fn check_usable(&self) -> Result<()> {
        self.handle_state.check(&self.shared)
    }

    fn open(&self) -> Result<MutexGuard<'_, Driver<Router>>> {
        self.check_usable()?;
        Ok(self.shared.lock())
    }

    fn run_loop(self: Arc<Self>) {
        let inner = self.clone();
        let left = move || inner.shared.lock().close_all();
        let run = || {
            self.shared.run(|| self.after_turn())?;
            self.shared.lock().end(runtime::now(), Router::say_goodbye);
            Ok(())
        };
        run_loop(&self.handle_state, "the hub", || leaving::closing(left, run));
        log_repeats(self.repeats.lock().take_due(MonoTime::MAX));
        self.shared.lock().close_all();
        self.keeping.finish(&self.shared);
        self.reclaimer.wait();
    }

    /// Returns the latest time of its next call.
    fn after_turn(&self) -> Option<MonoTime> {
        let mut driver = self.shared.lock();
        while let Some(event) = driver.protocol.next_event() {
            MutexGuard::unlocked(&mut driver, || self.tell(event));
        }
        let next_batch = self.keeping.turn(runtime::now(), &mut driver.protocol);
        drop(driver);
        let mut repeats = self.repeats.lock();
        if repeats.due().is_some_and(|due| due <= runtime::now().mono) {
            log_repeats(repeats.take_due(runtime::now().mono));
        }
        repeats.due().into_iter().chain(next_batch).min()
    }

    fn tell(&self, event: RouterEvent) {
        match event {
            RouterEvent::Warning(text) => self.log(Said::Warning, text),
            RouterEvent::NoMemory(text) => self.log(Said::NoMemory, text),
            RouterEvent::Info(text) => self.log(Said::Info, text),
            RouterEvent::Freed => self.reclaimer.start(),
            RouterEvent::Peer { identity, from, is_observer, event, why, text } => {
                let call = |function: &mut OnPeer| {
                    let _worn = self.mask.wear();
                    function(&identity, &from, event, why, &text);
                };
                self.on_peer.call(&self.gate, call);
                let who = if identity.is_empty() { from } else { format!("{} ({from})", one_line(&identity)) };
                let said = |news| if is_observer { Said::Observed } else { news };
                match event {
                    PeerEvent::Joined => self.log(said(Said::Joined), format!("{who} joined")),
                    PeerEvent::Left => self.log(said(Said::Left), format!("{who} left: {text}")),
                    PeerEvent::Refused => self.log(Said::Refused(why), format!("{who} refused: {text}")),
                }
            }
        }
    }

    fn log(&self, said: Said, text: String) {
        if let Some(text) = self.repeats.lock().say(runtime::now().mono, said, said.burst(), text) {
            log::log!(said.level(), "{text}");
        }
    }
}

fn log_repeats(repeats: Vec<(Said, String)>) {
    for (said, text) in repeats {
        log::log!(said.level(), "{text}");
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repeats::EVERY;

    #[test]
    fn peers_that_come_and_go_in_a_storm_are_counted_instead_of_logged_one_by_one() {
        let hub = Hub::new().expect("a hub");
        let came = |n: u64, event| RouterEvent::Peer {
            identity: format!("visitor-{n}"),
            from: "127.0.0.1:1".into(),
            is_observer: false,
            event,
            why: Status::Closed,
            text: "closed".into(),
        };
        for n in 0..200 {
            hub.inner.tell(came(n, PeerEvent::Joined));
            hub.inner.tell(came(n, PeerEvent::Left));
        }
        let counted = hub.inner.repeats.lock().take_due(runtime::now().mono + EVERY);
        let lines: Vec<_> = counted.iter().map(|(_, line)| line.as_str()).collect();
        let end = "(136 like this since the last line)";
        assert_eq!(
            lines,
            [
                format!("visitor-199 (127.0.0.1:1) joined {end}"),
                format!("visitor-199 (127.0.0.1:1) left: closed {end}"),
            ]
        );
    }
}
