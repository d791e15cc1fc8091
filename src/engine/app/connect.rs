//! The way to a link and from it: attempts, the handshake, hello and its answer, and what follows when a link ends.

use log::debug;

use super::super::link::handshake::Agreed;
use super::super::mutations::{is_on, Mutation};
use super::super::{Action, Now};
use super::{Phase, Session, Timer, Welcomed};
use crate::framing::ws::CloseCode;
use crate::time::LogicalTime;
use crate::visible::{one_line, sentence};
use crate::wire::{Control, Features, HelloFlags, Hidden, Instance};
use crate::{limits, Error, Status};

impl Session {
    /// Starts connecting to one of `urls`, which are addresses of one hub.
    pub fn connect(&mut self, urls: Vec<String>) {
        if self.conn().is_some() {
            // A refused app was trying again.
            self.close();
            self.unlink();
        }
        self.dialler.set_urls(urls);
        self.reports.forget_failures();
        self.received.clear();
        self.hub.limit = usize::MAX;
        self.hub.acks.forget();
        self.dial();
        self.notice_link(Status::Ok, String::new());
    }

    /// Ends the link, or the attempts to get one.
    pub fn disconnect(&mut self) {
        let hears_bye = self.hub.features.has_some(Features(Features::PRESENCE.0 | Features::WILL.0));
        if matches!(self.phase, Phase::Up) && hears_bye {
            self.control(&Control::Bye);
        }
        self.close();
        if !matches!(self.phase, Phase::Idle) {
            self.unlink();
            self.phase = Phase::Idle;
            self.dialler.forget_refusals();
            self.reports.forget_refusal();
            self.notice_link(Status::Ok, String::new());
        }
    }

    /// Has the driver close the connection, if there is one.
    fn close(&mut self) {
        if let Some(link) = &mut self.link {
            link.say_close(CloseCode::NORMAL, "");
            self.actions.push_back(Action::Close(link.conn()));
        }
    }

    pub(super) fn dial(&mut self) {
        let (token, url) = (self.dialler.next_token(), self.dialler.url().to_owned());
        self.phase = Phase::Dialling { token };
        self.timers.clear(Timer::Backoff);
        debug!("{}: connecting to {url}", one_line(&self.identity));
        self.actions.push_back(Action::Dial { token, url });
    }

    /// The address did not lead to a link: the next one, after a wait once all were tried.
    pub(super) fn failed(&mut self, now: Now, error: Error) {
        let error = with_hint(error, self.dialler.url());
        let (status, text) = (error.status(), error.to_string());
        debug!("{}: {text}", one_line(&self.identity));
        self.reports.last_failure = Some(error);
        if self.dialler.next_address() {
            return self.dial();
        }
        self.wait(now);
        if self.reports.is_news(&text) {
            self.notice_link(status, text);
        }
    }

    pub(super) fn wait(&mut self, now: Now) {
        let delay = self.dialler.next_wait(&self.config);
        debug!("{}: retries in {} ms", one_line(&self.identity), delay.as_millis());
        self.phase = Phase::Waiting;
        self.timers.set(Timer::Backoff, now.mono + delay);
    }

    /// Forgets the connection.
    pub(super) fn unlink(&mut self) {
        if let Some(link) = self.link.take() {
            self.reports.stats.conflated_out += link.feed.conflated();
            self.last = Some(link);
        }
        self.timers.clear_all();
        self.set_expiry();
        self.hub.acks.unlink();
        self.stamper.unlink();
        self.hub.synced.unlink();
        self.hub.forgets.unlink();
        self.own.unlink();
        self.others_are_unknown();
        self.stats_are_unanswered();
    }

    /// The connection ended, or is ended here.
    pub(super) fn lost(&mut self, now: Now, error: Error) {
        let was_up = matches!(self.phase, Phase::Up);
        self.unlink();
        let (text, url) = (error.to_string(), self.dialler.url());
        // A transport names the address, or the one that its name was resolved to.
        let text = if text.ends_with(url) { text } else { format!("{text}: {url}") };
        if was_up {
            debug!("{}: {text}", one_line(&self.identity));
            self.dialler.reset_waits();
            self.reports.last_failure = Some(Error::new(error.status(), text.clone()));
            self.wait(now);
            self.reports.is_news(&text);
            self.notice_link(error.status(), text);
        } else {
            self.failed(now, Error::new(error.status(), text));
        }
    }

    pub(super) fn drop_link(&mut self, now: Now, error: Error) {
        if self.conn().is_some() {
            self.close();
            self.lost(now, error);
        }
    }

    /// Goes on with the handshake. Whether it has led to a link that frames come by.
    pub(super) fn greet(&mut self, now: Now, input: &mut &[u8]) -> bool {
        let Some(link) = &mut self.link else { return false };
        match link.greet(input, &mut self.actions) {
            Ok(None) => return false,
            Ok(Some(opened)) => match opened.agreed {
                Agreed::V1 => self.say_hello(now),
                // A hub is asked for nothing but BUS.
                Agreed::Old | Agreed::Plain | Agreed::Client(_) | Agreed::Served => {
                    self.up(now, None, Features::NONE);
                    // It holds nothing.
                    self.hub.synced.begin(0);
                    self.hub.synced.answered(0, self.received.waiting());
                }
                Agreed::NotV1 => {
                    // Nothing that is written here is sure to arrive.
                    self.close();
                    self.dialler.remember_old(now);
                    self.unlink();
                    self.dial();
                }
            },
            Err(error) => self.drop_link(now, Error::new(error.status(), error.to_string())),
        }
        self.link.is_some()
    }

    pub(super) fn say_hello(&mut self, now: Now) {
        let (instance, epoch) = (self.stamper.instance, self.dialler.epoch());
        let (mut flags, accept) = (self.dialler.flags(&self.config), self.accepted.tell());
        if self.accepted.names.is_list() {
            flags |= HelloFlags::LISTED;
        }
        let time = Some(self.stamper.say_hello(now));
        self.phase = Phase::Hello;
        self.expect_answer(now);
        debug!("{}: hello, connection {epoch}, accepts {accept:#x}, flags {:#x}", one_line(&self.identity), flags.0);
        let (secret, token, features) = (self.config.secret, self.config.token.clone(), self.config.features);
        let token = token.as_ref().map(|Hidden(token)| Hidden(&**token));
        self.control(&Control::Hello { instance, epoch, accept, flags, time, secret, token, features });
    }

    /// The hub has its time to answer what it is sent now.
    pub(super) fn expect_answer(&mut self, now: Now) {
        self.timers.set(Timer::Handshake, now.mono + limits::HANDSHAKE);
    }

    /// The link is there, to the hub of this instance, which has these features, or to an old one.
    pub(super) fn up(&mut self, now: Now, hub: Option<Instance>, features: Features) {
        self.phase = Phase::Up;
        self.hub.features = features.and(self.config.features);
        self.own.expire(now.mono);
        self.own.forget_transient(now.boot, |version| self.hub.acks.are_waited_for_by(version));
        self.timers.clear(Timer::Handshake);
        if self.hub.instance != hub {
            self.hub.acks.forget();
            if self.hub.instance.is_none() {
                // What came through an old hub has this app's stamps, which say nothing beside those of the senders.
                self.received.clear();
            }
            self.hub.instance = hub;
        }
        self.dialler.welcomed();
        self.reports.forget_failures();
        self.reports.warned_withheld = false;
        self.reports.stats.connects += 1;
        if let Some(link) = &mut self.link {
            link.feed.tell_features(self.hub.features);
            if !is_on(Mutation::AnnounceDropped) {
                link.feed.walk_all(&self.own.table);
            }
        }
        self.tell_all_wills();
        self.ask_for_others();
        self.ask_for_stats();
        self.watch_over_hub(now);
        debug!(
            "{}: {} {}, announces {} own states",
            one_line(&self.identity),
            if hub.is_some() { "welcome at" } else { "at an old hub," },
            self.dialler.url(),
            self.own.table.values()
        );
        self.flush();
        self.notice_link(Status::Ok, self.dialler.url().to_owned());
    }

    /// The hub does not let this app in, or no longer. It is asked again later: the reason may pass.
    pub(super) fn refused_by_hub(&mut self, now: Now, status: i32, text: &str) {
        let status = Status::from_code(status).filter(|&status| may_be_refusal(status)).unwrap_or(Status::Refused);
        let text = if text.is_empty() { status.text() } else { text };
        let text = format!("{}: {}", sentence(text), self.dialler.url());
        self.close();
        self.unlink();
        self.wait(now);
        let was_refused = self.dialler.refused(status);
        let error = Error::new(status, text.clone());
        self.reports.last_failure = Some(error.clone());
        if self.reports.is_news(&text) || !was_refused {
            self.reports.refused(error);
            self.notice_link(status, text);
        }
    }

    /// The hub lets this app in, and tells its time.
    pub(super) fn welcomed(&mut self, now: Now, time: Option<LogicalTime>) {
        match self.stamper.welcomed(now, time) {
            Welcomed::Nothing => return,
            Welcomed::Observe(time) => self.observe(now, time),
            Welcomed::Rebase { time, all } => self.rebase(now, time, all),
        }
        self.reports.warn(self.stamper.ahead_of_wall(now));
    }
}

/// Adds the most likely cause where nothing listens at the address.
fn with_hint(error: Error, url: &str) -> Error {
    match error.status() {
        status @ (Status::Refused | Status::NotFound) if !url.starts_with("inproc:") => {
            Error::new(status, format!("{error} (is \"nanostate hub\" running?)"))
        }
        _ => error,
    }
}

/// Whether a hub may refuse an app with this status. The others mean something else to the calls that return it: success,
/// a time-out, an end of the handle.
fn may_be_refusal(status: Status) -> bool {
    matches!(
        status,
        Status::Invalid
            | Status::Unsupported
            | Status::Identity
            | Status::TooLarge
            | Status::Full
            | Status::Refused
            | Status::Permission
            | Status::IdentityTaken
            | Status::NotFound
    )
}
