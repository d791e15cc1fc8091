//! Traces of an app: what it is told and does, with every byte, at which times. Apps in other languages replay the files
//! in `tests/vectors/session`; `NANOSTATE_WRITE_VECTORS=1` has these tests write them anew.

mod features;
mod lifetimes;
mod recorder;
mod scenarios;

use std::collections::BTreeSet;
use std::{env, fs, path::Path};

use self::recorder::Trace;

/// What an app goes through.
type Scenario = fn(&mut Trace);

/// Plays a scenario, and compares its trace with the file of its name.
fn check(name: &str, scenario: Scenario) {
    let mut trace = Trace::new();
    scenario(&mut trace);
    let (text, path) = (trace.finish(), Path::new("tests/vectors/session").join(name).with_extension("json"));
    if env::var_os("NANOSTATE_WRITE_VECTORS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let known = fs::read_to_string(&path).unwrap_or_default();
    let difference = known.lines().zip(text.lines()).find(|(known, now)| known != now);
    assert!(known == text, "{} differs, first in {difference:#?}", path.display());
}

#[test]
fn apps_do_what_their_traces_show() {
    let scenarios: &[(&str, Scenario)] = &[
        ("connect", scenarios::connect),
        ("refuse", scenarios::refuse),
        ("token", scenarios::token),
        ("reconnect", scenarios::reconnect),
        ("addresses", scenarios::addresses),
        ("announce", scenarios::announce),
        ("stale", scenarios::stale),
        ("clocks", scenarios::clocks),
        ("conflation", scenarios::conflation),
        ("flush", scenarios::flush),
        ("ping", scenarios::ping),
        ("echo", scenarios::echo),
        ("shared", scenarios::shared),
        ("synced", features::synced),
        ("clear", features::clear),
        ("clear-shared", features::clear_shared),
        ("subscribe", features::subscribe),
        ("subscribe-shared", features::subscribe_shared),
        ("transient", features::transient),
        ("transient-shared", features::transient_shared),
        ("lifetime", lifetimes::lifetime),
        ("lifetime-shared", lifetimes::shared),
        ("forget", features::forget),
        ("will", features::will),
        ("presence", features::presence),
        ("gone", features::gone),
        ("silence", scenarios::silence),
        ("old-hub", scenarios::old_hub),
        ("faults", scenarios::faults),
    ];
    for (name, scenario) in scenarios {
        check(name, *scenario);
    }
    let files: BTreeSet<_> = fs::read_dir("tests/vectors/session")
        .unwrap()
        .map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert!(files.iter().eq(scenarios.iter().map(|(name, _)| *name).collect::<BTreeSet<_>>()), "{files:?}");
}
