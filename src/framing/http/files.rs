//! Files that a hub serves to browsers, all in memory: no request reads a disk, and none can name another file.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A file.
#[derive(Clone, PartialEq, Eq, Debug)]
struct File {
    kind: &'static str,
    body: Arc<[u8]>,
    /// Whether pages of other servers may load it.
    public: bool,
}

/// Files by the paths in requests.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Files {
    by_path: BTreeMap<String, File>,
}

impl Files {
    /// Serves `body` at `path`, which begins with `/`. Its kind is that of its ending; `index.html` is also served for its
    /// directory.
    pub fn add(&mut self, path: &str, body: impl Into<Arc<[u8]>>) {
        self.insert(path, File { kind: kind(path), body: body.into(), public: false });
    }

    /// The same for a file that pages of other servers may load, too.
    pub fn add_public(&mut self, path: &str, body: impl Into<Arc<[u8]>>) {
        self.insert(path, File { kind: kind(path), body: body.into(), public: true });
    }

    fn insert(&mut self, path: &str, file: File) {
        if let Some(directory) = path.strip_suffix("index.html").filter(|directory| directory.ends_with('/')) {
            self.by_path.insert(directory.to_owned(), file.clone());
        }
        self.by_path.insert(path.to_owned(), file);
    }

    /// Writes the answer to a request for this path; false: nothing is there.
    pub(super) fn write(&self, path: &str, out: &mut Vec<u8>) -> bool {
        let Some(file) = decoded(path).and_then(|path| self.by_path.get(&path)) else { return false };
        let head = format!(
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-cache\r\n\
             X-Content-Type-Options: nosniff\r\n{}\r\n",
            file.kind,
            file.body.len(),
            if file.public { "Access-Control-Allow-Origin: *\r\n" } else { "" },
        );
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(&file.body);
        true
    }
}

/// A path with its `%20` and the like replaced; `None` if it is malformed.
fn decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                (16 * digit()? + digit()?) as u8
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// What a file is, by its ending.
fn kind(path: &str) -> &'static str {
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
    match ending.to_ascii_lowercase().as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "txt" | "md" => "text/plain; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "wasm" => "application/wasm",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(files: &Files, path: &str) -> Option<String> {
        let mut out = Vec::new();
        files.write(path, &mut out).then(|| String::from_utf8(out).expect("text"))
    }

    #[test]
    fn a_file_is_served_at_its_path_with_its_kind_and_an_index_for_its_directory() {
        let mut files = Files::default();
        files.add("/a file.js", *b"let a;");
        files.add("/sub/index.html", *b"<p>");
        files.add_public("/lib.js", *b"let b;");
        let shared = "\r\nAccess-Control-Allow-Origin: *\r\n";
        assert!(get(&files, "/lib.js").is_some_and(|answer| answer.contains(shared)));
        assert!(get(&files, "/sub/").is_some_and(|answer| !answer.contains(shared)));
        let answer = get(&files, "/a%20file.js").expect("it is there");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nlet a;"), "{answer}");
        assert!(
            answer.contains("\r\nContent-Type: text/javascript; charset=utf-8\r\nContent-Length: 6\r\n"),
            "{answer}"
        );
        assert_eq!(get(&files, "/sub/"), get(&files, "/sub/index.html"));
        for path in ["", "/", "/sub", "/a", "/a%2", "/a%zz", "/../a file.js", "/%ff"] {
            assert_eq!(get(&files, path), None, "{path}");
        }
    }
}
