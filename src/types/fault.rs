//! What went wrong on our side. A client never sees more of it than a correlation id.

use std::fmt;

/// A failure that is not the caller's: logged once, at the boundary.
pub struct Fault {
    kind: FaultKind,
    source: anyhow::Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Something that we need is away or too busy: 503 with `Retry-After`.
    Unavailable,
    /// A bug, or data that should not be: 500.
    Internal,
}

impl Fault {
    pub fn unavailable(source: impl Into<anyhow::Error>) -> Self {
        Self { kind: FaultKind::Unavailable, source: source.into() }
    }

    pub fn internal(source: impl Into<anyhow::Error>) -> Self {
        Self { kind: FaultKind::Internal, source: source.into() }
    }

    /// An internal fault told in words.
    pub fn because(message: impl fmt::Display) -> Self {
        Self::internal(anyhow::anyhow!("{message}"))
    }

    /// The same, for another who is told of it too.
    #[must_use]
    pub fn again(&self) -> Self {
        Self { kind: self.kind, source: anyhow::anyhow!("{self}") }
    }

    pub fn kind(&self) -> FaultKind {
        self.kind
    }

    /// Says what was being done when it happened.
    #[must_use]
    pub fn context(self, doing: impl fmt::Display + Send + Sync + 'static) -> Self {
        Self { kind: self.kind, source: self.source.context(doing) }
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.source)
    }
}

impl std::error::Error for Fault {}
