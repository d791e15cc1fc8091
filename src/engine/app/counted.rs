//! What the app has asked the hub of its counters.

use super::{Phase, Session};
use crate::wire::{Control, Features, HubStats, PeerStats, StatsPart};
use crate::{limits, Error, Result, Status};

/// What a hub counts: all together, and of each peer that takes part.
pub type Counted = (HubStats, Vec<PeerStats>);

/// Questions, one after the other, each of which is answered in parts.
#[derive(Default)]
pub struct Counts {
    /// How many were begun, and by which token the hub is asked.
    begun: u64,
    /// How many have to be, for all who wait.
    wanted: u64,
    /// What has come of the last one.
    parts: Counted,
    /// Whether that is not all.
    is_open: bool,
    /// How many bytes the app takes of a part.
    most: u64,
    /// The last that was answered, and its answer.
    answer: Option<(u64, Counted)>,
}

impl Counts {
    /// Somebody wants to know, from now on. Returns which question answers that.
    fn want(&mut self) -> u64 {
        let question = self.begun + 1;
        // Others may wait for a later one, if the link was lost behind their question.
        self.wanted = self.wanted.max(question);
        question
    }

    /// Begins the next question, if there is one and the last is answered.
    fn begin(&mut self, most: usize) -> Option<Control<'static>> {
        if self.is_open || self.wanted <= self.begun {
            return None;
        }
        self.begun += 1;
        self.parts = Counted::default();
        self.is_open = true;
        self.most = most as u64;
        Some(self.question(0))
    }

    fn question(&self, from: u64) -> Control<'static> {
        Control::Stats { token: self.begun, from, most: Some(self.most) }
    }

    /// The link is gone: the last question is asked anew on the next.
    fn unlink(&mut self) {
        if std::mem::take(&mut self.is_open) {
            self.begun -= 1;
        }
    }

    /// A part has come. Returns the question for the next one.
    fn heard(&mut self, token: u64, next: Option<u64>, part: StatsPart<'_>) -> Option<Control<'static>> {
        if !self.is_open || token != self.begun {
            return None;
        }
        let (totals, peers) = &mut self.parts;
        if let Ok(Some(stats)) = part.totals() {
            *totals = stats;
        }
        let room = limits::COUNTED_PEERS.saturating_sub(peers.len());
        let before = peers.len();
        peers.extend(part.peers().map_while(std::result::Result::ok).take(room));
        // A hub that tells nothing new is asked no more.
        if let Some(from) = next.filter(|_| peers.len() > before && peers.len() < limits::COUNTED_PEERS) {
            return Some(self.question(from));
        }
        self.is_open = false;
        self.answer = Some((token, std::mem::take(&mut self.parts)));
        None
    }
}

impl Session {
    /// Asks the hub what it counts, now or once there is a link. Returns a token.
    pub fn ask_stats(&mut self) -> u64 {
        let token = self.hub.counts.want();
        self.ask_for_stats();
        token
    }

    /// Asks the hub what is to be asked.
    pub(super) fn ask_for_stats(&mut self) {
        if !matches!(self.phase, Phase::Up) || !self.hub.features.contains(Features::STATS) {
            return;
        }
        if let Some(question) = self.hub.counts.begin(self.config.max_message.min(limits::STATS)) {
            self.control(&question);
        }
    }

    /// There is no link any more.
    pub(super) fn stats_are_unanswered(&mut self) {
        self.hub.counts.unlink();
    }

    /// `$ns/counted`.
    pub(super) fn heard_counted(&mut self, token: u64, next: Option<u64>, part: StatsPart<'_>) {
        match self.hub.counts.heard(token, next, part) {
            Some(question) => self.control(&question),
            None => self.ask_for_stats(),
        }
    }

    /// What the hub has answered to this question, once it has.
    pub fn counted(&self, token: u64) -> Option<Result<Counted>> {
        if let Some((_, answer)) = self.hub.counts.answer.as_ref().filter(|(answered, _)| *answered >= token) {
            return Some(Ok(answer.clone()));
        }
        let told = matches!(self.phase, Phase::Up) && !self.hub.features.contains(Features::STATS);
        told.then(|| Err(Error::new(Status::Unsupported, "the hub does not say what it counts")))
    }
}

#[cfg(test)]
mod tests {
    use crate::wire::StatsDraft;

    use super::*;

    fn hears(counts: &mut Counts, token: u64, next: Option<u64>, states: Option<u64>, peers: &[&str]) -> Option<u64> {
        let totals = states.map(|states| HubStats { states, ..HubStats::default() });
        let mut draft = StatsDraft::new(totals.as_ref());
        for identity in peers {
            draft.add(&PeerStats { identity: (*identity).to_owned(), ..PeerStats::default() }, usize::MAX);
        }
        match counts.heard(token, next, draft.part()) {
            Some(Control::Stats { from, .. }) => Some(from),
            _ => None,
        }
    }

    fn answer(counts: &Counts) -> Option<(u64, u64, String)> {
        let (token, (totals, peers)) = counts.answer.as_ref()?;
        Some((*token, totals.states, peers.iter().map(|peer| &*peer.identity).collect::<Vec<_>>().join(" ")))
    }

    #[test]
    fn an_answer_is_put_together_from_its_parts() {
        let mut counts = Counts::default();
        assert_eq!(counts.want(), 1);
        assert!(counts.begin(limits::STATS).is_some() && counts.begin(limits::STATS).is_none());
        assert_eq!(hears(&mut counts, 7, None, Some(3), &["z"]), None, "another question");
        assert_eq!(hears(&mut counts, 1, Some(5), Some(3), &["a", "b"]), Some(5));
        assert_eq!(answer(&counts), None);
        assert_eq!(hears(&mut counts, 1, None, None, &["c"]), None);
        let whole = Some((1, 3, "a b c".to_owned()));
        assert_eq!(answer(&counts), whole);
        assert_eq!(hears(&mut counts, 1, None, Some(9), &["z"]), None, "it has been answered");
        assert_eq!((answer(&counts), counts.begin(limits::STATS).is_none()), (whole, true));
    }

    #[test]
    fn who_asks_while_an_answer_comes_is_answered_by_the_next_one() {
        let mut counts = Counts::default();
        assert_eq!((counts.want(), counts.begin(limits::STATS).is_some()), (1, true));
        assert_eq!((counts.want(), counts.want(), counts.begin(limits::STATS).is_none()), (2, 2, true));
        hears(&mut counts, 1, None, Some(1), &[]);
        assert!(counts.begin(limits::STATS).is_some());
        hears(&mut counts, 2, None, Some(2), &[]);
        assert_eq!((answer(&counts), counts.begin(limits::STATS).is_none()), (Some((2, 2, String::new())), true));
    }

    #[test]
    fn a_question_that_was_not_answered_is_asked_again_on_the_next_link() {
        let mut counts = Counts::default();
        counts.want();
        counts.begin(limits::STATS);
        hears(&mut counts, 1, Some(5), Some(3), &["a"]);
        counts.unlink();
        assert_eq!(hears(&mut counts, 1, None, None, &["b"]), None, "of the link before");
        assert!(counts.begin(limits::STATS).is_some());
        hears(&mut counts, 1, None, Some(4), &["c"]);
        assert_eq!(answer(&counts), Some((1, 4, "c".to_owned())));
        counts.unlink();
        assert!(counts.begin(limits::STATS).is_none());
    }

    #[test]
    fn a_hub_that_makes_up_peers_fills_no_memory_and_ends_no_wait() {
        let mut counts = Counts::default();
        counts.want();
        counts.begin(limits::STATS);
        assert_eq!(hears(&mut counts, 1, Some(1), None, &[]), None, "a part without peers is the last");
        assert!(answer(&counts).is_some());
        counts.want();
        counts.begin(limits::STATS);
        let many = ["x"; 1024];
        let asked = (1..).take_while(|&from| hears(&mut counts, 2, Some(from), None, &many).is_some()).count();
        assert_eq!(asked, limits::COUNTED_PEERS / many.len() - 1);
        assert_eq!(counts.answer.unwrap().1 .1.len(), limits::COUNTED_PEERS);
    }

    #[test]
    fn who_waits_for_a_later_question_is_answered_also_if_the_link_was_lost_before_it() {
        let mut counts = Counts::default();
        assert_eq!(counts.want(), 1);
        assert!(counts.begin(limits::STATS).is_some());
        assert_eq!(counts.want(), 2);
        counts.unlink();
        assert_eq!(counts.want(), 1);
        for token in 1..=2 {
            assert!(counts.begin(limits::STATS).is_some());
            hears(&mut counts, token, None, Some(token), &[]);
        }
        assert_eq!(answer(&counts), Some((2, 2, String::new())));
    }
}
