//! What an `id_token_hint` proved. The token itself is not kept.

use serde::{Deserialize, Serialize};

use super::{ClientId, SessionId, UserId};

/// Whom a client means: it once got an ID token of this user for this session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    pub client: ClientId,
    pub user: UserId,
    pub session: SessionId,
}
