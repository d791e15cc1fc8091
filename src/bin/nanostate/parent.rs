//! `--until-eof`: a command ends with the program that started it, however that ends.

use std::{io, thread};

use nanostate::Error;
use signal_hook::consts::SIGTERM;
use signal_hook::low_level;

use crate::{stdio, Failure};

/// Ends the command as SIGTERM does when nobody holds the other end of this descriptor any more.
pub fn watch(descriptor: i32) -> Result<(), Failure> {
    let cannot = |error| format!("--until-eof {descriptor}: {}", Error::words(&error));
    let mut input = stdio::inherited(descriptor).map_err(|error| Failure::Usage(cannot(error)))?;
    let watcher = move || {
        // What comes before the end means nothing, and an error is the end, too.
        let _ = io::copy(&mut input, &mut io::sink());
        log::info!("--until-eof: descriptor {descriptor} is at its end");
        let _ = low_level::raise(SIGTERM);
    };
    thread::Builder::new()
        .name("until-eof".to_owned())
        .spawn(watcher)
        .map_err(|error| Failure::Failed(cannot(error)))?;
    Ok(())
}
