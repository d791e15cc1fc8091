//! What a hub has for browsers: which pages may connect, its client in JavaScript, and a folder of the operator's.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::framing::http::files::Files;
use crate::framing::http::server::{read_origin, Pages};
use crate::visible::Quoted;
use crate::{limits, Error, Result, Status};

/// The client in JavaScript, in one module, and the functions of the original's pages, in a classic script. They are
/// served at these paths, unless the folder has other files there.
const CLIENTS: [(&str, &[u8]); 2] = [
    ("/nanostate.js", include_bytes!("../../js/dist/nanostate.js")),
    ("/nanostate-compat.js", include_bytes!("../../js/dist/nanostate-compat.js")),
];

/// What listeners for WebSockets are made with.
#[derive(Default)]
pub struct Web {
    origins: Vec<String>,
    /// Pages of this machine may publish.
    pub local: bool,
    folder: Option<String>,
}

impl Web {
    /// Lets pages of this origin connect.
    pub fn allow(&mut self, origin: &str) -> Result<()> {
        let read = read_origin(origin);
        self.origins.push(read.map_err(|why| Error::new(Status::Invalid, format!("{}: {why}", Quoted(origin))))?);
        Ok(())
    }

    /// Serves this folder, or with `None` or "" none.
    pub fn serve(&mut self, folder: Option<&str>) {
        self.folder = folder.filter(|folder| !folder.is_empty()).map(str::to_owned);
    }

    /// Which pages a listener lets in. It serves none itself.
    pub fn pages(&self) -> Pages {
        Pages { origins: self.origins.clone(), local: self.local, ..Pages::default() }
    }

    /// The same for a listener that serves files, which are read now.
    pub fn with_files(&self) -> Result<Pages> {
        Ok(Pages { files: Arc::new(load(self.folder.as_deref())?), ..self.pages() })
    }
}

/// The clients, and all files in `folder`, if one is given, read now. Names that begin with a dot are left out.
///
/// [`Status::NotFound`], [`Status::Permission`], [`Status::Io`]: it cannot be read; [`Status::TooLarge`]: there is too much
/// in it; [`Status::Utf8`]: the name of a file is not UTF-8.
fn load(folder: Option<&str>) -> Result<Files> {
    let mut files = Files::default();
    for (path, client) in CLIENTS {
        files.add_public(path, client);
    }
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
