-- Repeats of imports: which cards a dry run has read, and which tokens are an import's own.

-- The cards of a dry run's rows that committed, so that a repeat is told however far apart the two are. Not by their
-- fingerprints: by an HMAC of import and number under a key of its own, which says nothing beside another import or
-- `card_identity`. Deleted in portions once the import has ended.
create table vault.import_seen (
    merchant_id text  not null,
    mode        text  not null check (mode in ('live', 'test')),
    import_id   text  not null,
    card        bytea not null check (length(card) = 32),
    primary key (merchant_id, mode, import_id, card)
);
alter table vault.import_seen enable row level security, force row level security;
create policy tenant on vault.import_seen using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);

-- When the tokens of these rows were made, which is when each of them says it was. Null: of a release before.
alter table vault.import_part add column made_at timestamptz;

-- A dry run whose cards are to be forgotten once it has ended.
alter table vault.import add column remembers boolean not null default false;
create index import_remembers on vault.import (merchant_id, mode, import_id) where remembers;
create policy seen on vault.import for select using (
    current_setting('strongroom.job', true) = 'forget_seen' and remembers and ended_at is not null
);
