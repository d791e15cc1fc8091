//! The endpoint in a program.

mod callbacks;
mod closing;
mod handlers;
mod key;
mod options;
mod receive;
mod send;
mod waits;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::engine::app::Session;
use crate::engine::ConnId;
use crate::handle_state::{run_loop, HandleState};
use crate::instance::{random_instance, random_secret};
use crate::leaving;
use crate::limits;
use crate::options::Texts;
use crate::pattern::Pattern;
use crate::runtime::address::addresses_to_dial;
use crate::runtime::conns::Conns;
use crate::runtime::reader::{self, Monitor, Reader};
use crate::runtime::thread::{LoopThread, SignalMask};
use crate::runtime::{self, Driver, Shared};
use crate::state::State;
use crate::transport::{Address, Backend};
use crate::wire;
use crate::{Error, Result, Status};

use self::callbacks::Callbacks;

pub use self::callbacks::{OnLink, OnPresence, OnReject, OnStale, OnState, OnSynced};
pub use self::handlers::Handler;
pub use self::key::Key;
pub use crate::engine::app::{AppStats, LinkState, Peer, PresenceEvent, Will};

/// The stack of an app's thread that runs callbacks of the program.
const CALLBACK_STACK: usize = 2 << 20;

/// An endpoint: it has an identity, connects to a hub, and sends and receives states. It reconnects by itself, for
/// ever, and what is sent meanwhile is kept.
///
/// A clone is a reference to the same app. Dropping the last one closes the app, as [`App::close`] does with its default
/// linger. Every function may be called from any thread. In a child after `fork` all of them return [`Status::State`].
///
/// ```
/// use std::time::Duration;
///
/// use nanostate::{App, Hub, Value};
///
/// # fn main() -> nanostate::Result<()> {
/// # let hub = Hub::new()?;
/// # hub.listen("inproc://app")?;
/// let patience = Some(Duration::from_secs(60));
/// let app = App::new("panel")?;
/// app.connect(Some("inproc://app"))?; // None: the hub of this machine. It need not be there yet.
///
/// // Never waits. `flush` does, until the hub has what was sent.
/// app.send("panel/on", Value::Bool(true))?;
/// app.flush(patience)?;
///
/// // Another program answers, and `dispatch` gives its states to the callback.
/// let lamp = App::new("lamp")?;
/// lamp.connect(Some("inproc://app"))?;
/// lamp.send("lamp/brightness", Value::Int(80))?;
///
/// app.on_state(Some(Box::new(|state| println!("{} of {}: {}", state.name(), state.sender(), state.json()))))?;
/// while app.get(Some("lamp"), "lamp/brightness").is_none() {
///     app.dispatch(patience, 16)?; // At most 16 callbacks.
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct App {
    inner: Arc<Inner>,
    /// The same for all clones.
    _ender: Arc<Ender>,
}

/// Ends the app when the program drops its last [`App`]. The drop of [`Inner`] would come too late: the app's thread
/// refers to it until the loop has ended.
struct Ender(Arc<Inner>);

type Guard<'a> = MutexGuard<'a, Driver<Session>>;

/// The app itself, which the program's threads and the app's own share.
struct Inner {
    shared: Shared<Session>,
    identity: String,
    /// Something changed that a waiting thread may wait for.
    changed: Condvar,
    handle_state: HandleState,
    interrupted: AtomicBool,
    linger_ms: AtomicI64,
    texts: Mutex<Texts>,
    clear_token: AtomicBool,
    callback_thread: AtomicBool,
    thread: LoopThread,
    /// When a sender last wrote in its own thread: a [`MonoTime`](crate::time::MonoTime) in nanoseconds.
    last_inline: AtomicU64,
    /// Of the thread that made the app: callbacks on the app's own thread run with it.
    mask: SignalMask,
    callbacks: Callbacks,
}

/// A panic while a thread of the program reads closes the app, as one in its own thread does.
struct BreakDown<'a>(&'a Inner);

impl Drop for BreakDown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.handle_state.break_down(Status::Internal);
            // The loop ends, closes the connection and wakes the threads that wait.
            self.0.shared.stop();
        }
    }
}

impl App {
    /// An app that is not connected.
    ///
    /// # Errors
    /// [`Status::Identity`]: 1 to 255 bytes without NUL; [`Status::Io`]: no descriptors left.
    pub fn new(identity: &str) -> Result<App> {
        crate::logging::start();
        wire::check_identity(identity)?;
        let mut session = Session::new(identity, random_instance()?);
        session.config.secret = Some(random_secret()?);
        let inner = Inner {
            shared: Shared::new(session, Backend::Best)?,
            identity: identity.to_owned(),
            changed: Condvar::new(),
            handle_state: HandleState::default(),
            interrupted: AtomicBool::new(false),
            linger_ms: AtomicI64::new(limits::LINGER.as_millis() as i64),
            texts: Mutex::default(),
            clear_token: AtomicBool::new(false),
            callback_thread: AtomicBool::new(false),
            thread: LoopThread::default(),
            last_inline: AtomicU64::new(0),
            mask: SignalMask::here(),
            callbacks: Callbacks::default(),
        };
        let inner = Arc::new(inner);
        let left = Arc::downgrade(&inner);
        inner.callbacks.gate.when_left(move || left.upgrade().into_iter().for_each(|inner| inner.leave()));
        Ok(App { _ender: Arc::new(Ender(inner.clone())), inner })
    }

    /// Starts connecting, and returns at once. `None`: the environment variable [`limits::URL_VARIABLE`], else
    /// [`limits::DEFAULT_URL`]. Several addresses of one hub are separated by commas, and tried in order.
    ///
    /// # Errors
    /// [`Status::Url`]; [`Status::Unsupported`]: a transport that this build does not have; [`Status::State`]: it is
    /// connecting or connected; [`Status::Invalid`]: an access token is set that is none, or that others could read on its
    /// way; [`Status::Closed`]. For an address with TLS: [`Status::Tls`]: neither
    /// [`AppText::TlsCa`](crate::AppText::TlsCa) nor [`AppText::TlsPin`](crate::AppText::TlsPin) is set, or there is
    /// something wrong with the file; [`Status::Invalid`]: a pin is none; [`Status::NotFound`], [`Status::Permission`],
    /// [`Status::Io`]: the file cannot be read.
    pub fn connect(&self, url: Option<&str>) -> Result<()> {
        let variable = match url {
            Some(_) => None,
            None => std::env::var(limits::URL_VARIABLE).ok().filter(|url| !url.is_empty()),
        };
        let url = url.or(variable.as_deref()).unwrap_or(limits::DEFAULT_URL);
        // The program may change its directory before the next attempt.
        let addresses: Vec<_> = addresses_to_dial(url)?.into_iter().map(Address::absolute).collect();
        let inner = &self.inner;
        inner.check_usable()?;
        let (connector, token) = (self.connector(&addresses)?, self.token(&addresses)?);
        self.start_thread()?;
        let mut driver = inner.open()?;
        if !matches!(driver.protocol.link(), LinkState::Idle | LinkState::Refused) {
            return Err(Error::new(Status::State, "already connected or connecting: disconnect first"));
        }
        driver.set_connector(connector);
        driver.protocol.config.token = token;
        driver.protocol.connect(addresses.iter().map(Address::to_string).collect());
        inner.act(&mut driver);
        Ok(())
    }

    /// Gives up the link; connect may follow, with another URL. Own values are kept. Does not wait.
    ///
    /// # Errors
    /// [`Status::Closed`].
    pub fn disconnect(&self) -> Result<()> {
        let inner = &self.inner;
        let mut driver = inner.open()?;
        driver.protocol.disconnect();
        inner.act(&mut driver);
        inner.tell(&mut driver);
        Ok(())
    }

    /// Closes the app for good: waits up to `linger` (`None`: the option's) for unsent values, gives up the link, and
    /// wakes threads that wait with [`Status::Closed`]. Blocks that long, but not inside a callback on the app's own thread.
    /// Closing again is a success.
    pub fn close(&self, linger: Option<Duration>) -> Result<()> {
        self.inner.close(linger);
        Ok(())
    }

    /// Closes it, if it is not closed, and ends its thread, even if there are other references. Not inside a callback.
    #[cfg(feature = "capi")]
    pub(crate) fn end_thread(&self) {
        self.inner.end();
    }

    /// Makes a call that waits, or the next one that would, return [`Status::Interrupted`]. Async-signal-safe.
    pub fn interrupt(&self) {
        self.inner.interrupted.store(true, Ordering::SeqCst);
        self.inner.shared.wake();
    }

    /// The identity it was made with.
    pub fn identity(&self) -> &str {
        &self.inner.identity
    }

    /// Where the link stands; [`LinkState::Idle`] when closed.
    pub fn link(&self) -> LinkState {
        match self.inner.open() {
            Ok(driver) => driver.protocol.link(),
            Err(_) => LinkState::Idle,
        }
    }

    /// Whether the hub of this link, or of the last one, lets values expire. Otherwise this app has to be there to withdraw
    /// its own, which is of no use to a command that ends.
    #[doc(hidden)]
    pub fn hub_expires_values(&self) -> bool {
        self.inner.open().is_ok_and(|driver| driver.protocol.hub_expires_values())
    }

    /// Whether the hub of this link, or of the last one, knows of transient values. Otherwise it keeps them as others.
    #[doc(hidden)]
    pub fn hub_knows_transient_values(&self) -> bool {
        self.inner.open().is_ok_and(|driver| driver.protocol.hub_knows_transient_values())
    }

    /// Whether the hub of this link, or of the last one, keeps wills.
    #[doc(hidden)]
    pub fn hub_keeps_wills(&self) -> bool {
        self.inner.open().is_ok_and(|driver| driver.protocol.hub_keeps_wills())
    }

    /// Accepts states of these kinds only: [`Kind::mask`](crate::Kind::mask)s or-ed together. Zero: the app receives
    /// nothing.
    ///
    /// # Errors
    /// [`Status::Closed`].
    pub fn set_accept(&self, mask: u32) -> Result<()> {
        let inner = &self.inner;
        let mut driver = inner.open()?;
        driver.protocol.set_accept(mask);
        inner.act(&mut driver);
        Ok(())
    }

    /// Takes states of the names that match `pattern` from now on, too. With the first call the app takes those only, for
    /// good: what it knows of other names it forgets, and the hub sends no more of them. It sends what it holds of a new
    /// pattern ([`App::wait_synced`]). `None`: no names, until there is a pattern. [`crate::pattern`] says what matches.
    ///
    /// # Errors
    /// [`Status::Name`]: no pattern; [`Status::Full`]: there are [`limits::PATTERNS`]; [`Status::Closed`].
    pub fn subscribe(&self, pattern: Option<&str>) -> Result<()> {
        let pattern = pattern.map(Pattern::new).transpose()?;
        let inner = &self.inner;
        let mut driver = inner.open()?;
        driver.protocol.subscribe(pattern.as_ref())?;
        inner.act(&mut driver);
        Ok(())
    }

    /// Takes states of the names that match one of these patterns from now on, and no others: subscribes to those that
    /// are new and gives up the others, at once.
    ///
    /// # Errors
    /// [`Status::Name`]: one is no pattern; [`Status::Full`]: there are more than [`limits::PATTERNS`];
    /// [`Status::Closed`]. Then nothing has changed.
    pub fn set_subscriptions(&self, patterns: &[&str]) -> Result<()> {
        let patterns = patterns.iter().map(|pattern| Pattern::new(pattern)).collect::<Result<_>>()?;
        let inner = &self.inner;
        let mut driver = inner.open()?;
        driver.protocol.set_subscriptions(patterns)?;
        inner.act(&mut driver);
        Ok(())
    }

    /// Takes states of the names that match `pattern` no longer, unless another pattern matches. What it knows of them it
    /// forgets; what waits is still received.
    ///
    /// # Errors
    /// [`Status::NotFound`]: it was not subscribed to in these words; [`Status::Closed`].
    pub fn unsubscribe(&self, pattern: &str) -> Result<()> {
        let inner = &self.inner;
        let mut driver = inner.open()?;
        driver.protocol.unsubscribe(pattern)?;
        inner.act(&mut driver);
        Ok(())
    }

    /// The newest value of a key that this app knows, or with no sender the newest of any sender, own values included.
    /// Does not ask the hub.
    pub fn get(&self, sender: Option<&str>, name: &str) -> Option<State> {
        self.find(sender, name).ok().flatten()
    }

    /// As [`App::get`], and says why there is none.
    ///
    /// # Errors
    /// [`Status::NoMemory`] for a copy of a large own value; [`Status::Closed`].
    pub fn find(&self, sender: Option<&str>, name: &str) -> Result<Option<State>> {
        self.inner.look()?.protocol.find(sender, name)
    }

    /// Whether a value is stale: the app that set it is gone, or has been restarted and has not set it since. A suspect app is
    /// not gone. Values that the hub itself has stamped are not stale while that hub runs: those of old programs and of clients
    /// of gateways, and wills.
    ///
    /// The first call makes the app ask the hub which apps are there; [`App::on_stale`] tells of changes. Until the hub has told
    /// all of them, on each link and for 10 s after it was started, a value becomes stale only if the hub says that its app is
    /// gone. Without a hub, and with one that does not tell which apps are there, no value becomes stale. `false` on a closed
    /// app. Does not block.
    pub fn is_stale(&self, state: &State) -> bool {
        let inner = &self.inner;
        let Ok(mut driver) = inner.look() else { return false };
        let is_stale = driver.protocol.is_stale(state);
        inner.act(&mut driver);
        is_stale
    }

    /// The newest value of each (sender, name) that this app knows and whose name matches; `None` is every name. Own
    /// values included, in no particular order. Does not ask the hub.
    ///
    /// # Errors
    /// [`Status::NoMemory`] for copies of large own values; [`Status::Closed`].
    pub fn states(&self, pattern: Option<&Pattern>) -> Result<Vec<State>> {
        let wanted = |name: &str| pattern.is_none_or(|pattern| pattern.matches(name));
        self.inner.look()?.protocol.states(wanted)
    }

    /// Counters since it was made.
    pub fn stats(&self) -> AppStats {
        let inner = &self.inner;
        if inner.shared.forked() {
            return AppStats::default();
        }
        inner.shared.lock().protocol.stats()
    }

    /// The loop wakes a thread that waits, even if the app never connects.
    fn wakeable(&self, timeout: Option<Duration>) -> Result<()> {
        self.inner.check_usable()?;
        match timeout {
            Some(Duration::ZERO) => Ok(()),
            _ => self.start_thread(),
        }
    }

    fn start_thread(&self) -> Result<()> {
        if self.inner.thread.has_started() {
            return Ok(());
        }
        let inner = self.inner.clone();
        let stack = match inner.callback_thread.load(Ordering::Relaxed) {
            true => CALLBACK_STACK,
            false => runtime::STACK,
        };
        let started = self.inner.thread.start("nanostate-app", stack, move || inner.run_loop());
        started.map_err(|error| Error::io(&error, "starting the app's thread"))
    }
}

impl Inner {
    fn check_usable(&self) -> Result<()> {
        self.handle_state.check(&self.shared)
    }

    /// The driver of an app that is neither closed nor inherited over `fork`.
    fn open(&self) -> Result<Guard<'_>> {
        self.check_usable()?;
        let driver = self.shared.lock();
        self.check_usable()?;
        Ok(driver)
    }

    /// As [`Inner::open`], to look at what came.
    fn look(&self) -> Result<Guard<'_>> {
        let mut driver = self.open()?;
        reader::read_kept(self, &mut driver, false);
        Ok(driver)
    }

    fn check_no_callback_thread(&self) -> Result<()> {
        match self.callback_thread.load(Ordering::Relaxed) {
            true => Err(Error::new(Status::State, "callbacks run on the app's own thread")),
            false => Ok(()),
        }
    }

    /// Runs what the engine asks for, in this thread.
    fn act(&self, driver: &mut Guard<'_>) {
        driver.run_actions(runtime::now());
    }

    /// What ends a wait whatever it is for, if anything does now.
    fn ends_wait<T>(&self) -> Option<Result<T>> {
        if let Err(error) = self.check_usable() {
            return Some(Err(error));
        }
        self.interrupted.swap(false, Ordering::SeqCst).then(|| Err(Status::Interrupted.into()))
    }

    /// Wakes the threads that wait, and the program's own event loop.
    fn tell(&self, driver: &mut Driver<Session>) {
        self.show(driver);
        let session = &driver.protocol;
        let news = session.has_notice() || session.has_state() || self.interrupted.load(Ordering::SeqCst);
        reader::tell(self, driver.reader(), news);
    }

    fn log_warnings(&self, driver: &mut Driver<Session>) {
        while let Some(warning) = driver.protocol.next_warning() {
            log::warn!("{}: {warning}", self.identity);
        }
    }

    /// The app's thread.
    fn run_loop(self: Arc<Self>) {
        let after_turn = || {
            self.after_turn();
            None
        };
        let inner = self.clone();
        let run = || leaving::closing(move || inner.end_loop(), || self.shared.run(after_turn));
        run_loop(&self.handle_state, &self.identity, run);
        self.end_loop();
    }

    fn after_turn(&self) {
        let mut driver = self.shared.lock();
        self.log_warnings(&mut driver);
        if !self.callback_thread.load(Ordering::Relaxed) {
            return self.tell(&mut driver);
        }
        self.changed.notify_all();
        let mut worn = None;
        while !self.shared.stopped() {
            let Some(item) = receive::take(&mut driver, self.callbacks.takes_states()) else { break };
            worn.get_or_insert_with(|| self.mask.wear());
            MutexGuard::unlocked(&mut driver, || self.tell_item(item));
        }
    }
}

/// The app's lock, for threads that wait. What they wait for comes by the link to the hub.
impl Monitor for Inner {
    type Conns = Conns;
    type Driver = Driver<Session>;
    type Guard<'a> = Guard<'a>;

    fn parts(driver: &mut Driver<Session>) -> (&mut Reader<Conns>, &mut Conns) {
        driver.parts()
    }

    fn connection(&self, driver: &Driver<Session>) -> Option<ConnId> {
        driver.protocol.linked()
    }

    fn unlocked<T>(&self, driver: &mut Guard<'_>, f: impl FnOnce() -> T) -> T {
        MutexGuard::unlocked(driver, f)
    }

    fn wait(&self, driver: &mut Guard<'_>, until: Option<Instant>) {
        match until {
            Some(until) => drop(self.changed.wait_until(driver, until)),
            None => self.changed.wait(driver),
        }
    }

    fn notify(&self) {
        self.changed.notify_all();
    }

    fn read(&self, driver: &mut Guard<'_>, conn: ConnId, broken: bool) {
        let _broken = BreakDown(self);
        driver.read_borrowed(conn, broken);
        // What the program sends now answers that, and more will hardly follow at once.
        self.last_inline.store(0, Ordering::Relaxed);
        self.log_warnings(driver);
    }

    fn is_expected_back(&self, driver: &mut Driver<Session>) -> bool {
        // An old hub drops what there is no room for on the way: it is taken as it comes.
        !driver.protocol.is_old() && driver.expects_reader(runtime::now())
    }

    fn kept(&self, driver: &mut Driver<Session>, receives: bool) -> Option<ConnId> {
        driver.kept(receives)
    }

    fn show(&self, driver: &mut Driver<Session>) -> bool {
        let session = &driver.protocol;
        let ready = session.has_notice() || session.has_state() || self.check_usable().is_err();
        driver.set_ready(ready)
    }

    fn cannot_wait(&self, error: &io::Error) {
        log::debug!("the loop reads from now on, since poll failed: {}", Error::words(error));
    }
}

fn timed_out(driver: &Driver<Session>) -> Error {
    Error::new(Status::Timeout, driver.protocol.why_timed_out())
}
