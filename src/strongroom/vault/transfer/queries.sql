-- name: insert_import (merchant, mode, import, wish, created_by, now)
-- A new import.
insert into vault.import (merchant_id, mode, import_id, state, wish, created_by, created_at, updated_at)
values ($1, $2, $3, 'open', $4::text::jsonb, $5, $6, $6);

-- name: import_by_id (merchant, mode, import)
-- One import.
select merchant_id, mode, import_id, state, wish::text as wish, received, consumed, layout, rows, created, duplicates,
       refused, digest, problem, job_id, created_by, created_at, updated_at, ended_at
  from vault.import where merchant_id = $1 and mode = $2 and import_id = $3;

-- name: lock_import (merchant, mode, import)
-- One import, which nobody else changes until this transaction ends.
select merchant_id, mode, import_id, state, wish::text as wish, received, consumed, layout, rows, created, duplicates,
       refused, digest, problem, job_id, created_by, created_at, updated_at, ended_at
  from vault.import where merchant_id = $1 and mode = $2 and import_id = $3
   for update;

-- name: list_imports (merchant, mode, before, limit)
-- A page of imports, newest first.
select merchant_id, mode, import_id, state, wish::text as wish, received, consumed, layout, rows, created, duplicates,
       refused, digest, problem, job_id, created_by, created_at, updated_at, ended_at
  from vault.import where merchant_id = $1 and mode = $2 and import_id < $3
 order by import_id desc limit $4;

-- name: save_import (merchant, mode, import, state, received, consumed, layout, rows, created, duplicates, refused, digest, problem, job, now, ended_at)
-- How far an import is.
update vault.import
   set state = $4, received = $5, consumed = $6, layout = $7, rows = $8, created = $9, duplicates = $10, refused = $11,
       digest = $12, problem = $13, job_id = $14, updated_at = $15, ended_at = $16
 where merchant_id = $1 and mode = $2 and import_id = $3;

-- name: take_identities (merchant, mode, key_version, fingerprints, tokens)
-- Says of cards, sorted, which token is theirs; returns those that had none.
insert into vault.card_identity (merchant_id, mode, key_version, fingerprint, token_id)
select $1, $2, $3, u.fingerprint, u.token
  from unnest($4::bytea[], $5::text[]) as u (fingerprint, token)
    on conflict do nothing
returning fingerprint;

-- name: tokens_of_cards (merchant, mode, key_version, fingerprints)
-- The tokens that cards have.
select i.fingerprint, i.token_id from unnest($4::bytea[]) as u (fingerprint)
 cross join lateral (
       select c.fingerprint, c.token_id from vault.card_identity c
        where c.merchant_id = $1 and c.mode = $2 and c.key_version = $3 and c.fingerprint = u.fingerprint
       offset 0) i;

-- name: containers_of_tokens (merchant, mode, tokens)
-- Where tokens stand.
select t.token_id, t.container from unnest($3::text[]) as u (token)
 cross join lateral (
       select k.token_id, k.container from vault.token k
        where k.merchant_id = $1 and k.mode = $2 and k.token_id = u.token
       offset 0) t;

-- name: own_tokens (merchant, mode, import, created_by, tokens)
-- Those of some tokens that an import has made itself: its parts say when, to the microsecond.
select t.token_id from unnest($5::text[]) as u (token)
 cross join lateral (
       select k.token_id, k.created_at from vault.token k
        where k.merchant_id = $1 and k.mode = $2 and k.token_id = u.token and k.created_by = $4
       offset 0) t
 where t.created_at in (
       select p.made_at from vault.import_part p where p.merchant_id = $1 and p.mode = $2 and p.import_id = $3);

-- name: see_cards (merchant, mode, import, cards)
-- Remembers cards of a dry run, sorted; returns those that it had not seen.
insert into vault.import_seen (merchant_id, mode, import_id, card)
select $1, $2, $3, u.card from unnest($4::bytea[]) as u (card)
    on conflict do nothing
returning card;

-- name: stored_cards (merchant, mode, key_versions, fingerprints)
-- Which of some cards have a token: their places, from 1.
select u.place from unnest($3::integer[], $4::bytea[]) with ordinality as u (version, fingerprint, place)
 cross join lateral (
       select c.token_id from vault.card_identity c
        where c.merchant_id = $1 and c.mode = $2 and c.key_version = u.version and c.fingerprint = u.fingerprint
       offset 0) i;

-- name: insert_tokens (merchant, mode, key_version, fp_version, container, created_by, now, tokens, sealed, brands, bins, last4s, months, years, fingerprints, metadata, containers, ends, kinds, aliases)
-- Tokens of one chunk. The last four are null where no token of the chunk has any.
insert into vault.token
       (merchant_id, mode, token_id, sealed_number, key_version, brand, bin, last4, exp_month, exp_year,
        fingerprint, fingerprint_version, single_use, expires_at, metadata, created_by, created_at, container, kind,
        pan_alias)
select $1, $2, u.token, u.sealed, $3, u.brand, u.bin, u.last4, u.month, u.year, u.fingerprint, $4::integer, false, u.ends,
       u.metadata::jsonb, $6, $7, coalesce(u.container, $5), u.kind, u.alias
  from unnest($8::text[], $9::bytea[], $10::text[], $11::text[], $12::text[], $13::smallint[], $14::smallint[],
              $15::bytea[], $16::text[], $17::text[], $18::timestamptz[], $19::text[], $20::text[])
       as u (token, sealed, brand, bin, last4, month, year, fingerprint, metadata, container, ends, kind, alias);

-- name: insert_details (merchant, mode, tokens, fields, sealed, key_versions)
-- What is sealed beside the numbers of one chunk.
insert into vault.token_detail (merchant_id, mode, token_id, field, sealed, key_version, expires_at)
select $1, $2, u.token, u.field, u.sealed, u.version, null
  from unnest($3::text[], $4::text[], $5::bytea[], $6::integer[]) as u (token, field, sealed, version);

-- name: insert_part (merchant, mode, import, first_row, rows, results, made_at)
-- What became of one chunk's rows.
insert into vault.import_part (merchant_id, mode, import_id, first_row, rows, results, made_at)
values ($1, $2, $3, $4, $5, $6, $7);

-- name: part_from (merchant, mode, import, row)
-- The chunk that has a row, or the next one.
select first_row, rows, results from vault.import_part
 where merchant_id = $1 and mode = $2 and import_id = $3 and first_row + rows > $4
 order by first_row limit 1;

-- name: hold_container (merchant, mode, name)
-- A container that does not end before this transaction does.
select name from vault.container where merchant_id = $1 and mode = $2 and name = $3 for key share;

-- name: insert_piece (merchant, mode, import, begins, sealed, key_version)
-- A piece of a file that waits.
insert into vault.import_piece (merchant_id, mode, import_id, begins, sealed, key_version)
values ($1, $2, $3, $4, $5, $6);

-- name: piece_at (merchant, mode, import, begins)
-- The piece that begins at a byte, or the next one.
select begins, sealed, key_version from vault.import_piece
 where merchant_id = $1 and mode = $2 and import_id = $3 and begins >= $4
 order by begins limit 1;

-- name: drop_pieces (merchant, mode, import)
-- Removes what rested of a file.
delete from vault.import_piece where merchant_id = $1 and mode = $2 and import_id = $3;

-- name: insert_import_key (merchant, mode, key, certificate, public_jwk, sealed, key_version, created_by, now)
-- A new key pair that others encrypt to.
insert into vault.import_key (merchant_id, mode, key_id, certificate, public_jwk, sealed_private, key_version, created_by,
                              created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: newest_import_key (merchant, mode)
-- The key pair to encrypt to.
select key_id, certificate, public_jwk, sealed_private, key_version, created_by, created_at from vault.import_key
 where merchant_id = $1 and mode = $2 order by key_id desc limit 1;

-- name: import_keys (merchant, mode)
-- All key pairs, newest first: a file may have been sealed for an earlier one.
select key_id, certificate, public_jwk, sealed_private, key_version, created_by, created_at from vault.import_key
 where merchant_id = $1 and mode = $2 order by key_id desc limit 20;

-- name: count_tokens (merchant, mode, container, now)
-- How many cards an export has at most.
select count(*) as cards from vault.token
 where merchant_id = $1 and mode = $2 and container = $3 and (expires_at is null or expires_at > $4) and not single_use;

-- name: ids_to_export (merchant, mode, container, after, now, limit)
-- The next tokens of an export, oldest first.
select token_id from vault.token
 where merchant_id = $1 and mode = $2 and container = $3 and token_id > $4
   and (expires_at is null or expires_at > $5) and not single_use
 order by token_id limit $6;

-- name: tokens_to_export (merchant, mode, container, tokens, now)
-- The cards of a stretch that is recorded, as far as they still stand there, oldest first.
select token_id, sealed_number, key_version, brand, exp_month, exp_year, metadata::text as metadata, created_at,
       expires_at, container, pan_alias
  from vault.token
 where merchant_id = $1 and mode = $2 and container = $3 and token_id = any ($4::text[])
   and (expires_at is null or expires_at > $5) and not single_use
 order by token_id;

-- name: details_to_export (merchant, mode, tokens)
-- What is sealed beside the numbers of a stretch; what serves one payment is not for another provider.
select token_id, field, sealed, key_version from vault.token_detail
 where merchant_id = $1 and mode = $2 and token_id = any ($3::text[]) and field <> 'cryptogram'
 order by token_id, field;

-- name: insert_export_piece (merchant, mode, job, number, cards, content, digest, now)
-- A piece that only the receiver opens.
insert into vault.export_piece (merchant_id, mode, job_id, number, cards, content, digest, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: export_piece (merchant, mode, job, number)
-- One piece.
select number, cards, content, digest from vault.export_piece
 where merchant_id = $1 and mode = $2 and job_id = $3 and number = $4;

-- name: export_digests (merchant, mode, job)
-- The digests of all pieces, in their order.
select digest from vault.export_piece where merchant_id = $1 and mode = $2 and job_id = $3 order by number;

-- name: be_import_ender ()
-- States that this transaction looks for imports that nobody feeds, whoever's they are (row-level security).
select set_config('strongroom.job', 'idle_imports', true);

-- name: be_seen_forgetter ()
-- States that this transaction looks for dry runs that have ended and whose cards are remembered (row-level security).
select set_config('strongroom.job', 'forget_seen', true);

-- name: seen_imports (limit)
-- Dry runs of every tenant that have ended, and whose cards are remembered still.
select merchant_id, mode, import_id from vault.import
 where remembers and ended_at is not null
 order by merchant_id, mode, import_id limit $1;

-- name: remember_seen (merchant, mode, import)
-- An import whose cards are remembered from now on.
update vault.import set remembers = true
 where merchant_id = $1 and mode = $2 and import_id = $3 and not remembers;

-- name: forget_seen (merchant, mode, import, limit)
-- Some cards of a dry run.
delete from vault.import_seen
 where merchant_id = $1 and mode = $2 and import_id = $3
   and card = any (array(select s.card from vault.import_seen s
                          where s.merchant_id = $1 and s.mode = $2 and s.import_id = $3 limit $4))
returning true as gone;

-- name: seen_forgotten (merchant, mode, import)
-- None of its cards are left.
update vault.import set remembers = false where merchant_id = $1 and mode = $2 and import_id = $3;

-- name: idle_imports (limit)
-- Imports of every tenant that nobody has fed for seven days.
select merchant_id, mode, import_id from vault.import
 where state in ('open', 'received') and updated_at < now() - interval '7 days'
 order by merchant_id, mode, import_id limit $1;

-- name: job_goes_on (merchant, mode, job)
-- Whether a job still has its turn before it.
select job_id from vault.job
 where merchant_id = $1 and mode = $2 and job_id = $3 and state in ('waiting', 'running', 'paused');

-- name: lock_open_imports (merchant, mode, limit)
-- Some imports of a merchant that go on, which nobody else changes until this transaction ends.
select merchant_id, mode, import_id, state, wish::text as wish, received, consumed, layout, rows, created, duplicates,
       refused, digest, problem, job_id, created_by, created_at, updated_at, ended_at
  from vault.import where merchant_id = $1 and mode = $2 and state in ('open', 'received')
 order by import_id limit $3
   for update;

-- name: delete_import_keys (merchant, mode, limit)
-- Some import keys of a merchant whose cards are erased.
delete from vault.import_key
 where merchant_id = $1 and mode = $2
   and key_id in (select k.key_id from vault.import_key k where k.merchant_id = $1 and k.mode = $2 limit $3)
returning key_id;

-- name: delete_import_pieces (merchant, mode, limit)
-- Likewise, of what rests of files.
delete from vault.import_piece
 where merchant_id = $1 and mode = $2
   and (import_id, begins) in (
       select p.import_id, p.begins from vault.import_piece p where p.merchant_id = $1 and p.mode = $2 limit $3)
returning begins;

-- name: delete_import_parts (merchant, mode, limit)
-- Likewise, of what became of rows.
delete from vault.import_part
 where merchant_id = $1 and mode = $2
   and (import_id, first_row) in (
       select p.import_id, p.first_row from vault.import_part p where p.merchant_id = $1 and p.mode = $2 limit $3)
returning first_row;

-- name: delete_import_seen (merchant, mode, limit)
-- Likewise, of the cards of dry runs, by where they stand (none is ever changed): a join of so many is slow.
delete from vault.import_seen
 where merchant_id = $1 and mode = $2
   and ctid = any (array(select s.ctid from vault.import_seen s where s.merchant_id = $1 and s.mode = $2 limit $3))
returning true as gone;

-- name: delete_export_pieces (merchant, mode, limit)
-- Likewise, of what was sealed for a receiver.
delete from vault.export_piece
 where merchant_id = $1 and mode = $2
   and (job_id, number) in (
       select p.job_id, p.number from vault.export_piece p where p.merchant_id = $1 and p.mode = $2 limit $3)
returning number;
