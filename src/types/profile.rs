//! Profiles: bundles of requirements that go together.

use serde::{Deserialize, Serialize};

/// What a client, or every client of a server, is held to besides what all are. `oauth::profile` says what that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// The FAPI 2.0 Security Profile, and of FAPI 2.0 Message Signing what concerns requests that are signed.
    Fapi2,
}
