//! Eclipse Zenoh: clients around a router, with the crate of the project.

use super::peer;
use crate::system::System;

const NAME: &str = "zenoh ipc";

#[cfg(not(feature = "zenoh"))]
pub fn systems() -> Vec<Box<dyn System>> {
    vec![Box::new(peer::Absent { name: NAME, reason: "not built in: make bench ZENOH=1".into() })]
}

#[cfg(feature = "zenoh")]
pub fn systems() -> Vec<Box<dyn System>> {
    vec![Box::new(here::Zenoh)]
}

#[cfg(feature = "zenoh")]
mod here {
    use std::collections::{HashMap, VecDeque};
    use std::process::Command;
    use std::sync::mpsc::{self, RecvTimeoutError};
    use std::sync::{Arc, Condvar, Mutex, MutexGuard};
    use std::time::Duration;

    use zenoh::pubsub::{Publisher as Declared, Subscriber as Subscription};
    use zenoh::qos::CongestionControl;
    use zenoh::sample::{Locality, Sample};
    use zenoh::{Config, Session, Wait};

    use super::peer::{self, SocketCrowd, Sockets};
    use crate::system::{hub_role, Crowd, Flow, Handler, Place, Publisher, Result, Subscriber, System};

    /// Every name.
    const EVERYTHING: &str = "**";

    /// The options that differ from the defaults of DEFAULT_CONFIG.json5,
    /// https://github.com/eclipse-zenoh/zenoh/blob/main/DEFAULT_CONFIG.json5
    ///
    /// `transport/unicast/lowlatency` stays off: it "does not support the fragmentation", so it takes no 64 KiB.
    fn session(mode: &str, side: &str, endpoint: &str) -> Result<Session> {
        let configuration = format!(
            r#"{{
                mode: "{mode}",
                {side}: {{ endpoints: ["{endpoint}"] }},
                // Where the router is, is known.
                scouting: {{ multicast: {{ enabled: false }}, gossip: {{ enabled: false }} }},
                // Only storages need them.
                timestamping: {{ enabled: false }},
                transport: {{
                    // More than the largest crowd; 1000 by default.
                    unicast: {{ max_sessions: 65535, accept_pending: 65535 }},
                    // A publisher waits for slow receivers, in microseconds; 5 s by default.
                    link: {{ tx: {{ queue: {{ congestion_control: {{ block: {{ wait_before_close: 60000000 }} }} }} }} }},
                }},
            }}"#
        );
        let configuration =
            Config::from_json5(&configuration).map_err(|e| format!("Zenoh refuses its options: {e}"))?;
        zenoh::open(configuration).wait().map_err(|e| format!("Zenoh cannot open a session at {endpoint}: {e}"))
    }

    struct Sender {
        session: Session,
        /// "the message will not be batched. This usually has a positive impact on latency but a negative impact on
        /// throughput." https://docs.rs/zenoh/latest/zenoh/pubsub/struct.PublisherBuilder.html
        is_express: bool,
        /// The publishers of names that were published more than once; none yet after the first time.
        publishers: HashMap<String, Option<Declared<'static>>>,
    }

    impl Sender {
        /// Names that may have a publisher of their own. With one, the wire and the router have a number for the name;
        /// but a declaration takes long, and the longer the more there are.
        const PUBLISHERS: usize = 1000;

        fn new(session: Session, is_express: bool) -> Sender {
            Sender { session, is_express, publishers: HashMap::new() }
        }

        /// Nothing is lost: Drop is the default.
        /// https://docs.rs/zenoh/latest/zenoh/qos/enum.CongestionControl.html
        const CONGESTION: CongestionControl = CongestionControl::Block;

        fn try_publish(&mut self, name: &str, payload: &[u8]) -> zenoh::Result<()> {
            if let Some(publisher) = self.publishers.get_mut(name) {
                if publisher.is_none() {
                    let declaration = self.session.declare_publisher(name.to_string());
                    let declared = declaration.express(self.is_express).congestion_control(Self::CONGESTION).wait()?;
                    *publisher = Some(declared);
                }
                if let Some(publisher) = publisher {
                    return publisher.put(payload).wait();
                }
            } else if self.publishers.len() < Self::PUBLISHERS {
                self.publishers.insert(name.to_string(), None);
            }
            let put = self.session.put(name, payload);
            put.express(self.is_express).congestion_control(Self::CONGESTION).wait()
        }
    }

    /// Batches form only while the network is busy, so there is nothing to flush.
    impl Publisher for Sender {
        fn publish(&mut self, name: &str, payload: &[u8]) -> Result<()> {
            self.try_publish(name, payload).map_err(|e| format!("Zenoh cannot publish {name}: {e}"))
        }
    }

    /// A handler whose lifetime is that of the call of `serve` that lent it.
    struct Lent(*mut Handler<'static>);

    // SAFETY: a handler may be called in any thread; the lock around it lets one at a time.
    unsafe impl Send for Lent {}

    struct State {
        sender: Sender,
        handler: Option<Lent>,
        /// What arrived while there was no handler.
        backlog: VecDeque<Sample>,
        /// How many have arrived.
        arrived: u64,
    }

    /// Calls handlers in the thread of Zenoh that receives, which saves waking another one: as z_pong of its examples.
    struct Desk {
        state: Mutex<State>,
        changed: Condvar,
    }

    fn give(sender: &mut Sender, handler: &mut Handler<'_>, sample: &Sample) -> Flow {
        handler(sender, sample.key_expr().as_str(), &sample.payload().to_bytes())
    }

    impl Desk {
        fn lock(&self) -> Result<MutexGuard<'_, State>> {
            self.state.lock().map_err(|_| "a handler panicked in a thread of Zenoh".into())
        }

        fn take(&self, sample: Sample) {
            let Ok(mut guard) = self.lock() else { return };
            let state = &mut *guard;
            state.arrived += 1;
            match &state.handler {
                None => state.backlog.push_back(sample),
                Some(Lent(handler)) => {
                    // SAFETY: `serve` takes it back, with this lock, before it returns.
                    if give(&mut state.sender, unsafe { &mut **handler }, &sample) == Flow::Stop {
                        state.handler = None;
                        self.changed.notify_one();
                    }
                }
            }
        }
    }

    struct Client {
        sender: Sender,
        desk: Arc<Desk>,
        _subscriptions: Vec<Subscription<()>>,
    }

    impl Publisher for Client {
        fn publish(&mut self, name: &str, payload: &[u8]) -> Result<()> {
            self.sender.publish(name, payload)
        }
    }

    impl Subscriber for Client {
        fn serve(&mut self, patience: Duration, handler: &mut Handler<'_>) -> Result<bool> {
            let mut state = self.desk.lock()?;
            while let Some(sample) = state.backlog.pop_front() {
                if give(&mut state.sender, handler, &sample) == Flow::Stop {
                    return Ok(true);
                }
            }
            let handler = std::ptr::from_mut(handler);
            // SAFETY: only the lifetime changes; it is taken back below, before the loan ends.
            state.handler =
                Some(Lent(unsafe { std::mem::transmute::<*mut Handler<'_>, *mut Handler<'static>>(handler) }));
            loop {
                let arrived = state.arrived;
                let waited = self.desk.changed.wait_timeout(state, patience);
                let Ok((guard, timeout)) = waited else { return Err("a handler panicked in a thread of Zenoh".into()) };
                state = guard;
                if state.handler.is_none() {
                    return Ok(true);
                }
                if timeout.timed_out() && state.arrived == arrived {
                    state.handler = None;
                    return Ok(false);
                }
            }
        }
    }

    struct Receivers {
        sessions: Vec<(Session, Subscription<()>)>,
        arrivals: mpsc::Receiver<(usize, usize)>,
    }

    impl Sockets for Receivers {
        fn len(&self) -> usize {
            self.sessions.len()
        }

        fn receive(&mut self, patience: Duration, take: &mut dyn FnMut(usize, usize)) -> Result<bool> {
            match self.arrivals.recv_timeout(patience) {
                Ok((index, size)) => take(index, size),
                Err(RecvTimeoutError::Timeout) => return Ok(false),
                Err(RecvTimeoutError::Disconnected) => return Err("the sessions of Zenoh have ended".into()),
            }
            self.arrivals.try_iter().for_each(|(index, size)| take(index, size));
            Ok(true)
        }
    }

    fn subscribe(
        session: &Session,
        name: &str,
        take: impl Fn(Sample) + Send + Sync + 'static,
    ) -> Result<Subscription<()>> {
        session
            .declare_subscriber(name)
            // No self-delivery.
            .allowed_origin(Locality::Remote)
            .callback(take)
            .wait()
            .map_err(|e| format!("Zenoh cannot subscribe to {name}: {e}"))
    }

    /// A Unix socket, which is no slower here than TCP.
    fn endpoint(place: &Place) -> Result<String> {
        Ok(format!("unixsock-stream/{}/zenoh.sock", peer::text(&place.directory)?))
    }

    fn client(place: &Place) -> Result<Session> {
        let endpoint = endpoint(place)?;
        peer::until_there(|| session("client", "connect", &endpoint))
    }

    pub struct Zenoh;

    impl System for Zenoh {
        fn name(&self) -> &'static str {
            super::NAME
        }

        fn version(&self) -> Result<String> {
            Ok(format!("Zenoh {}", env!("ZENOH_VERSION")))
        }

        fn hub(&self, place: &Place) -> Option<Result<Command>> {
            Some(hub_role(self.name(), place))
        }

        fn serve_hub(&self, place: &Place) -> Result<()> {
            // What zenohd does, without plugins.
            let _router = session("router", "listen", &endpoint(place)?)?;
            loop {
                std::thread::park();
            }
        }

        fn publisher(&self, place: &Place, _identity: &str) -> Result<Box<dyn Publisher>> {
            Ok(Box::new(Sender::new(client(place)?, false)))
        }

        fn subscriber(&self, place: &Place, _identity: &str, names: &[&str]) -> Result<Box<dyn Subscriber>> {
            let session = client(place)?;
            let sender = || Sender::new(session.clone(), true);
            let state = State { sender: sender(), handler: None, backlog: VecDeque::new(), arrived: 0 };
            let desk = Arc::new(Desk { state: Mutex::new(state), changed: Condvar::new() });
            let names = if names.is_empty() { &[EVERYTHING] } else { names };
            let subscriptions = names
                .iter()
                .map(|name| {
                    let desk = desk.clone();
                    subscribe(&session, name, move |sample| desk.take(sample))
                })
                .collect::<Result<_>>()?;
            Ok(Box::new(Client { sender: sender(), desk, _subscriptions: subscriptions }))
        }

        fn crowd(&self, place: &Place, n: usize) -> Result<Box<dyn Crowd>> {
            let (sender, arrivals) = mpsc::channel();
            let sessions = (0..n)
                .map(|index| {
                    let session = client(place)?;
                    let sender = sender.clone();
                    let subscription = subscribe(&session, EVERYTHING, move |sample| {
                        // The receiver is gone only while the crowd is being dropped.
                        let _ = sender.send((index, sample.payload().len()));
                    })?;
                    Ok((session, subscription))
                })
                .collect::<Result<_>>()?;
            let publisher = self.publisher(place, "crowd")?;
            Ok(Box::new(SocketCrowd::new(Receivers { sessions, arrivals }, publisher)?))
        }
    }
}
