//! Results as text, picture and page.

mod compare;
mod goals;
mod markdown;
mod number;
mod svg;
mod table;
mod xml;

#[cfg(test)]
mod made_up;

use std::fs;
use std::path::Path;

use crate::results::{Figure, Results};
use crate::system::Result;

/// A figure in words.
fn title(figure: Figure) -> &'static str {
    match figure {
        Figure::RoundTrip => "Round trip",
        Figure::RoundTripPinned => "Round trip on one core",
        Figure::RoundTripCalls => "System calls of a round trip",
        Figure::Burst => "Burst",
        Figure::KnownNames => "Burst of known names",
        Figure::Updates => "Updates",
        Figure::FanOut => "Fan-out",
        Figure::ManyToOne => "Many to one",
        Figure::Large => "Large states",
        Figure::Camera => "Camera",
        Figure::Memory => "Memory and wake-ups",
        Figure::StateMemory => "States that the hub keeps",
        Figure::FirstState => "First state",
    }
}

/// Everything for a terminal: the tables, what is missing, and the goals.
pub fn text(results: &Results) -> String {
    table::text(results)
}

/// Draws the picture.
pub fn write_svg(results: &Results, path: &Path) -> Result<()> {
    write(path, &svg::draw(results))
}

/// Replaces the tables of a page, and leaves what is around them.
pub fn update_markdown(results: &Results, path: &Path) -> Result<()> {
    let page = fs::read_to_string(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    let page = markdown::replace(&page, &markdown::tables(results)).map_err(|e| format!("{}: {e}", path.display()))?;
    write(path, &page)
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::{env, process};

    use super::*;

    /// A directory that is gone after the test.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Directory {
            let path = env::temp_dir().join(format!("nanostate-report-{}-{name}", process::id()));
            fs::create_dir_all(&path).unwrap();
            Directory(path)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_is_written_is_read_again_to_the_last_digit() {
        let directory = Directory::new("results");
        let file = directory.0.join("deeper/results.json");
        let mut results = made_up::results();
        results.add(Figure::RoundTrip, 64, "floor ipc", crate::results::Metric::P50, 3, 0.1 + 0.2);
        results.write(&file).unwrap();
        assert_eq!(Results::read(&file), Ok(results));
    }

    #[test]
    fn a_file_that_is_no_results_file_is_named() {
        let directory = Directory::new("wrong");
        let file = directory.0.join("wrong.json");
        fs::write(&file, "{}").unwrap();
        let error = Results::read(&file).unwrap_err();
        assert!(error.contains("wrong.json is no results file"), "{error}");
    }

    #[test]
    fn the_picture_and_the_page_are_written_where_they_are_wanted() {
        let directory = Directory::new("written");
        let (picture, page) = (directory.0.join("picture.svg"), directory.0.join("page.md"));
        let results = made_up::results();
        write_svg(&results, &picture).unwrap();
        assert!(fs::read_to_string(&picture).unwrap().starts_with("<svg "));
        fs::write(&page, "no marks").unwrap();
        let error = update_markdown(&results, &page).unwrap_err();
        assert!(error.contains("page.md: the line <!-- results: begin --> is there 0 times"), "{error}");
        assert_eq!(fs::read_to_string(&page).unwrap(), "no marks");
        fs::write(&page, "a\n<!-- results: begin -->\n<!-- results: end -->\nz\n").unwrap();
        update_markdown(&results, &page).unwrap();
        let text = fs::read_to_string(&page).unwrap();
        assert!(text.starts_with("a\n") && text.ends_with("z\n") && text.contains("### Goals"), "{text}");
    }
}
