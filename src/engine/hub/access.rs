//! Who may take part, where access tokens are asked for.

use std::collections::BTreeMap;
use std::fmt;
use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::visitors::Visitor;
use crate::framing::http::server::Rights;
use crate::limits;
use crate::options::{AppText, HubOption};
use crate::time::MonoTime;
use crate::visible::Quoted;
use crate::wire::{check_token, Hidden};

/// The answer to the first wrong token of an address waits so long, and that to each further one twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// It never waits longer: apps take a hub that does not answer within [`limits::HANDSHAKE`] for dead.
const LONGEST_WAIT: Duration = Duration::from_secs(4);
/// An address that named no wrong token for so long starts from the beginning.
const FORGOTTEN: Duration = Duration::from_secs(60);
/// Addresses whose wrong tokens are counted.
const ADDRESSES: usize = 1024;

/// Why a peer may only read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadOnly {
    /// It is a page of this machine that the hub did not serve.
    Page,
    /// Its token says so.
    Token,
    /// It has no token.
    NoToken,
    /// It said so itself.
    Observer,
}

impl fmt::Display for ReadOnly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReadOnly::Page => {
                let option = HubOption::AllowLocalPages.about().name;
                write!(f, "a page of this machine may only read (to let all of them publish: {option})")
            }
            ReadOnly::Token => f.write_str("its token is for reading only"),
            ReadOnly::NoToken => f.write_str("without a token it may only read"),
            ReadOnly::Observer => f.write_str("it said that it is an observer, which publishes nothing"),
        }
    }
}

/// What one token allows.
#[derive(PartialEq, Eq, Debug)]
pub struct Grant {
    name: Box<str>,
    rights: Rights,
    token: Padded,
}

impl Grant {
    /// What the token is called in the file.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// A token, with zeros behind it, so that a comparison takes the same time whatever its length. No token has a zero.
#[derive(PartialEq, Eq)]
struct Padded([u8; limits::MAX_TOKEN]);

impl Padded {
    fn new(token: &str) -> crate::Result<Padded> {
        check_token(token)?;
        let mut padded = [0; limits::MAX_TOKEN];
        padded[..token.len()].copy_from_slice(token.as_bytes());
        Ok(Padded(padded))
    }

    /// In constant time.
    fn matches(&self, other: &Padded) -> bool {
        let pairs = self.0.iter().zip(&other.0);
        pairs.fold(0, |differs, (a, b)| black_box(differs | (a ^ b))) == 0
    }
}

impl fmt::Debug for Padded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hidden(()).fmt(f)
    }
}

/// The tokens that a hub knows.
#[derive(Debug)]
pub struct Tokens(Vec<Arc<Grant>>);

impl Tokens {
    /// Reads lines of a name, `read` or `read-write`, and a token, with blanks between them. Empty lines and those that
    /// begin with `#` are left out.
    ///
    /// # Errors
    /// What is wrong, in words, with the number of its line. A token is never named.
    pub fn parse(text: &str) -> Result<Tokens, String> {
        let mut tokens = Tokens(Vec::new());
        // Some editors begin a file with this mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (number, line) in (1..).zip(text.lines().map(str::trim)) {
            if !line.is_empty() && !line.starts_with('#') {
                if tokens.0.len() >= limits::TOKENS {
                    return Err(format!("line {number}: a hub has at most {} tokens", limits::TOKENS));
                }
                let grant = tokens.grant(line).map_err(|why| format!("line {number}: {why}"))?;
                tokens.0.push(Arc::new(grant));
            }
        }
        if tokens.0.is_empty() {
            return Err("there is no token in it".to_owned());
        }
        Ok(tokens)
    }

    fn grant(&self, line: &str) -> Result<Grant, String> {
        let words: Vec<_> = line.split_whitespace().collect();
        let [name, rights, token] = words[..] else {
            return Err(format!("expected a name, \"read\" or \"read-write\", and a token, not {} words", words.len()));
        };
        let rights = match rights {
            "read" => Rights::Read,
            "read-write" => Rights::ReadWrite,
            // It may be the token, in the wrong place.
            _ => return Err(format!("expected \"read\" or \"read-write\" behind {}", Named(name))),
        };
        if token.len() < limits::MIN_TOKEN {
            let (len, least) = (token.len(), limits::MIN_TOKEN);
            return Err(format!("the token of {} has {len} bytes, at least {least}", Named(name)));
        }
        let padded = Padded::new(token).map_err(|error| format!("{}: {error}", Named(name)))?;
        if self.0.iter().any(|other| &*other.name == name) {
            return Err(format!("{} has a token already", Named(name)));
        }
        if let Some(other) = self.0.iter().find(|other| other.token == padded) {
            return Err(format!("{} has the same token as {}", Named(name), Named(&other.name)));
        }
        Ok(Grant { name: name.into(), rights, token: padded })
    }

    /// What this token allows, if it is one. Takes the same time whatever the token.
    fn find(&self, token: &str) -> Option<&Arc<Grant>> {
        let offered = Padded::new(token).ok()?;
        self.0.iter().fold(None, |found, grant| if grant.token.matches(&offered) { Some(grant) } else { found })
    }

    /// Whether a peer that was let in by this is still let in.
    fn still_has(&self, grant: &Grant) -> bool {
        self.0.iter().any(|other| **other == *grant)
    }
}

/// A name in words about its line, unless it may be the token, in the wrong place.
struct Named<'a>(&'a str);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() < limits::MIN_TOKEN {
            true => Quoted(self.0).fmt(f),
            false => f.write_str("a name that may be a token"),
        }
    }
}

/// Why an app is not let in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Denied {
    /// It named no token.
    Missing,
    /// It named a token that is none.
    Unknown,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Denied::Missing => {
                let about = AppText::Token.about();
                write!(f, "the hub asks for a token ({}, ${})", about.name, about.variable)
            }
            Denied::Unknown => f.write_str("the hub does not know this token"),
        }
    }
}

/// Who may take part in a hub: everybody, or who names a token.
#[derive(Default)]
pub struct Access {
    /// Whether peers that name no token may read, where tokens are asked for.
    pub read_without_token: bool,
    tokens: Option<Tokens>,
    failures: Failures,
}

impl Access {
    /// Asks for one of these tokens from now on, or for none.
    pub fn set(&mut self, tokens: Option<Tokens>) {
        self.tokens = tokens;
    }

    /// What an app may do that named this token in its hello.
    pub fn check(&self, token: Option<&str>) -> Result<Allowed, Denied> {
        let (Some(tokens), Some(token)) = (&self.tokens, token) else {
            let read_only = self.anonymous().ok_or(Denied::Missing)?;
            return Ok(Allowed { read_only, grant: None });
        };
        let grant = tokens.find(token).ok_or(Denied::Unknown)?;
        let read_only = (grant.rights == Rights::Read).then_some(ReadOnly::Token);
        Ok(Allowed { read_only, grant: Some(grant.clone()) })
    }

    /// Whether a peer without a token may take part, and why it may only read, if it may only read.
    pub fn anonymous(&self) -> Option<Option<ReadOnly>> {
        match self.tokens {
            None => Some(None),
            Some(_) if self.read_without_token => Some(Some(ReadOnly::NoToken)),
            Some(_) => None,
        }
    }

    /// Whether a peer that was let in by this is still let in.
    pub fn still_has(&self, grant: &Grant) -> bool {
        self.tokens.as_ref().is_some_and(|tokens| tokens.still_has(grant))
    }

    /// An address named a token that is none. Returns how long the answer waits.
    pub fn failed(&mut self, now: MonoTime, host: Option<IpAddr>) -> Duration {
        self.failures.count(now, host)
    }
}

/// What a peer that was let in may do.
pub struct Allowed {
    /// Why it may only read.
    pub read_only: Option<ReadOnly>,
    /// By which token.
    pub grant: Option<Arc<Grant>>,
}

/// How many wrong tokens each address named in a row, and when the last. All that have none are one address.
#[derive(Default)]
struct Failures(BTreeMap<Option<Visitor>, (u32, MonoTime)>);

impl Failures {
    fn count(&mut self, now: MonoTime, host: Option<IpAddr>) -> Duration {
        let who = host.map(Visitor::new);
        let is_recent = |last: MonoTime| now.since(last) < FORGOTTEN;
        if self.0.len() >= ADDRESSES && !self.0.contains_key(&who) {
            self.0.retain(|_, (_, last)| is_recent(*last));
            if self.0.len() >= ADDRESSES {
                // Waiting does not slow down an attacker with so many addresses, so this one is not counted.
                return LONGEST_WAIT;
            }
        }
        let (count, last) = self.0.entry(who).or_insert((0, now));
        *count = if is_recent(*last) { count.saturating_add(1) } else { 1 };
        *last = now;
        FIRST_WAIT.saturating_mul(1 << (*count - 1).min(16)).min(LONGEST_WAIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "0123456789abcdef";
    const B: &str = "fedcba9876543210";

    fn access(read_without_token: bool) -> Access {
        let mut access = Access { read_without_token, ..Access::default() };
        access.set(Some(Tokens::parse(&format!("# who\n\n robot read-write {A}\n\tpanel  read\t{B} \n")).unwrap()));
        access
    }

    #[test]
    fn a_token_says_what_its_holder_may_do() {
        let access = access(false);
        let of = |token| {
            let allowed = access.check(token)?;
            Ok((allowed.grant.map(|grant| grant.name().to_owned()), allowed.read_only))
        };
        assert_eq!(of(Some(A)), Ok((Some("robot".to_owned()), None)));
        assert_eq!(of(Some(B)), Ok((Some("panel".to_owned()), Some(ReadOnly::Token))));
        assert_eq!(of(None), Err(Denied::Missing));
        let long = A.repeat(20);
        for wrong in ["", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeF", "robot", &long] {
            assert_eq!(of(Some(wrong)), Err(Denied::Unknown), "{wrong}");
        }
    }

    #[test]
    fn who_names_no_token_may_read_where_that_is_allowed_and_a_wrong_one_is_still_refused() {
        let access = access(true);
        assert_eq!(access.check(None).unwrap_or_else(|_| panic!()).read_only, Some(ReadOnly::NoToken));
        assert!(matches!(access.check(Some("no token of this hub")), Err(Denied::Unknown)));
        let open = Access::default();
        for token in [None, Some(A)] {
            assert_eq!(open.check(token).unwrap_or_else(|_| panic!()).read_only, None);
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_by_its_line_and_without_the_token() {
        let short = "2short";
        for (text, why) in [
            ("\n# nothing\n".to_owned(), "there is no token in it".to_owned()),
            (
                format!("robot {A}"),
                "line 1: expected a name, \"read\" or \"read-write\", and a token, not 2 words".into(),
            ),
            (format!("\nrobot {A} read"), "line 2: expected \"read\" or \"read-write\" behind \"robot\"".into()),
            (
                format!("{A} read robot"),
                "line 1: the token of a name that may be a token has 5 bytes, at least 16".into(),
            ),
            (
                format!("{A} robot read"),
                "line 1: expected \"read\" or \"read-write\" behind a name that may be a token".into(),
            ),
            (format!("{A} read {B}\n{A} read {B}x"), "line 2: a name that may be a token has a token already".into()),
            (format!("a read {short}"), "line 1: the token of \"a\" has 6 bytes, at least 16".into()),
            (format!("a read {}", A.repeat(16)), "line 1: \"a\": the token has 256 bytes, at most 255".into()),
            (format!("a read {A}\na read {B}"), "line 2: \"a\" has a token already".into()),
            (format!("a read {A}\nb read {A}"), "line 2: \"b\" has the same token as \"a\"".into()),
        ] {
            let told = Tokens::parse(&text).unwrap_err();
            assert_eq!(told, why);
            assert!(![A, B, short].iter().any(|token| told.contains(token)), "{told}");
        }
        let many: String = (0..=limits::TOKENS).map(|n| format!("n{n} read {A}{n}\n")).collect();
        assert_eq!(Tokens::parse(&many).unwrap_err(), "line 1025: a hub has at most 1024 tokens");
        assert!(Tokens::parse(&many[..many.trim_end().rfind('\n').unwrap()]).is_ok());
        let marked = Tokens::parse(&format!("\u{feff}# name rights token\r\na read {A}\r\n"));
        assert!(marked.is_ok_and(|tokens| tokens.find(A).is_some()));
        let shown = format!("{:?}", Tokens::parse(&format!("a read {A}")));
        assert!(shown.contains("\"a\"") && !shown.contains(A), "{shown}");
    }

    #[test]
    fn each_wrong_token_of_an_address_is_answered_later_than_the_last() {
        let mut access = Access::default();
        let start = MonoTime::from_nanos(1);
        let [a, b, c] = ["10.0.0.1", "2001:db8::1", "2001:db8::2"].map(|ip| ip.parse().ok());
        let waits: Vec<_> = (0..7).map(|_| access.failed(start, a).as_millis()).collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 4000, 4000]);
        assert_eq!(access.failed(start, None), FIRST_WAIT, "another address");
        assert_eq!(access.failed(start, b), FIRST_WAIT);
        assert_eq!(access.failed(start, c), 2 * FIRST_WAIT, "the same network");
        assert_eq!(access.failed(start + FORGOTTEN, a), FIRST_WAIT);
        assert!(LONGEST_WAIT < limits::HANDSHAKE);
    }

    #[test]
    fn a_bounded_number_of_addresses_is_counted() {
        let mut access = Access::default();
        let host = |n: u32| Some(IpAddr::from(n.to_be_bytes()));
        let start = MonoTime::from_nanos(1);
        for n in 0..2 * ADDRESSES as u32 {
            access.failed(start, host(n));
        }
        assert_eq!(access.failures.0.len(), ADDRESSES);
        assert_eq!(access.failed(start, host(1)), 2 * FIRST_WAIT);
        assert_eq!(access.failed(start + FORGOTTEN, host(1 << 20)), FIRST_WAIT);
        assert_eq!(access.failures.0.len(), 1);
    }
}
