//! What a hub serves to browsers: its client in JavaScript, and a folder of the operator's.

use std::fs;
use std::path::{Path, PathBuf};

use crate::framing::http::files::Files;
use crate::{limits, Error, Result, Status};

/// The client in JavaScript, in one module.
const CLIENT: &[u8] = include_bytes!("../../js/dist/nanostate.js");
/// Where it is served, unless the folder has another file there.
const CLIENT_PATH: &str = "/nanostate.js";

/// The client, and all files in `folder`, if one is given, read now. Names that begin with a dot are left out.
///
/// [`Status::NotFound`], [`Status::Permission`], [`Status::Io`]: it cannot be read; [`Status::TooLarge`]: there is too much
/// in it; [`Status::Utf8`]: the name of a file is not UTF-8.
pub fn load(folder: Option<&str>) -> Result<Files> {
    let mut files = Files::default();
    files.add_public(CLIENT_PATH, CLIENT);
    if let Some(folder) = folder {
        let mut left = limits::WWW_BYTES;
        add(Path::new(folder), "", &mut left, &mut files)?;
    }
    Ok(files)
}

/// Adds what is in a directory, whose path in requests is `at`, as long as bytes are `left`.
fn add(directory: &Path, at: &str, left: &mut usize, files: &mut Files) -> Result<()> {
    let failed = |path: &Path, error: &std::io::Error| Error::io(error, path.display());
    let mut found: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(directory).map_err(|error| failed(directory, &error))? {
        found.push(entry.map_err(|error| failed(directory, &error))?.path());
    }
    for path in found {
        let name = path.file_name().unwrap_or_default().to_str();
        let name =
            name.ok_or_else(|| Error::new(Status::Utf8, format!("{}: {}", Status::Utf8.text(), path.display())))?;
        if name.starts_with('.') {
            continue;
        }
        // Links are not followed: they may lead out of the folder, or round in it.
        let kind = fs::symlink_metadata(&path).map_err(|error| failed(&path, &error))?.file_type();
        let at = format!("{at}/{name}");
        if kind.is_dir() {
            add(&path, &at, left, files)?;
        } else if kind.is_file() {
            let body = fs::read(&path).map_err(|error| failed(&path, &error))?;
            *left = left.checked_sub(body.len()).ok_or_else(|| {
                let most = limits::WWW_BYTES;
                let text = format!("a folder to serve has at most {most} bytes, and more with {}", path.display());
                Error::new(Status::TooLarge, text)
            })?;
            files.add(&at, body);
        }
    }
    Ok(())
}
