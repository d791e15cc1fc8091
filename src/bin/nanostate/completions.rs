//! `nanostate completions`

use std::io::Write as _;

use clap_complete::Shell;

use crate::{stdio, Failure};

/// Print a script that completes this command's arguments in a shell
///
/// For bash, `source <(nanostate completions bash)` in ~/.bashrc. The installation puts the scripts where bash, zsh and
/// fish look for them.
#[derive(clap::Args)]
pub struct Arguments {
    /// The shell
    shell: Shell,
}

/// Prints the script for `command`.
pub fn run(arguments: Arguments, mut command: clap::Command) -> Result<(), Failure> {
    let name = command.get_name().to_owned();
    // Not straight to standard output: a closed one makes it panic.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, name, &mut script);
    Ok(stdio::output()?.write_all(&script)?)
}
