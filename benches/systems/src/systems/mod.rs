//! The systems that are measured, in the order of tables.

mod floor;
mod mosquitto;
mod nanomsg;
mod nanostate;
mod nats;
mod nng;
mod peer;
mod redis;
mod zenoh;
mod zeromq;

use crate::system::System;

/// Every system, also those that are not here.
pub fn all() -> Vec<Box<dyn System>> {
    [
        floor::systems,
        nanostate::systems,
        zeromq::systems,
        redis::systems,
        nats::systems,
        mosquitto::systems,
        zenoh::systems,
        nng::systems,
        nanomsg::systems,
    ]
    .into_iter()
    .flat_map(|systems| systems())
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::Subject;

    #[test]
    fn who_has_something_in_common_has_it_with_a_system_that_is_measured_itself() {
        let systems = all();
        for subject in [Subject::Whole, Subject::KnownNames, Subject::Hub, Subject::IdleApp] {
            for system in &systems {
                let Some(same) = system.same_as(subject) else { continue };
                let other = systems.iter().find(|other| other.name() == same);
                let other = other.unwrap_or_else(|| panic!("{} is as {same}, which is not there", system.name()));
                assert_eq!(other.same_as(subject), None, "{same}, {subject:?}");
            }
        }
    }

    #[test]
    fn hubs_are_measured_once_for_each_transport_and_idle_apps_also_with_their_own_thread() {
        let measured = |subject| {
            let all = all().into_iter().filter(|system| system.same_as(subject).is_none());
            all.map(|system| system.name()).filter(|name| name.starts_with("nanostate")).collect::<Vec<_>>()
        };
        let hubs = ["ipc", "tcp", "ws", "wss", "inproc"].map(|transport| format!("nanostate {transport} recv"));
        assert_eq!(measured(Subject::Hub), hubs);
        let [ipc, others @ ..] = hubs.each_ref().map(String::as_str);
        assert_eq!(measured(Subject::IdleApp), [&[ipc, "nanostate ipc callback"], &others[..]].concat());
    }
}
