//! Names that no other run of this command has, on any machine and in any container.

use std::process;

use nanostate::transport::host_name;

use crate::Failure;

/// `PID-RANDOM`. Process IDs repeat, so a random number of 32 bits distinguishes runs.
pub fn run() -> Result<String, Failure> {
    let mut random = [0; 4];
    getrandom::fill(&mut random).map_err(|error| Failure::Failed(format!("reading random numbers: {error}")))?;
    Ok(format!("{}-{:08x}", process::id(), u32::from_ne_bytes(random)))
}

/// The identity of an app of `command` in that run: with the machine's name, so that the process can be found.
pub fn of(command: &str, run: &str) -> String {
    on(&host_name(), command, run)
}

fn on(host: &str, command: &str, run: &str) -> String {
    /// Bytes of the host name that are used, so that an identity never is too long. Linux allows 64.
    const HOST: usize = 100;
    let end = (0..=HOST.min(host.len())).rev().find(|&end| host.is_char_boundary(end)).unwrap_or(0);
    match &host[..end] {
        "" => format!("nanostate-{command}-{run}"),
        host => format!("nanostate-{command}-{host}-{run}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use nanostate::wire::check_identity;

    use super::*;

    #[test]
    fn runs_with_one_process_id_have_different_names() {
        let names: HashSet<_> = (0..100).map(|_| of("watch", &run().unwrap())).collect();
        assert_eq!(names.len(), 100);
    }

    #[test]
    fn an_identity_is_allowed_whatever_the_machine_is_called() {
        for host in ["", "one", &"x".repeat(255), &"ü".repeat(127), "a b\nc"] {
            let identity = on(host, "watch", &run().unwrap());
            check_identity(&identity).unwrap();
            assert!(identity.starts_with("nanostate-watch-"), "{identity}");
        }
        assert_eq!(on("one", "watch", "7-0a"), "nanostate-watch-one-7-0a");
    }
}
