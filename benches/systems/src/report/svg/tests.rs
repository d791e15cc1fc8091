use super::*;
use crate::report::made_up;

/// One start of an element, as a strict reader of XML sees it.
#[derive(Debug, Default)]
struct Read {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
}

impl Read {
    fn get(&self, name: &str) -> &str {
        self.attributes.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    fn number(&self, name: &str) -> f64 {
        self.get(name).parse().unwrap()
    }
}

/// The text without its escapes; none if a mark stands there that has to be escaped.
fn plain(text: &str) -> Option<String> {
    let entities = ["&amp;", "&lt;", "&gt;", "&quot;"];
    let bare = entities.iter().fold(text.to_string(), |text, entity| text.replace(entity, ""));
    let plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
    (!bare.contains(['&', '<', '>'])).then_some(plain)
}

/// Every element in the order of their starts; panics where the text is not well-formed.
fn read(xml: &str) -> Vec<Read> {
    let (mut all, mut open): (Vec<Read>, Vec<usize>) = (Vec::new(), Vec::new());
    let mut rest = xml.trim_end();
    while let Some((text, after)) = rest.split_once('<') {
        let text = plain(text).expect("text without bare marks");
        match open.last() {
            Some(at) => all[*at].text += &text,
            None => assert!(text.is_empty(), "text outside of the root: {text:?}"),
        }
        let (tag, after) = after.split_once('>').expect("the end of a tag");
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            let at = open.pop().expect("an element to close");
            assert_eq!(all[at].name, name);
            continue;
        }
        let is_empty = tag.ends_with('/');
        let (name, mut list) = tag.trim_end_matches('/').split_once(' ').unwrap_or((tag.trim_end_matches('/'), ""));
        assert!(!open.is_empty() || all.is_empty(), "a second root");
        let mut element = Read { name: name.to_string(), ..Read::default() };
        while !list.is_empty() {
            let (name, after) = list.split_once("=\"").expect("an attribute with a value");
            let (value, after) = after.split_once('"').expect("the end of a value");
            assert!(element.get(name).is_empty(), "{name} is there twice");
            element.attributes.push((name.to_string(), plain(value).expect("a value without bare marks")));
            list = after.trim_start();
        }
        if !is_empty {
            open.push(all.len());
        }
        all.push(element);
    }
    assert!(open.is_empty() && rest.is_empty(), "not closed");
    all
}

#[test]
fn the_picture_is_well_formed_with_a_mark_for_each_system() {
    let elements = read(&draw(&made_up::results()));
    assert_eq!(elements[0].name, "svg");
    let texts: Vec<&str> = elements.iter().filter(|e| e.name == "text").map(|e| e.text.as_str()).collect();
    assert!(texts.iter().any(|text| text.starts_with("Imaginary & Sons <64>")), "{texts:?}");
    for panel in ["Round trip, 64 B, median", "Burst, 200,000 states of distinct names, 64 B", "Large states, 1 MiB"] {
        assert_eq!(texts.iter().filter(|text| **text == panel).count(), 1, "{panel}");
    }
    let panels = texts.iter().filter(|text| **text == "nanostate ipc callback").count();
    assert_eq!(panels, 2, "round trips, free and on one core");
    assert!(texts.contains(&"5.00 M/s (14.0 %)"), "{texts:?}");
}

#[test]
fn nothing_that_is_written_leaves_its_panel() {
    let (mut offset, mut room, mut seen) = (0.0, WIDTH, 0);
    for element in read(&draw(&made_up::results())) {
        if let Some(place) = element.get("transform").strip_prefix("translate(") {
            offset = place.split(' ').next().unwrap().parse().unwrap();
            room = (WIDTH - 2.0 * MARGIN - GUTTER) / 2.0;
        }
        if element.name != "text" {
            continue;
        }
        seen += 1;
        let width = text_width(element.get("class"), &element.text);
        let begin = match element.get("text-anchor") {
            "end" => element.number("x") - width,
            "middle" => element.number("x") - width / 2.0,
            _ => element.number("x"),
        };
        assert!(begin > -1.0 && begin + width < room + MARGIN / 2.0, "{:?} at {offset}", element.text);
    }
    assert!(seen > 50, "{seen}");
}

#[test]
fn the_longest_bar_ends_before_the_values() {
    let results = made_up::results();
    for element in read(&draw(&results)).iter().filter(|e| e.name == "rect" && e.get("class") != "ground") {
        assert!(element.number("x") + element.number("width") < 400.0, "{element:?}");
    }
}

#[test]
fn labels_do_not_touch_and_stay_between_top_and_bottom() {
    let places = apart(&[50.0, 51.0, 10.0, 52.0, 200.0], 15.0, 0.0, 100.0);
    let mut sorted = places.clone();
    sorted.sort_by(f64::total_cmp);
    assert!(sorted.windows(2).all(|pair| pair[1] - pair[0] >= 15.0), "{places:?}");
    assert!(sorted[0] >= 7.5 && sorted[4] <= 92.5, "{places:?}");
    assert!(places[0] < places[1] && places[1] < places[3] && places[2] == 10.0, "{places:?}");
}

#[test]
fn a_run_without_samples_is_a_picture_without_panels() {
    let empty = Results { series: Vec::new(), ..made_up::results() };
    let elements = read(&draw(&empty));
    assert!(elements.iter().all(|e| e.get("class") != "title"));
}

#[test]
fn values_far_apart_have_a_logarithmic_scale_that_keeps_their_order() {
    let scale = Scale::new([1.0, 10.0, 1000.0].into_iter(), false, 0.0, 100.0);
    assert!(scale.is_log && scale.at(1.0) < scale.at(10.0) && scale.at(10.0) < scale.at(1000.0));
    assert!((0.0..=100.0).contains(&scale.at(0.0)), "what has no logarithm stands at the beginning");
    assert!(!Scale::new([1.0, 10.0].into_iter(), false, 0.0, 100.0).is_log);
    let ticks = scale.ticks(Metric::P50);
    assert!(ticks.len() >= 2, "{ticks:?}");
}
