//! By what a client knows a person (OpenID Connect Core §8).

use serde::{Deserialize, Serialize};

use super::redirect_uri::Destination;
use super::{ClientMetadata, RedirectUri};

/// `subject_type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectType {
    /// One `sub` for every client: the user's id.
    #[default]
    Public,
    /// Another `sub` for each sector, so that two clients cannot find out by it that they have the same user.
    Pairwise,
}

impl SubjectType {
    pub const ALL: [Self; 2] = [Self::Public, Self::Pairwise];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Pairwise => "pairwise",
        }
    }

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub(super) fn is_public(&self) -> bool {
        *self == Self::Public
    }
}

/// The host of an https URL.
fn host(uri: &str) -> Option<String> {
    let url = url::Url::parse(uri).ok().filter(|url| url.scheme() == "https")?;
    url.host_str().map(str::to_owned)
}

impl ClientMetadata {
    /// The sector that a client belongs to, whose clients know a person by the same `sub`; none where subjects are
    /// public. OpenID Connect Core §8.1: the host of `sector_identifier_uri`, or else of the redirect URIs.
    pub fn sector(&self) -> Option<String> {
        if self.subject_type.is_public() {
            return None;
        }
        let uri = self.sector_identifier_uri.as_deref().or(self.redirect_uris.first().map(RedirectUri::as_str));
        uri.and_then(host)
    }

    pub(in crate::types) fn validate_subject(&self) -> Result<(), String> {
        let named = self.sector_identifier_uri.as_deref();
        // OpenID Connect Registration §5: "MUST use the https scheme".
        if named.is_some_and(|uri| host(uri).is_none() || uri.contains('#')) {
            return Err("sector_identifier_uri must be an https URL without a fragment".into());
        }
        if self.subject_type.is_public() || named.is_some() {
            return Ok(());
        }
        // OpenID Connect Core §8.1: several hosts need a sector_identifier_uri. A machine of the user's own, and a
        // scheme, are no place by which one client could be told from another.
        let sector = self.sector();
        let is_there = |uri: &RedirectUri| uri.destination() == Destination::Web && host(uri.as_str()) == sector;
        if sector.is_none() || !self.redirect_uris.iter().all(is_there) {
            return Err(
                "pairwise subjects need a sector_identifier_uri, or redirect URIs that are all on one https host"
                    .into(),
            );
        }
        Ok(())
    }
}
