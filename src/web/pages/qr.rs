//! A text as a picture that cameras read.

use std::fmt::Write as _;

use qrcodegen::{QrCode, QrCodeEcc};
use secrecy::{ExposeSecret, SecretString};

use crate::types::Fault;

/// For an SVG: how long its sides are, and the path of what is dark.
pub struct Qr {
    pub size: i32,
    pub path: String,
}

/// What must stay bright around it, in modules (ISO/IEC 18004).
const QUIET: i32 = 4;

impl Qr {
    /// # Errors
    /// When the text is too long for any.
    pub fn of(text: &SecretString) -> Result<Self, Fault> {
        let code = QrCode::encode_text(text.expose_secret(), QrCodeEcc::Medium).map_err(Fault::internal)?;
        let size = code.size();
        let mut path = String::new();
        for y in 0..size {
            // Each run of dark modules of a row as one.
            let mut x = 0;
            while x < size {
                let run = (x..size).take_while(|x| code.get_module(*x, y)).count();
                if run > 0 {
                    // Writing to a string does not fail.
                    let _ = write!(path, "M{} {}h{run}v1h-{run}z", x + QUIET, y + QUIET);
                }
                x += i32::try_from(run).unwrap_or(size).max(1);
            }
        }
        Ok(Self { size: size + 2 * QUIET, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_are_the_modules_of_the_code() {
        let text = SecretString::from("otpauth://totp/Grantor:ada?secret=GEZDGNBVGY3TQOJQ");
        let (qr, code) =
            (Qr::of(&text).unwrap(), QrCode::encode_text(text.expose_secret(), QrCodeEcc::Medium).unwrap());
        assert_eq!(qr.size, code.size() + 8);
        let mut drawn = std::collections::BTreeSet::new();
        for run in qr.path.split('M').skip(1) {
            let (place, rest) = run.split_once('h').unwrap();
            let (x, y) = place.split_once(' ').unwrap();
            let length: i32 = rest.split('v').next().unwrap().parse().unwrap();
            let (x, y): (i32, i32) = (x.parse().unwrap(), y.parse().unwrap());
            drawn.extend((x..x + length).map(|x| (x - 4, y - 4)));
        }
        let size = code.size();
        let dark = (0..size).flat_map(|x| (0..size).map(move |y| (x, y))).filter(|&(x, y)| code.get_module(x, y));
        assert_eq!(drawn, dark.collect());
    }
}
