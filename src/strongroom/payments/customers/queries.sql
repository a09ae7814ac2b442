-- name: insert_customer (merchant, mode, customer, reference, metadata, sealed, key_version, now)
-- A new customer.
insert into payments.customer
       (merchant_id, mode, customer_id, status, reference, metadata, sealed_personal, key_version, created_at, updated_at)
values ($1, $2, $3, 'active', $4, $5::text::jsonb, $6, $7, $8, $8);

-- name: customer_by_id (merchant, mode, customer)
-- A customer who is not erased, with the card that they pay with.
select c.customer_id, c.reference, c.metadata::text as metadata, c.sealed_personal, c.key_version, c.created_at,
       c.updated_at, (select s.token_id from payments.saved_card s
                       where s.merchant_id = $1 and s.mode = $2 and s.customer_id = $3 and s.is_default) as default_card
  from payments.customer c
 where c.merchant_id = $1 and c.mode = $2 and c.customer_id = $3 and c.status = 'active';

-- name: customer_for_change (merchant, mode, customer)
-- The same, held: nobody changes or erases it meanwhile.
select customer_id, reference, metadata::text as metadata, sealed_personal, key_version, created_at, updated_at,
       null::text as default_card
  from payments.customer
 where merchant_id = $1 and mode = $2 and customer_id = $3 and status = 'active'
   for update;

-- name: list_customers (merchant, mode, before, reference, limit)
-- A page of customers, newest first; what is null does not narrow it.
select c.customer_id, c.reference, c.metadata::text as metadata, c.sealed_personal, c.key_version, c.created_at,
       c.updated_at, (select s.token_id from payments.saved_card s
                       where s.merchant_id = $1 and s.mode = $2 and s.customer_id = c.customer_id and s.is_default)
                     as default_card
  from payments.customer c
 where c.merchant_id = $1 and c.mode = $2 and c.customer_id < $3 and c.status = 'active'
   and ($4::text is null or c.reference = $4)
 order by c.customer_id desc
 limit $5;

-- name: change_customer (merchant, mode, customer, reference, metadata, sealed, key_version, now)
-- What is known of a customer now.
update payments.customer
   set reference = $4, metadata = $5::text::jsonb, sealed_personal = $6, key_version = $7, updated_at = $8
 where merchant_id = $1 and mode = $2 and customer_id = $3 and status = 'active'
returning customer_id;

-- name: erase_customer (merchant, mode, customer, now)
-- The row stays for the payments that name it; whatever says who it was does not.
update payments.customer
   set status = 'erased', reference = null, metadata = '{}', sealed_personal = null, key_version = null, updated_at = $4
 where merchant_id = $1 and mode = $2 and customer_id = $3 and status = 'active'
returning customer_id;

-- name: erase_mandates (merchant, mode, customer, now)
-- What an erased customer agreed to holds no more, and from where they agreed is gone.
update payments.mandate
   set status = 'revoked', revoked_at = coalesce(revoked_at, $4), sealed_evidence = null, key_version = null
 where merchant_id = $1 and mode = $2 and customer_id = $3;

-- name: erase_cards (merchant, mode, customer)
-- An erased customer has no saved cards.
delete from payments.saved_card where merchant_id = $1 and mode = $2 and customer_id = $3;

-- name: cards_of_customer (merchant, mode, customer)
-- A customer's saved cards, newest first.
select customer_id, token_id, brand, bin, last4, exp_month, exp_year, is_default, created_at
  from payments.saved_card where merchant_id = $1 and mode = $2 and customer_id = $3
 order by created_at desc, token_id desc;

-- name: save_card (merchant, mode, customer, token, brand, bin, last4, exp_month, exp_year, is_default, now)
-- A card is saved, or known better than before.
insert into payments.saved_card as s
       (merchant_id, mode, customer_id, token_id, brand, bin, last4, exp_month, exp_year, is_default, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
    on conflict (merchant_id, mode, customer_id, token_id) do update
   set exp_month = excluded.exp_month, exp_year = excluded.exp_year, is_default = s.is_default or excluded.is_default;

-- name: no_default_card (merchant, mode, customer)
-- Another card is to be the one that a customer pays with.
update payments.saved_card set is_default = false
 where merchant_id = $1 and mode = $2 and customer_id = $3 and is_default;

-- name: forget_card (merchant, mode, customer, token)
-- A card is saved no more.
delete from payments.saved_card where merchant_id = $1 and mode = $2 and customer_id = $3 and token_id = $4
returning is_default;

-- name: insert_mandate (merchant, mode, mandate, customer, token, method, text_version, agreed_at, sealed, key_version, now)
-- What a customer agreed to.
insert into payments.mandate
       (merchant_id, mode, mandate_id, customer_id, token_id, status, method, text_version, agreed_at, sealed_evidence,
        key_version, created_at)
values ($1, $2, $3, $4, $5, 'active', $6, $7, $8, $9, $10, $11);

-- name: mandates_of_customer (merchant, mode, customer)
-- A customer's mandates, newest first.
select mandate_id, customer_id, token_id, status, method, text_version, agreed_at, sealed_evidence, key_version, created_at,
       revoked_at
  from payments.mandate where merchant_id = $1 and mode = $2 and customer_id = $3
 order by mandate_id desc;

-- name: mandates_of_token (merchant, mode, token)
-- Whose mandates a card has, and whether they hold.
select customer_id, status from payments.mandate where merchant_id = $1 and mode = $2 and token_id = $3;

-- name: revoke_mandate (merchant, mode, customer, mandate, now)
-- A mandate that holds, holds no more.
update payments.mandate set status = 'revoked', revoked_at = $5
 where merchant_id = $1 and mode = $2 and customer_id = $3 and mandate_id = $4 and status = 'active'
returning token_id;

-- name: revoke_mandates_of_card (merchant, mode, customer, token, now)
-- A card that is saved no more is charged by nobody.
update payments.mandate set status = 'revoked', revoked_at = $5
 where merchant_id = $1 and mode = $2 and customer_id = $3 and token_id = $4 and status = 'active'
returning mandate_id;

-- name: publish (merchant, mode, event, type, object, payload, now)
-- An event, with its deliveries.
select webhooks.publish($1, $2, $3, $4, $5, $6, $7);

-- name: page_of_personal (merchant, mode, after, limit, version)
-- What is sealed of customers by their ids; it comes along where it is not of this version.
select customer_id as id, '' as part, key_version, case when key_version <> $5 then sealed_personal end as sealed
  from payments.customer
 where merchant_id = $1 and mode = $2 and customer_id > $3 and sealed_personal is not null
 order by customer_id
 limit $4;

-- name: reseal_personal (merchant, mode, ids, parts, olds, news, version)
-- Puts what was sealed anew, where nothing has changed meanwhile.
with done as (
    update payments.customer t set sealed_personal = u.new, key_version = $7
      from unnest($3::text[], $4::text[], $5::bytea[], $6::bytea[]) as u (id, part, old, new)
     where t.merchant_id = $1 and t.mode = $2 and t.customer_id = u.id and t.sealed_personal = u.old
    returning 1)
select count(*)::integer as touched from done;

-- name: count_personal (merchant, mode, version, most)
-- How many are sealed under a version (null: any), of at most so many.
select count(*)::integer as rows
  from (select from payments.customer
         where merchant_id = $1 and mode = $2 and key_version is not null and ($3::integer is null or key_version = $3)
         limit $4) t;

-- name: page_of_evidence (merchant, mode, after, limit, version)
-- What is sealed of mandates by their ids; it comes along where it is not of this version.
select mandate_id as id, '' as part, key_version, case when key_version <> $5 then sealed_evidence end as sealed
  from payments.mandate
 where merchant_id = $1 and mode = $2 and mandate_id > $3 and sealed_evidence is not null
 order by mandate_id
 limit $4;

-- name: reseal_evidence (merchant, mode, ids, parts, olds, news, version)
-- Puts what was sealed anew, where nothing has changed meanwhile.
with done as (
    update payments.mandate t set sealed_evidence = u.new, key_version = $7
      from unnest($3::text[], $4::text[], $5::bytea[], $6::bytea[]) as u (id, part, old, new)
     where t.merchant_id = $1 and t.mode = $2 and t.mandate_id = u.id and t.sealed_evidence = u.old
    returning 1)
select count(*)::integer as touched from done;

-- name: count_evidence (merchant, mode, version, most)
-- How many are sealed under a version (null: any), of at most so many.
select count(*)::integer as rows
  from (select from payments.mandate
         where merchant_id = $1 and mode = $2 and key_version is not null and ($3::integer is null or key_version = $3)
         limit $4) t;
