//! `nanostate man`

use std::iter;
use std::path::PathBuf;

use clap_mangen::Man;
use nanostate::Error;

use crate::{cat, Failure};

/// Write the manual pages, one for each command, into a directory
#[derive(clap::Args)]
pub struct Arguments {
    /// The directory, which must exist
    directory: PathBuf,
}

/// Writes the pages of `command`.
pub fn run(arguments: Arguments, command: clap::Command) -> Result<(), Failure> {
    let directory = arguments.directory;
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let source = format!("{} {}", command.get_name(), command.get_version().unwrap_or_default());
    // The page of nanostate-cat comes with that program.
    let own = command.get_subcommands().filter(|command| command.get_name() != cat::NAME);
    for command in iter::once(&command).chain(own) {
        Man::new(command.clone())
            .source(&source)
            .generate_to(&directory)
            .map_err(|error| Failure::Failed(format!("{}: {}", directory.display(), Error::words(&error))))?;
    }
    Ok(())
}
