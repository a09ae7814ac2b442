-- The region in which a merchant's cards rest. Null: made before regions were told apart, and at home everywhere.
-- No login may change it: what was sealed in one region is moved to another by an export and an import.
alter table identity.merchant add column region text check (region ~ '^[a-z][a-z0-9-]{0,30}$');
