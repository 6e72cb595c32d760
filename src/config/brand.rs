//! `[brand]`: what the pages look like.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;
use url::Url;

use super::section::{Found, Section};

/// The least contrast between text and what it stands on (WCAG 2.2, 1.4.3).
const LEAST: f64 = 4.5;

/// What the pages of `static/app.css` stand on, light and dark.
const LIGHT: [Colour; 2] = [Colour([0xff, 0xff, 0xff]), Colour([0xf4, 0xf5, 0xf7])];
const DARK: [Colour; 2] = [Colour([0x1a, 0x1d, 0x23]), Colour([0x11, 0x13, 0x17])];

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Brand {
    /// Of buttons and links.
    pub colour: Option<Colour>,
    /// The same where people want dark pages.
    pub colour_dark: Option<Colour>,
    /// Files that take the place of ours, and `brand.css`.
    pub folder: Option<PathBuf>,
    /// At the foot of each page.
    pub links: Vec<Link>,
}

/// A page of the operator's.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    pub label: String,
    pub uri: String,
}

/// `#rrggbb`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Colour([u8; 3]);

impl FromStr for Colour {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("{text:?} is not a colour, such as \"#2f5bd7\"");
        let hex = text.strip_prefix('#').filter(|hex| hex.len() == 6).ok_or_else(refused)?;
        let number = u32::from_str_radix(hex, 16).map_err(|_| refused())?;
        let [_, red, green, blue] = number.to_be_bytes();
        // A sign is no digit.
        if hex.starts_with(['+', '-']) { Err(refused()) } else { Ok(Self([red, green, blue])) }
    }
}

impl TryFrom<String> for Colour {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl Colour {
    /// Relative luminance (WCAG 2.2).
    fn luminance(self) -> f64 {
        let linear = |channel: u8| {
            let share = f64::from(channel) / 255.0;
            if share <= 0.040_45 { share / 12.92 } else { ((share + 0.055) / 1.055).powf(2.4) }
        };
        let [red, green, blue] = self.0.map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    /// Contrast ratio (WCAG 2.2): from 1 to 21.
    fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance(), other.luminance());
        (one.max(two) + 0.05) / (one.min(two) + 0.05)
    }
}

impl Brand {
    /// The colours as a stylesheet; empty without any. What stands on them is the ground of the other scheme, from which
    /// they were checked to stand out.
    pub fn stylesheet(&self) -> String {
        let rule = |colour: Colour, on: Colour| format!(":root {{ --brand: {colour}; --on-brand: {on}; }}\n");
        let light = self.colour.map(|colour| rule(colour, LIGHT[0])).unwrap_or_default();
        let dark = self.colour_dark.map(|colour| rule(colour, DARK[1]));
        let dark = dark.map(|rule| format!("@media (prefers-color-scheme: dark) {{ {rule}}}\n")).unwrap_or_default();
        format!("{light}{dark}")
    }
}

impl Section for Brand {
    fn check(&self, found: &mut Found) {
        for (key, colour, grounds) in [("colour", self.colour, LIGHT), ("colour_dark", self.colour_dark, DARK)] {
            let Some(colour) = colour else { continue };
            let least = grounds.map(|ground| colour.contrast(ground)).into_iter().fold(f64::INFINITY, f64::min);
            if least < LEAST {
                let side = if key == "colour" { "darker" } else { "lighter" };
                found.refuse(key, format!("{colour} cannot be read: its contrast is {least:.1}, and {LEAST} is the least (WCAG 1.4.3); take a {side} one"));
            }
        }
        if self.colour.is_some() != self.colour_dark.is_some() {
            found.refuse("colour", "and brand.colour_dark belong together: set both or neither");
        }
        if self.links.len() > 8 {
            found.refuse("links", "must be at most 8");
        }
        for link in &self.links {
            if link.label.trim().is_empty()
                || link.label.chars().count() > 60
                || link.label.chars().any(char::is_control)
            {
                found.refuse("links", "each needs a label of 1 to 60 characters");
            }
            if !Url::parse(&link.uri).is_ok_and(|uri| matches!(uri.scheme(), "https" | "http" | "mailto")) {
                found.refuse("links", format!("{:?} is not the address of a page", link.uri));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contrast_is_that_of_wcag() {
        let colour = |text: &str| text.parse::<Colour>().unwrap();
        let ratio = |one: &str, two: &str| (colour(one).contrast(colour(two)) * 100.0).round() / 100.0;
        assert_eq!(ratio("#000000", "#ffffff"), 21.0);
        assert_eq!(ratio("#777777", "#ffffff"), 4.48);
        assert_eq!(ratio("#767676", "#FFFFFF"), 4.54);
        assert_eq!(colour("#0aB1c2").to_string(), "#0ab1c2");
        for bad in ["", "red", "#fff", "2f5bd7", "#2f5bd", "#+12345", "#2f5bd7 ", "#ggffff"] {
            assert!(bad.parse::<Colour>().is_err(), "{bad}");
        }
    }
}
