//! JSON set for reading, in the order in which it came: two spaces, one member a line, each piece with the class that
//! colours it.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// `k` a name, `s` a string, `n` a number, boolean or null, empty for punctuation.
    pub class: &'static str,
    pub text: String,
}

/// `None` when it is not JSON. Every string passes through `shown` first.
pub fn pretty(text: &[u8], shown: impl Fn(&str) -> String) -> Option<Vec<Piece>> {
    let node = serde_json::from_slice(text).ok()?;
    let mut page = Page { shown, pieces: Vec::new() };
    page.write(&node, 0);
    Some(page.pieces)
}

/// A `serde_json::Value` whose members keep their order.
enum Node {
    Object(Vec<(String, Node)>),
    Array(Vec<Node>),
    Text(String),
    Plain(String),
}

struct Page<F> {
    shown: F,
    pieces: Vec<Piece>,
}

impl<F: Fn(&str) -> String> Page<F> {
    fn write(&mut self, node: &Node, depth: usize) {
        match node {
            Node::Object(members) if !members.is_empty() => {
                for (at, (name, member)) in members.iter().enumerate() {
                    self.line(if at == 0 { "{" } else { "," }, depth + 1);
                    self.push("k", &quoted(&(self.shown)(name)));
                    self.push("", ": ");
                    self.write(member, depth + 1);
                }
                self.line("", depth);
                self.push("", "}");
            }
            Node::Array(nodes) if nodes.iter().any(|node| matches!(node, Node::Object(_) | Node::Array(_))) => {
                for (at, node) in nodes.iter().enumerate() {
                    self.line(if at == 0 { "[" } else { "," }, depth + 1);
                    self.write(node, depth + 1);
                }
                self.line("", depth);
                self.push("", "]");
            }
            // Lists of plain values stay on their line.
            Node::Array(nodes) => {
                self.push("", "[");
                for (at, node) in nodes.iter().enumerate() {
                    self.push("", if at == 0 { "" } else { ", " });
                    self.write(node, depth);
                }
                self.push("", "]");
            }
            Node::Object(_) => self.push("", "{}"),
            Node::Text(text) => self.push("s", &quoted(&(self.shown)(text))),
            Node::Plain(text) => self.push("n", text),
        }
    }

    fn line(&mut self, end: &str, depth: usize) {
        self.push("", &format!("{end}\n{}", "  ".repeat(depth)));
    }

    fn push(&mut self, class: &'static str, text: &str) {
        match self.pieces.last_mut() {
            Some(last) if last.class == class => last.text.push_str(text),
            _ => self.pieces.push(Piece { class, text: text.to_owned() }),
        }
    }
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Plain(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Plain(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Plain(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Plain(value.to_string()))
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Plain("null".to_owned()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = seq.next_element()? {
            nodes.push(node);
        }
        Ok(Node::Array(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Node::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_together_are_the_same_json_in_the_same_order() {
        let json = br#"{"zebra":true,"aud":["a","b"],"empty":{},"list":[{"n":-1},[],null,1.5],"quote":"\"<b>"}"#;
        let text: String = pretty(json, str::to_owned).unwrap().into_iter().map(|piece| piece.text).collect();
        assert!(text.starts_with("{\n  \"zebra\": true,\n  \"aud\": [\"a\", \"b\"],\n  \"empty\": {},\n"), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), serde_json::from_slice::<Value>(json).unwrap());
    }

    #[test]
    fn what_is_not_json_or_too_deep_is_left_alone() {
        assert!(pretty(b"{", str::to_owned).is_none());
        assert!(pretty("[".repeat(10_000).as_bytes(), str::to_owned).is_none());
    }
}
