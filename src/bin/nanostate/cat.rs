//! `nanostate cat`, which is a program of its own: NNG is in it, and not in this command.

use std::env;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use nanostate::Error;

use crate::Failure;

/// The name of this subcommand.
pub const NAME: &str = "cat";
/// The name of the program, beside this one or in PATH.
const PROGRAM: &str = "nanostate-cat";

/// Send and receive messages of nanomsg's and NNG's protocols: runs nanostate-cat, an option of the installation
#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub struct Arguments {
    /// Those of nanostate-cat: nanostate cat --help
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

/// Becomes the program.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let beside = env::current_exe().ok().and_then(|own| Some(own.parent()?.join(PROGRAM)));
    for program in beside.into_iter().chain([PathBuf::from(PROGRAM)]) {
        let error = Command::new(&program).args(&arguments.arguments).exec();
        if error.kind() != ErrorKind::NotFound {
            return Err(Failure::Failed(format!("{}: {}", program.display(), Error::words(&error))));
        }
    }
    Err(Failure::Failed(format!(
        "{PROGRAM} is neither beside this program nor in PATH; it is an option of the installation: \
         make CAT=ON, cmake -DNANOSTATE_CAT=ON, or cargo install --path cat"
    )))
}
