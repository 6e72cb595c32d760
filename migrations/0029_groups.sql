-- Groups of people. What stands in tokens is the name, so it is the key, and a group of another name is another group.
CREATE TABLE user_groups (
    name        TEXT PRIMARY KEY,
    description TEXT,
    -- A list as JSON: what its members may act as.
    roles       TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    updated_at  BIGINT NOT NULL
);
CREATE TABLE memberships (
    user_id    TEXT NOT NULL,
    group_name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, group_name)
);
CREATE INDEX memberships_group ON memberships (group_name);
