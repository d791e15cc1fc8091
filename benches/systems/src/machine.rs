//! Where it was measured.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::SystemTime;

use crate::procfs::{field, kibibytes};
use crate::results::Machine;

/// Describes this machine; what it does not report is `unknown` or 0.
pub fn describe() -> Machine {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    Machine {
        cpu: field(&cpuinfo, "model name").unwrap_or(UNKNOWN).to_string(),
        cores: thread::available_parallelism().map_or(0, usize::from),
        memory: kibibytes(&meminfo, "MemTotal").unwrap_or(0),
        kernel: output("uname", &["-sr"]),
        system: pretty_name(&release).unwrap_or(UNKNOWN).to_string(),
        rustc: output("rustc", &["--version"]),
        date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
    }
}

const UNKNOWN: &str = "unknown";

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success());
    let text = output.and_then(|output| String::from_utf8(output.stdout).ok());
    text.map_or(UNKNOWN.to_string(), |text| text.trim().to_string())
}

fn pretty_name(release: &str) -> Option<&str> {
    release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).map(|name| name.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distribution_has_its_name_without_quotes() {
        assert_eq!(pretty_name("ID=x\nPRETTY_NAME=\"X 12\"\n"), Some("X 12"));
        assert_eq!(pretty_name("ID=x\n"), None);
    }

    #[test]
    fn every_part_of_a_description_says_something() {
        let machine = describe();
        assert!(machine.cores > 0 && machine.memory > 0);
        assert!([machine.cpu, machine.kernel, machine.system, machine.rustc].iter().all(|text| !text.is_empty()));
        assert!(machine.date.ends_with('Z'));
    }
}
