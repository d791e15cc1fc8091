//! What the kernel knows of a process.

use std::fs;
use std::io;
use std::mem::MaybeUninit;

use crate::system::Result;

/// CPU time of a process with all its threads, also those that ended, in nanoseconds.
pub fn cpu_time(pid: u32) -> Result<u64> {
    let failed = |error: io::Error| format!("no CPU time of process {pid}: {error}");
    let mut clock = MaybeUninit::<libc::clockid_t>::uninit();
    // SAFETY: the clock's place is writable; the call sets it when it returns 0.
    let error = unsafe { libc::clock_getcpuclockid(pid as libc::pid_t, clock.as_mut_ptr()) };
    if error != 0 {
        return Err(failed(io::Error::from_raw_os_error(error)));
    }
    // SAFETY: set above.
    let clock = unsafe { clock.assume_init() };
    read_clock(clock).map_err(failed)
}

/// The clock that all processes share, in nanoseconds.
pub fn monotonic() -> u64 {
    // The clock exists on every Linux.
    read_clock(libc::CLOCK_MONOTONIC).unwrap_or_default()
}

fn read_clock(clock: libc::clockid_t) -> io::Result<u64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the time's place is writable.
    if unsafe { libc::clock_gettime(clock, &mut time) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// Memory that a process has written and holds alone, in bytes.
///
/// Private pages that are clean do not count: they are parts of programs and libraries that other processes happen not
/// to have touched, which is chance.
pub fn private_memory(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).map_err(|e| format!("cannot read {path}: {e}"))?;
    kibibytes(&text, "Private_Dirty").ok_or_else(|| format!("no Private_Dirty in {path}"))
}

/// How often the threads of a process have gone to sleep by themselves.
pub fn voluntary_switches(pid: u32) -> Result<u64> {
    let directory = format!("/proc/{pid}/task");
    let tasks = fs::read_dir(&directory).map_err(|e| format!("cannot read {directory}: {e}"))?;
    let mut sum = 0;
    for task in tasks.flatten() {
        // A thread may end meanwhile.
        let Ok(text) = fs::read_to_string(task.path().join("status")) else { continue };
        sum += number(&text, "voluntary_ctxt_switches").unwrap_or(0);
    }
    Ok(sum)
}

/// How often the threads of a process have left the processor.
#[derive(Clone, Copy, Default)]
pub struct Switches {
    /// By themselves, or because another one's turn came.
    pub all: u64,
    /// By themselves, without the first thread.
    pub asleep_beside_first: u64,
}

/// The switches of a process without its thread of this name.
pub fn switches(pid: u32, without: &str) -> Result<Switches> {
    let directory = format!("/proc/{pid}/task");
    let tasks = fs::read_dir(&directory).map_err(|e| format!("cannot read {directory}: {e}"))?;
    let mut sum = Switches::default();
    for task in tasks.flatten() {
        // A thread may end meanwhile.
        let Ok(text) = fs::read_to_string(task.path().join("status")) else { continue };
        if field(&text, "Name") == Some(without) {
            continue;
        }
        let asleep = number(&text, "voluntary_ctxt_switches").unwrap_or(0);
        sum.all += asleep + number(&text, "nonvoluntary_ctxt_switches").unwrap_or(0);
        if task.file_name() != *pid.to_string() {
            sum.asleep_beside_first += asleep;
        }
    }
    Ok(sum)
}

/// The text behind `key:` at the beginning of a line.
pub fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let mut fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(name, _)| name.trim_end() == key).map(|(_, value)| value.trim())
}

fn number(text: &str, key: &str) -> Option<u64> {
    field(text, key)?.parse().ok()
}

/// A field that is given in KiB, in bytes.
pub fn kibibytes(text: &str, key: &str) -> Option<u64> {
    field(text, key)?.strip_suffix("kB")?.trim_end().parse::<u64>().ok().map(|n| n << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLLUP: &str = "\
5581c43f4000-7ffd5a3f2000 ---p 00000000 00:00 0                          [rollup]
Rss:                3740 kB
Private_Clean:        12 kB
Private_Dirty:       384 kB
";

    #[test]
    fn sizes_are_read_in_bytes() {
        assert_eq!(kibibytes(ROLLUP, "Private_Dirty"), Some(384 << 10));
        assert_eq!(kibibytes(ROLLUP, "Private_Clean"), Some(12 << 10));
    }

    #[test]
    fn a_key_is_not_found_inside_a_longer_one() {
        let status = "nonvoluntary_ctxt_switches:\t9\nvoluntary_ctxt_switches:\t41\n";
        assert_eq!(number(status, "voluntary_ctxt_switches"), Some(41));
        assert_eq!(number(status, "switches"), None);
        assert_eq!(kibibytes(ROLLUP, "Swap"), None);
    }

    #[test]
    fn names_of_cpuinfo_have_tabs_behind_them() {
        assert_eq!(field("processor\t: 0\nmodel name\t: A CPU @ 2 GHz\n", "model name"), Some("A CPU @ 2 GHz"));
    }

    #[test]
    fn a_process_uses_cpu_time_and_memory_and_a_missing_one_is_an_error() {
        let pid = std::process::id();
        let before = cpu_time(pid).unwrap();
        while cpu_time(pid).unwrap() <= before {}
        assert!(private_memory(pid).unwrap() > 0);
        assert!(voluntary_switches(pid).is_ok());
        assert!(switches(pid, "").unwrap().all >= switches(pid, "").unwrap().asleep_beside_first);
        // Above what Linux gives to any process.
        let nobody = (1 << 22) + 1;
        assert!(cpu_time(nobody).unwrap_err().contains(&nobody.to_string()));
        assert!(private_memory(nobody).is_err());
        assert!(voluntary_switches(nobody).is_err());
        assert!(switches(nobody, "").is_err());
    }

    #[test]
    fn the_sleeps_of_a_thread_count_unless_it_is_left_out() {
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let (woken, has_woken) = std::sync::mpsc::channel();
        let sleeper = std::thread::Builder::new().name("sleeper".to_string());
        let sleeper = sleeper.spawn(move || receiver.iter().for_each(|()| woken.send(()).unwrap())).unwrap();
        let pid = std::process::id();
        let of_sleeper = || {
            let (all, others) = (switches(pid, "").unwrap(), switches(pid, "sleeper").unwrap());
            all.asleep_beside_first.saturating_sub(others.asleep_beside_first)
        };
        // Other tests run meanwhile: what they do between the two looks may hide a sleep, but not for ever.
        let before = of_sleeper();
        while of_sleeper() < before + 3 {
            sender.send(()).unwrap();
            has_woken.recv().unwrap();
        }
        drop(sender);
        sleeper.join().unwrap();
    }
}
