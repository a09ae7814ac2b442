-- Exports: what was sealed for the receiver, a piece at a time. Only the receiver opens it.
create table vault.export_piece (
    merchant_id text        not null,
    mode        text        not null check (mode in ('live', 'test')),
    job_id      text        not null,
    number      integer     not null check (number >= 0),
    cards       integer     not null,
    content     bytea       not null,
    digest      bytea       not null check (length(digest) = 32),
    created_at  timestamptz not null,
    primary key (merchant_id, mode, job_id, number)
);
-- Encrypted: it does not compress.
alter table vault.export_piece alter column content set storage external;

alter table vault.export_piece enable row level security, force row level security;
create policy tenant on vault.export_piece using (
    merchant_id = any ((select string_to_array(current_setting('strongroom.merchants', true), ','))::text[])
);
