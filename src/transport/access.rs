//! Which users may connect to a Unix socket without a file, which has no permission bits of its own.

use std::os::fd::AsRawFd;

use super::socket::{peer_user, Stream, User};

/// The bits that let a user connect to a socket file: those of writing.
const GROUP: u32 = 0o020;
const OTHERS: u32 = 0o002;

/// Permission bits, as if of a file made by this process.
#[derive(Clone, Debug)]
pub(super) struct Access {
    mode: u32,
    uid: libc::uid_t,
    gid: libc::gid_t,
}

impl Access {
    pub fn of_this_process(mode: u32) -> Access {
        // SAFETY: no arguments; neither can fail.
        let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
        Access { mode, uid, gid }
    }

    /// Whether the other side may connect. If not, which user it is.
    pub fn check(&self, stream: &Stream) -> Result<(), String> {
        let user = peer_user(stream.as_raw_fd());
        let from = || stream.from().unwrap_or_else(|| "a program".to_owned());
        match user {
            Some(user) if self.admits(&user) => Ok(()),
            Some(user) => Err(format!("{} of user {} refused: the mode is {:04o}", from(), user.uid, self.mode)),
            None => Err(format!("{} refused: the system does not say which user it is", from())),
        }
    }

    fn admits(&self, user: &User) -> bool {
        user.uid == 0
            || user.uid == self.uid
            || self.mode & OTHERS != 0
            || (self.mode & GROUP != 0 && user.groups.contains(&self.gid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_decides_as_that_of_a_file_would() {
        let user = |uid, groups: &[u32]| User { uid, groups: groups.to_vec() };
        let (owner, root, group, other) = (user(7, &[7]), user(0, &[0]), user(8, &[8, 70]), user(9, &[9]));
        for (mode, admitted) in
            [(0o600, [true, true, false, false]), (0o660, [true, true, true, false]), (0o666, [true; 4])]
        {
            let access = Access { mode, uid: 7, gid: 70 };
            assert_eq!([&owner, &root, &group, &other].map(|user| access.admits(user)), admitted, "{mode:o}");
        }
    }
}
