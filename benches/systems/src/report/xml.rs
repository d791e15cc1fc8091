//! Elements of XML, written so that every one is closed and every text escaped.

use std::fmt::{self, Display, Write as _};

/// An element with what is in it.
pub struct Element {
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    children: Vec<Node>,
}

enum Node {
    Element(Element),
    Text(String),
}

impl Element {
    pub fn new(name: &'static str) -> Element {
        Element { name, attributes: Vec::new(), children: Vec::new() }
    }

    /// With an attribute.
    pub fn with(mut self, name: &'static str, value: impl Display) -> Element {
        self.attributes.push((name, value.to_string()));
        self
    }

    /// With an attribute that is a coordinate: a tenth of a unit is exact enough.
    pub fn at(self, name: &'static str, value: f64) -> Element {
        let value = (value * 10.0).round() / 10.0;
        self.with(name, if value == 0.0 { 0.0 } else { value })
    }

    pub fn text(mut self, text: impl Into<String>) -> Element {
        self.children.push(Node::Text(text.into()));
        self
    }

    pub fn child(mut self, child: Element) -> Element {
        self.push(child);
        self
    }

    pub fn push(&mut self, child: Element) {
        self.children.push(Node::Element(child));
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        write!(f, "{:indent$}<{}", "", self.name, indent = depth * 2)?;
        for (name, value) in &self.attributes {
            write!(f, " {name}=\"{}\"", Escaped(value))?;
        }
        if self.children.is_empty() {
            return writeln!(f, "/>");
        }
        f.write_char('>')?;
        // White space around a text would be part of it.
        let is_text = self.children.iter().any(|child| matches!(child, Node::Text(_)));
        if !is_text {
            f.write_char('\n')?;
        }
        for child in &self.children {
            match child {
                Node::Element(element) => element.write(f, depth + 1)?,
                Node::Text(text) => write!(f, "{}", Escaped(text))?,
            }
        }
        let indent = if is_text { 0 } else { depth * 2 };
        writeln!(f, "{:indent$}</{}>", "", self.name)
    }
}

impl Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}

struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                // XML 1.0 has no way to write other control characters.
                c if c.is_control() && !matches!(c, '\n' | '\t') => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}
