//! The name of this machine.

/// What the system calls this machine; "" if it does not say, or not in UTF-8.
pub fn host_name() -> String {
    // The longest that Linux and POSIX allow is shorter.
    let mut name = [0u8; 256];
    // SAFETY: the buffer has that many bytes.
    if unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len()) } != 0 {
        return String::new();
    }
    let end = name.iter().position(|&b| b == 0).unwrap_or(name.len());
    String::from_utf8(name[..end].to_vec()).unwrap_or_default()
}
