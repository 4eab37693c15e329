CREATE TABLE organizations (
    id text PRIMARY KEY CHECK (id LIKE 'org\_%'),
    name text NOT NULL CHECK (name <> ''),
    slug text NOT NULL UNIQUE CHECK (slug <> ''),
    type text NOT NULL DEFAULT 'standard',
    parent_id text REFERENCES organizations (id),
    description text,
    avatar_url text,
    plan text NOT NULL DEFAULT 'free' CHECK (plan IN ('free', 'plus', 'pro', 'team', 'enterprise')),
    seat_limit integer NOT NULL DEFAULT 5 CHECK (seat_limit > 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX organizations_parent ON organizations (parent_id) WHERE parent_id IS NOT NULL;
COMMENT ON TABLE organizations IS 'Tenants: every other row belongs to one.';
COMMENT ON COLUMN organizations.id IS 'org_ and a time-sorted random part.';
COMMENT ON COLUMN organizations.name IS 'Name to show.';
COMMENT ON COLUMN organizations.slug IS 'Name in addresses, unique.';
COMMENT ON COLUMN organizations.type IS 'Kind of organisation as the payments API prints it.';
COMMENT ON COLUMN organizations.parent_id IS 'The organisation this one belongs to, if any.';
COMMENT ON COLUMN organizations.description IS 'Free text.';
COMMENT ON COLUMN organizations.avatar_url IS 'Picture.';
COMMENT ON COLUMN organizations.plan IS 'free, plus, pro, team or enterprise.';
COMMENT ON COLUMN organizations.seat_limit IS 'How many members it may have.';
COMMENT ON COLUMN organizations.created_at IS 'When it was created.';
COMMENT ON COLUMN organizations.updated_at IS 'When it last changed.';

CREATE TABLE users (
    id uuid PRIMARY KEY,
    email text NOT NULL UNIQUE CHECK (email = lower(email)),
    name text NOT NULL,
    avatar_url text,
    password_hash text NOT NULL,
    role text NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'admin')),
    default_org_id text REFERENCES organizations (id) ON DELETE SET NULL,
    has_onboarded boolean NOT NULL DEFAULT false,
    onboarded_at timestamptz,
    demo_project_id text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX users_default_org ON users (default_org_id) WHERE default_org_id IS NOT NULL;
COMMENT ON TABLE users IS 'People who log in with email and password.';
COMMENT ON COLUMN users.id IS 'Random UUID; the workspace API prints it as user_ and 32 hexadecimal digits.';
COMMENT ON COLUMN users.email IS 'Email address in lower case, unique.';
COMMENT ON COLUMN users.name IS 'Name to show.';
COMMENT ON COLUMN users.avatar_url IS 'Picture.';
COMMENT ON COLUMN users.password_hash IS 'argon2id in PHC form.';
COMMENT ON COLUMN users.role IS 'user or admin.';
COMMENT ON COLUMN users.default_org_id IS 'The organisation new things go to.';
COMMENT ON COLUMN users.has_onboarded IS 'Whether onboarding is done.';
COMMENT ON COLUMN users.onboarded_at IS 'When onboarding was done.';
COMMENT ON COLUMN users.demo_project_id IS 'The project made by onboarding.';
COMMENT ON COLUMN users.created_at IS 'When the user was registered.';
COMMENT ON COLUMN users.updated_at IS 'When the profile last changed.';

CREATE TABLE memberships (
    org_id text NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role text NOT NULL CHECK (role IN ('owner', 'member', 'viewer')),
    created_at timestamptz NOT NULL,
    PRIMARY KEY (org_id, user_id)
);
CREATE INDEX memberships_of_user ON memberships (user_id, created_at, org_id);
COMMENT ON TABLE memberships IS 'Who belongs to which organisation.';
COMMENT ON COLUMN memberships.org_id IS 'The organisation.';
COMMENT ON COLUMN memberships.user_id IS 'The member.';
COMMENT ON COLUMN memberships.role IS 'owner, member or viewer.';
COMMENT ON COLUMN memberships.created_at IS 'When the user joined.';

CREATE TABLE invitations (
    id text PRIMARY KEY CHECK (id LIKE 'inv\_%'),
    org_id text NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    email text NOT NULL CHECK (email = lower(email)),
    role text NOT NULL CHECK (role IN ('member', 'viewer')),
    token_sha256 bytea NOT NULL UNIQUE CHECK (octet_length(token_sha256) = 32),
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'accepted', 'expired', 'revoked')),
    expires_at timestamptz NOT NULL,
    invited_by uuid REFERENCES users (id) ON DELETE SET NULL,
    created_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX invitations_one_pending ON invitations (org_id, email) WHERE status = 'pending';
CREATE INDEX invitations_of_org ON invitations (org_id, created_at DESC, id DESC);
CREATE INDEX invitations_invited_by ON invitations (invited_by) WHERE invited_by IS NOT NULL;
COMMENT ON TABLE invitations IS 'Invitations to join an organisation.';
COMMENT ON COLUMN invitations.id IS 'inv_ and a time-sorted random part.';
COMMENT ON COLUMN invitations.org_id IS 'The organisation to join.';
COMMENT ON COLUMN invitations.email IS 'Whom it invites, in lower case.';
COMMENT ON COLUMN invitations.role IS 'The role of the new member: member or viewer.';
COMMENT ON COLUMN invitations.token_sha256 IS 'SHA-256 of the token that accepts it; the token is shown once.';
COMMENT ON COLUMN invitations.status IS 'pending, accepted, expired or revoked.';
COMMENT ON COLUMN invitations.expires_at IS 'From when on it can no longer be accepted.';
COMMENT ON COLUMN invitations.invited_by IS 'Who sent it.';
COMMENT ON COLUMN invitations.created_at IS 'When it was sent.';

CREATE TABLE api_keys (
    id text PRIMARY KEY CHECK (id LIKE 'key\_%'),
    org_id text NOT NULL REFERENCES organizations (id) ON DELETE CASCADE,
    user_id uuid REFERENCES users (id) ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('tenant', 'access', 'payment', 'integration')),
    name text NOT NULL,
    sha256 bytea NOT NULL UNIQUE CHECK (octet_length(sha256) = 32),
    prefix text NOT NULL,
    permissions text[] NOT NULL DEFAULT '{}',
    ip_whitelist text[] NOT NULL DEFAULT '{}',
    allowed_agents text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL,
    last_used_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX api_keys_of_org ON api_keys (org_id, kind, created_at, id);
CREATE INDEX api_keys_of_user ON api_keys (user_id) WHERE user_id IS NOT NULL;
COMMENT ON TABLE api_keys IS 'Keys of every kind; the key itself is shown once and never stored.';
COMMENT ON COLUMN api_keys.id IS 'key_ and a time-sorted random part.';
COMMENT ON COLUMN api_keys.org_id IS 'The organisation that owns it.';
COMMENT ON COLUMN api_keys.user_id IS 'The user it acts for, if any.';
COMMENT ON COLUMN api_keys.kind IS 'tenant, access, payment or integration.';
COMMENT ON COLUMN api_keys.name IS 'Name to show.';
COMMENT ON COLUMN api_keys.sha256 IS 'SHA-256 of the key.';
COMMENT ON COLUMN api_keys.prefix IS 'First characters of the key, to recognise it by.';
COMMENT ON COLUMN api_keys.permissions IS 'What it may do.';
COMMENT ON COLUMN api_keys.ip_whitelist IS 'Addresses and CIDR blocks it may be used from; empty for everywhere.';
COMMENT ON COLUMN api_keys.allowed_agents IS 'Agents it may act for; empty for all.';
COMMENT ON COLUMN api_keys.created_at IS 'When it was issued.';
COMMENT ON COLUMN api_keys.last_used_at IS 'When it was last used, to the minute.';
COMMENT ON COLUMN api_keys.revoked_at IS 'From when on it is refused.';

CREATE TABLE refresh_tokens (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    family uuid NOT NULL,
    sha256 bytea NOT NULL UNIQUE CHECK (octet_length(sha256) = 32),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX refresh_tokens_of_user ON refresh_tokens (user_id, expires_at);
CREATE INDEX refresh_tokens_of_family ON refresh_tokens (family);
COMMENT ON TABLE refresh_tokens IS 'Refresh tokens of the workspace, each good for one exchange.';
COMMENT ON COLUMN refresh_tokens.id IS 'Time-sorted UUID.';
COMMENT ON COLUMN refresh_tokens.user_id IS 'Whose token it is.';
COMMENT ON COLUMN refresh_tokens.family IS 'The login it descends from; reuse of one token revokes all of them.';
COMMENT ON COLUMN refresh_tokens.sha256 IS 'SHA-256 of the token.';
COMMENT ON COLUMN refresh_tokens.created_at IS 'When it was issued.';
COMMENT ON COLUMN refresh_tokens.expires_at IS 'From when on it is refused.';
COMMENT ON COLUMN refresh_tokens.used_at IS 'When it was exchanged.';
COMMENT ON COLUMN refresh_tokens.revoked_at IS 'When its family was revoked.';
