//! Patterns: the vectors that other languages share.

use nanostate::pattern::Pattern;
use nanostate::Status;
use serde_json::Value as Json;

#[test]
fn every_pattern_vector_matches_what_it_says() {
    let file: Json = serde_json::from_str(include_str!("../vectors/patterns.json")).unwrap();
    let rows = file["vectors"].as_array().unwrap();
    assert!(rows.len() >= 30);
    for row in rows {
        let text = row["pattern"].as_str().unwrap();
        let pattern = match Pattern::new(text) {
            Ok(pattern) => pattern,
            Err(error) => {
                assert!(row["refused"] == true && error.status() == Status::Name, "{text}: {error}");
                continue;
            }
        };
        assert!(row["refused"].is_null(), "{text}");
        for (key, expected) in [("matches", true), ("differs", false)] {
            for name in row[key].as_array().unwrap() {
                let name = name.as_str().unwrap();
                assert_eq!(pattern.matches(name), expected, "{text} and {name}");
            }
        }
    }
}
