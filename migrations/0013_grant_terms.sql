-- What was asked and allowed beside the scope, as a JSON document whose members all have defaults.
ALTER TABLE grants ADD COLUMN terms TEXT NOT NULL DEFAULT '{}';

-- The key whose possession must be proved: `jkt:` or `x5t:` and its thumbprint. Until the code is redeemed it is the
-- key that the authorization request named, afterwards the one to which the refresh tokens are bound.
ALTER TABLE grants ADD COLUMN sender_key TEXT;
