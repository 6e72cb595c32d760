//! How an authorization response travels back (OAuth 2.0 Multiple Response Types §2.1, Form Post §2, JARM §2.3).

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResponseMode {
    pub carrier: Carrier,
    /// As one signed JWT instead of parameters (JARM).
    pub signed: bool,
}

/// What carries it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carrier {
    #[default]
    Query,
    FormPost,
}

impl ResponseMode {
    /// Those of a code; no fragment.
    const ALL: [(&str, Self); 5] = [
        ("query", Self { carrier: Carrier::Query, signed: false }),
        ("form_post", Self { carrier: Carrier::FormPost, signed: false }),
        ("query.jwt", Self { carrier: Carrier::Query, signed: true }),
        ("form_post.jwt", Self { carrier: Carrier::FormPost, signed: true }),
        // JARM §2.3.4: of the response type code, `query.jwt`.
        ("jwt", Self { carrier: Carrier::Query, signed: true }),
    ];

    pub const NAMES: [&str; 5] = {
        let [a, b, c, d, e] = Self::ALL;
        [a.0, b.0, c.0, d.0, e.0]
    };

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(own, _)| *own == name).map(|(_, mode)| mode)
    }
}
